#include "serve/api_service.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "common/clock.h"
#include "common/digest.h"
#include "common/process.h"
#include "common/rng.h"
#include "common/status_macros.h"
#include "serve/api_error.h"
#include "serve/metrics_text.h"

namespace attune {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kCompletionsPath[] = "/v1/completions";
constexpr char kChatPath[] = "/v1/chat/completions";
constexpr char kModelsPath[] = "/v1/models";
constexpr char kHealthPath[] = "/health";
constexpr char kMetricsPath[] = "/metrics";

constexpr absl::Duration kLookInterval = absl::Milliseconds(200);  // at client and server
constexpr int kRetryAfterSeconds = 1;
// Seeds that JavaScript, too, reads exactly.
constexpr int kSeedShift = 64 - 53;

// In a time that does not tell where the two differ.
bool SameDigest(absl::string_view a, absl::string_view b) {
  unsigned char difference = a.size() == b.size() ? 0 : 1;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    difference |= static_cast<unsigned char>(a[i] ^ b[i]);
  }
  return difference == 0;
}

HttpReply ErrorReply(const absl::Status& error) {
  HttpReply reply{.status = HttpStatusOf(error), .body = ErrorBody(error)};
  if (reply.status == 429 || reply.status == 503) reply.retry_after_seconds = kRetryAfterSeconds;
  return reply;
}

Json ModelJson(const ServedModel& model, int64_t created) {
  return {{"id", model.name},
          {"object", "model"},
          {"created", created},
          {"owned_by", "attune"},
          {"max_model_len", model.policy->config().max_position_embeddings}};
}

absl::Status StoppingError() {
  return absl::UnavailableError("the server is stopping; ask another one, or later");
}

}  // namespace

class ApiService::InFlight {
 public:
  explicit InFlight(ApiService& service) : service_(service) {
    absl::MutexLock lock(&service_.mu_);
    ++service_.in_flight_;
  }
  ~InFlight() {
    absl::MutexLock lock(&service_.mu_);
    --service_.in_flight_;
  }
  InFlight(const InFlight&) = delete;
  InFlight& operator=(const InFlight&) = delete;

 private:
  ApiService& service_;
};

ApiService::ApiService(ServedModel model, EngineThread& engine, const std::string& api_key)
    : model_(std::move(model)),
      engine_(engine),
      key_digest_(api_key.empty() ? "" : Sha256Hex(api_key)),
      created_(absl::ToUnixSeconds(WallTime())),
      chance_(CounterRng(
                  {Crc32c(UniqueProcessId()), static_cast<uint64_t>(absl::ToUnixNanos(WallTime()))})
                  .key()) {}

HttpReply ApiService::Handle(const HttpRequest& request) {
  absl::StatusOr<HttpReply> reply = Route(request);
  if (!reply.ok()) reply = ErrorReply(reply.status());
  absl::MutexLock lock(&mu_);
  ++replies_[reply->status];
  return *std::move(reply);
}

void ApiService::StartDraining() {
  absl::MutexLock lock(&mu_);
  draining_ = true;
}

bool ApiService::AwaitIdle(absl::Duration timeout) {
  absl::MutexLock lock(&mu_);
  return mu_.AwaitWithTimeout(absl::Condition(
                                  +[](int64_t* count) { return *count == 0; }, &in_flight_),
                              timeout);
}

absl::StatusOr<HttpReply> ApiService::Route(const HttpRequest& request) {
  const std::string& path = request.path;
  const bool is_completion = path == kCompletionsPath, is_chat = path == kChatPath;
  const bool is_models = path == kModelsPath || absl::StartsWith(path, "/v1/models/");
  if (!is_completion && !is_chat && !is_models && path != kHealthPath && path != kMetricsPath) {
    return absl::NotFoundError(absl::StrCat("there is nothing at ", path, "; there are ",
                                            kModelsPath, ", ", kCompletionsPath, " and ",
                                            kChatPath));
  }
  if (absl::StartsWith(path, "/v1/")) ATTUNE_RETURN_IF_ERROR(CheckKey(request));
  const char* method = is_completion || is_chat ? "POST" : "GET";
  if (request.method != method) {
    return absl::UnimplementedError(
        absl::StrCat(path, " is for ", method, ", not for ", request.method));
  }
  if (is_completion || is_chat) return Generate(request, is_chat);
  if (is_models) return Models(path);
  if (path == kMetricsPath) {
    const EngineThread::State state = engine_.state();
    absl::MutexLock lock(&mu_);
    return HttpReply{.content_type = "text/plain; version=0.0.4",
                     .body = MetricsText(state, replies_)};
  }
  absl::MutexLock lock(&mu_);
  if (draining_) return StoppingError();
  return HttpReply{.body = R"({"status": "ok"})"};
}

absl::Status ApiService::CheckKey(const HttpRequest& request) const {
  if (key_digest_.empty()) return absl::OkStatus();
  absl::string_view key = request.authorization;
  if (absl::ConsumePrefix(&key, "Bearer ") && SameDigest(Sha256Hex(key), key_digest_)) {
    return absl::OkStatus();
  }
  return absl::UnauthenticatedError(
      "the header Authorization must be \"Bearer KEY\", with the key of this server");
}

