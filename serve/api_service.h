// OpenAI's HTTP API for one model: /v1/models, /v1/completions and /v1/chat/completions; besides
// these /health and /metrics.
#ifndef ATTUNE_SERVE_API_SERVICE_H_
#define ATTUNE_SERVE_API_SERVICE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "model/engine_thread.h"
#include "serve/api_request.h"
#include "serve/api_response.h"
#include "serve/completion.h"
#include "serve/http_server.h"
#include "serve/served_model.h"

namespace attune {

// Thread-safe.
class ApiService {
 public:
  // With an `api_key`, /v1/ is for requests that bear it. `engine` must outlive the object.
  ApiService(ServedModel model, EngineThread& engine, const std::string& api_key);

  HttpReply Handle(const HttpRequest& request);

  // From now on, what needs the engine is refused, and /health says so; what runs goes on.
  void StartDraining();
  // Whether nothing runs any more, at the latest after `timeout`.
  bool AwaitIdle(absl::Duration timeout);
  // What still runs ends with an error, soon.
  void Abort() { aborted_ = true; }

 private:
  // That a request runs. Moves into the stream that answers it.
  class InFlight;
  struct Answer {
    AnswerHead head;
    std::unique_ptr<Completion> completion;
    std::unique_ptr<InFlight> in_flight;  // ends after the completion: the engine may go then
  };

  [[nodiscard]] absl::StatusOr<HttpReply> Route(const HttpRequest& request);
  absl::Status CheckKey(const HttpRequest& request) const;
  [[nodiscard]] absl::StatusOr<HttpReply> Models(const std::string& path) const;
  [[nodiscard]] absl::StatusOr<HttpReply> Generate(const HttpRequest& request, bool is_chat);
  [[nodiscard]] absl::StatusOr<std::shared_ptr<Answer>> Start(const HttpRequest& request,
                                                              bool is_chat, bool& stream);
  [[nodiscard]] absl::StatusOr<HttpReply> AnswerWhole(const HttpRequest& request,
                                                      Answer& answer) const;
  bool AnswerInEvents(const HttpRequest& request, const HttpReply::Write& write,
                      Answer& answer) const;
  // Waits for more; CANCELLED when nobody wants it, UNAVAILABLE when the server stops.
  [[nodiscard]] absl::StatusOr<std::vector<ChoiceDelta>> TakeMore(const HttpRequest& request,
                                                                  Completion& completion) const;
  AnswerHead MakeHead(const ApiRequest& request);

  const ServedModel model_;
  EngineThread& engine_;
  const std::string key_digest_;  // empty: there is no key
  const int64_t created_;         // Unix time, seconds
  const uint64_t chance_;         // another one for every process
  std::atomic<uint64_t> requests_ = 0;
  std::atomic<bool> aborted_ = false;

  absl::Mutex mu_;
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
  int64_t in_flight_ ABSL_GUARDED_BY(mu_) = 0;
  absl::btree_map<int, int64_t> replies_ ABSL_GUARDED_BY(mu_);  // by HTTP status
};

}  // namespace attune

#endif  // ATTUNE_SERVE_API_SERVICE_H_
