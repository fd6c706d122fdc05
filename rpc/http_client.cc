#include "rpc/http_client.h"

#include <curl/curl.h>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "common/status_macros.h"
#include "rpc/grpc_status.h"

namespace attune {
namespace {

using nlohmann::json;

constexpr size_t kExcerptBytes = 160;

// For CURLOPT_WRITEFUNCTION; to take less than is given ends the transfer with CURLE_WRITE_ERROR.
size_t Append(char* bytes, size_t size, size_t count, void* answer) {
  auto* text = static_cast<std::string*>(answer);
  if (text->size() + size * count > HttpClient::kAnswerBytesMax) return 0;
  text->append(bytes, size * count);
  return size * count;
}

absl::Status TransferError(CURLcode code, const std::string& url, absl::Duration timeout) {
  const std::string what = curl_easy_strerror(code);
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
      return absl::DeadlineExceededError(
          absl::StrCat("no answer within ", absl::FormatDuration(timeout)));
    case CURLE_WRITE_ERROR:
      return absl::InternalError(
          absl::StrCat("the answer has more than ", HttpClient::kAnswerBytesMax, " bytes"));
    case CURLE_PARTIAL_FILE:
      return absl::InternalError("the answer is incomplete");
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return absl::InvalidArgumentError(absl::StrCat("'", url, "' is no URL: ", what));
    default:
      return absl::UnavailableError(absl::StrCat("no answer: ", what));
  }
}

absl::Status ServerError(CURL* handle, long status, absl::string_view answer) {
  curl_off_t wait_seconds = 0;
  curl_easy_getinfo(handle, CURLINFO_RETRY_AFTER, &wait_seconds);
  const std::string message = absl::StrCat("HTTP ", status, ": ", Excerpt(answer));
  if (status == 429 || (status == 503 && wait_seconds > 0)) {
    return OverloadedError(message, absl::Seconds(wait_seconds));
  }
  if (status == 408 || status >= 500) return absl::UnavailableError(message);
  return absl::FailedPreconditionError(message);
}

}  // namespace

std::string Excerpt(absl::string_view foreign) {
  return absl::StrCat("\"", absl::CHexEscape(foreign.substr(0, kExcerptBytes)), "\"",
                      foreign.size() > kExcerptBytes ? "..." : "");
}

const json& JsonMember(const json& object, const char* name) {
  static const json& null = *new json();
  if (!object.is_object()) return null;
  const auto it = object.find(name);
  return it == object.end() ? null : *it;
}

absl::Status UnusableAnswer(absl::string_view why, const json& answer) {
  const std::string text = answer.dump(-1, ' ', false, json::error_handler_t::replace);
  return absl::InternalError(absl::StrCat("the answer ", why, ": ", Excerpt(text)));
}

HttpClient::~HttpClient() {
  absl::MutexLock lock(&mu_);
  for (void* handle : idle_) curl_easy_cleanup(handle);
}

void* HttpClient::TakeHandle() {
  static const bool ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  ATTUNE_CHECK(ready);
  absl::MutexLock lock(&mu_);
  if (idle_.empty()) return curl_easy_init();
  void* handle = idle_.back();
  idle_.pop_back();
  return handle;
}

void HttpClient::GiveBack(void* handle) {
  curl_easy_reset(handle);  // the options; its connections stay
  absl::MutexLock lock(&mu_);
  idle_.push_back(handle);
}

absl::StatusOr<json> HttpClient::Post(const JsonPost& post) {
  const std::string body = post.body.dump(-1, ' ', false, json::error_handler_t::replace);
  return Transfer(post.url, &body, post.bearer, post.timeout);
}

absl::StatusOr<json> HttpClient::Get(const std::string& url, const std::string& bearer,
                                     absl::Duration timeout) {
  return Transfer(url, nullptr, bearer, timeout);
}

absl::StatusOr<json> HttpClient::Transfer(const std::string& url, const std::string* body,
                                          const std::string& bearer, absl::Duration timeout) {
  CURL* handle = TakeHandle();
  ATTUNE_CHECK(handle != nullptr);
  curl_slist* headers = curl_slist_append(nullptr, "Content-Type: application/json");
  if (!bearer.empty()) {
    headers = curl_slist_append(headers, absl::StrCat("Authorization: Bearer ", bearer).c_str());
  }
  const absl::Cleanup release = [&] {
    curl_slist_free_all(headers);
    GiveBack(handle);
  };
  std::string answer;
  curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);  // signals and threads do not mix
  curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS,
                   static_cast<long>(absl::ToInt64Milliseconds(timeout)));
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
  if (body != nullptr) {
    curl_easy_setopt(handle, CURLOPT_POSTFIELDS, body->c_str());
    curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body->size()));
  }
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, &Append);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &answer);
  const CURLcode code = curl_easy_perform(handle);
  if (code != CURLE_OK) return TransferError(code, url, timeout);
  long status = 0;
  curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
  if (status < 200 || status > 299) return ServerError(handle, status, answer);
  json parsed = json::parse(answer, nullptr, /*allow_exceptions=*/false);
  if (parsed.is_discarded()) {
    return absl::InternalError(absl::StrCat("the answer is not JSON: ", Excerpt(answer)));
  }
  return parsed;
}

}  // namespace attune