absl::StatusOr<HttpReply> ApiService::Models(const std::string& path) const {
  const Json model = ModelJson(model_, created_);
  if (path == kModelsPath) {
    return HttpReply{.body = ToText({{"object", "list"}, {"data", Json::array({model})}})};
  }
  const absl::string_view name = absl::string_view(path).substr(sizeof(kModelsPath));
  if (name == model_.name) return HttpReply{.body = ToText(model)};
  return absl::NotFoundError(
      absl::StrCat("there is no model ", name, " here; there is ", model_.name));
}

absl::StatusOr<std::shared_ptr<ApiService::Answer>> ApiService::Start(const HttpRequest& request,
                                                                      bool is_chat, bool& stream) {
  auto in_flight = std::make_unique<InFlight>(*this);  // before the look: draining waits for it
  {
    absl::MutexLock lock(&mu_);
    if (draining_) return StoppingError();
  }
  ATTUNE_ASSIGN_OR_RETURN(const ApiRequest parsed, is_chat ? ParseChatRequest(request.body)
                                                           : ParseCompletionRequest(request.body));
  if (!parsed.model.empty() && parsed.model != model_.name) {
    return absl::NotFoundError(
        absl::StrCat("there is no model ", parsed.model, " here; there is ", model_.name));
  }
  stream = parsed.stream;
  AnswerHead head = MakeHead(parsed);
  ATTUNE_ASSIGN_OR_RETURN(std::unique_ptr<Completion> completion,
                          Completion::Start(model_, engine_, parsed, head.seed));
  return std::make_shared<Answer>(Answer{.head = std::move(head),
                                         .completion = std::move(completion),
                                         .in_flight = std::move(in_flight)});
}

AnswerHead ApiService::MakeHead(const ApiRequest& request) {
  const uint64_t bits = CounterRng(chance_).Bits(++requests_);
  return {.id = absl::StrFormat("%s-%016x", request.is_chat ? "chatcmpl" : "cmpl", bits),
          .created = absl::ToUnixSeconds(WallTime()),
          .model = model_.name,
          .fingerprint = model_.fingerprint,
          .seed = request.seed.value_or(MixBits(bits) >> kSeedShift),
          .is_chat = request.is_chat,
          .logprobs = request.logprobs,
          .include_usage = request.include_usage};
}

absl::StatusOr<HttpReply> ApiService::Generate(const HttpRequest& request, bool is_chat) {
  bool stream = false;
  ATTUNE_ASSIGN_OR_RETURN(const std::shared_ptr<Answer> answer, Start(request, is_chat, stream));
  if (!stream) return AnswerWhole(request, *answer);
  return HttpReply{.content_type = "text/event-stream",
                   .stream = [this, request, answer](const HttpReply::Write& write) {
                     return AnswerInEvents(request, write, *answer);
                   }};
}

absl::StatusOr<std::vector<ChoiceDelta>> ApiService::TakeMore(const HttpRequest& request,
                                                              Completion& completion) const {
  for (;;) {
    if (aborted_) return StoppingError();
    if (request.is_gone()) return absl::CancelledError("the client has gone");
    ATTUNE_ASSIGN_OR_RETURN(std::vector<ChoiceDelta> deltas, completion.Take(kLookInterval));
    if (!deltas.empty() || completion.ended()) return deltas;
  }
}

absl::StatusOr<HttpReply> ApiService::AnswerWhole(const HttpRequest& request,
                                                  Answer& answer) const {
  std::vector<ChoiceDelta> choices;
  while (!answer.completion->ended()) {
    ATTUNE_ASSIGN_OR_RETURN(std::vector<ChoiceDelta> deltas, TakeMore(request, *answer.completion));
    for (ChoiceDelta& delta : deltas) choices.push_back(std::move(delta));
  }
  std::sort(choices.begin(), choices.end(),
            [](const ChoiceDelta& a, const ChoiceDelta& b) { return a.index < b.index; });
  return HttpReply{.body = ToText(AnswerJson(answer.head, choices, answer.completion->usage()))};
}

bool ApiService::AnswerInEvents(const HttpRequest& request, const HttpReply::Write& write,
                                Answer& answer) const {
  while (!answer.completion->ended()) {
    const absl::StatusOr<std::vector<ChoiceDelta>> deltas = TakeMore(request, *answer.completion);
    if (!deltas.ok()) {  // too late for a status: an event with an error object, and no [DONE]
      return write(ServerSentEvent(ErrorBody(deltas.status())));
    }
    std::string events;
    for (const ChoiceDelta& delta : *deltas) {
      events += ServerSentEvent(ToText(ChunkJson(answer.head, delta)));
    }
    if (!write(events)) return false;
  }
  std::string events;
  if (answer.head.include_usage) {
    events += ServerSentEvent(ToText(UsageChunkJson(answer.head, answer.completion->usage())));
  }
  return write(events + ServerSentEvent("[DONE]"));
}

}  // namespace attune
