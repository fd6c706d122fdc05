// Asks HTTP servers: a GET, or a POST of a JSON text; a JSON text as answer.
#ifndef ATTUNE_RPC_HTTP_CLIENT_H_
#define ATTUNE_RPC_HTTP_CLIENT_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "nlohmann/json.hpp"

namespace attune {

struct JsonPost {
  std::string url;  // http:// or https://
  nlohmann::json body;
  std::string bearer;      // of the Authorization header; empty: none is sent
  absl::Duration timeout;  // connection and answer together
};

// Keeps connections open for the next call. Thread-safe; each call blocks its thread.
class HttpClient {
 public:
  HttpClient() = default;
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // The answer of a server that says 2xx. Redirections are not followed. Errors, in the terms of
  // Endpoint::Call: DEADLINE_EXCEEDED after `timeout`; UNAVAILABLE when there is no answer, and for
  // 408 and 5xx; RESOURCE_EXHAUSTED for 429; both with RetryInfo as the server's Retry-After asks;
  // FAILED_PRECONDITION for any other status, INVALID_ARGUMENT for a malformed URL; INTERNAL for
  // half an answer, one of more than kAnswerBytesMax, and one that is not JSON.
  [[nodiscard]] absl::StatusOr<nlohmann::json> Post(const JsonPost& post);
  [[nodiscard]] absl::StatusOr<nlohmann::json> Get(const std::string& url,
                                                   const std::string& bearer,
                                                   absl::Duration timeout);

  static constexpr size_t kAnswerBytesMax = 16 << 20;

 private:
  // `body` is null for a GET.
  [[nodiscard]] absl::StatusOr<nlohmann::json> Transfer(const std::string& url,
                                                        const std::string* body,
                                                        const std::string& bearer,
                                                        absl::Duration timeout);
  void* TakeHandle();
  void GiveBack(void* handle);

  absl::Mutex mu_;
  std::vector<void*> idle_ ABSL_GUARDED_BY(mu_);  // handles of libcurl with their connections
};

// The beginning of what a foreign service said, for messages: ASCII, at most some 200 bytes.
std::string Excerpt(absl::string_view foreign);

// The member, or null where there is none.
const nlohmann::json& JsonMember(const nlohmann::json& object, const char* name);

// INTERNAL: "the answer WHY: ", then its beginning.
absl::Status UnusableAnswer(absl::string_view why, const nlohmann::json& answer);

}  // namespace attune

#endif  // ATTUNE_RPC_HTTP_CLIENT_H_
