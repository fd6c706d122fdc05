// One API request while it is generated: from the engine's thread to the thread that answers.
#ifndef ATTUNE_SERVE_COMPLETION_H_
#define ATTUNE_SERVE_COMPLETION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "model/engine_thread.h"
#include "model/generation.h"
#include "serve/api_request.h"
#include "serve/api_response.h"
#include "serve/served_model.h"

namespace attune {

// One thread takes what the engine's thread makes.
class Completion {
 public:
  // Submits the prompts of `request`. Sample j of prompt p has the key that `attune generate` gives
  // it for the same seed, and is choice p * n + j. `model` and `engine` must outlive the object.
  // INVALID_ARGUMENT: the model cannot take a prompt; RESOURCE_EXHAUSTED: too many requests wait.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Completion>> Start(const ServedModel& model,
                                                                         EngineThread& engine,
                                                                         const ApiRequest& request,
                                                                         uint64_t seed);
  ~Completion();  // what still runs is cancelled
  Completion(const Completion&) = delete;
  Completion& operator=(const Completion&) = delete;

  // What is new, as soon as anything is; empty after `timeout` and when all choices have finished.
  // Without `stream`, and with top_logprobs, all of a choice comes at once. An error when
  // generation failed: then nothing more comes.
  [[nodiscard]] absl::StatusOr<std::vector<ChoiceDelta>> Take(absl::Duration timeout);

  // All choices have finished and have been taken.
  bool ended() const;
  // A prompt counts once, whatever n is. Complete when the choices are.
  ApiUsage usage() const;

 private:
  struct Choice;
  struct Event {
    ChoiceDelta delta;
    std::vector<int32_t> ids;  // of the whole choice, to find their top_logprobs; else empty
  };

  Completion(const ServedModel& model, EngineThread& engine, const ApiRequest& request);

  absl::Status SubmitAll(uint64_t seed);
  // Both run on the engine's thread.
  bool OnToken(Choice& choice, const Generation& so_far);
  void OnDone(Choice& choice, absl::StatusOr<Generation> response);
  void AddTokens(Choice& choice, const Generation& so_far) const;
  void Send(Choice& choice, std::string finish_reason, const Generation& response);
  absl::Status AddTopLogprobs(Event& event) const;

  const ServedModel& model_;
  EngineThread& engine_;
  const ApiRequest request_;
  const bool in_pieces_;
  std::vector<std::vector<int32_t>> prompts_;     // written by Start
  std::vector<std::unique_ptr<Choice>> choices_;  // of the engine's thread, once submitted
  std::vector<uint64_t> engine_ids_;              // of the thread that takes

  mutable absl::Mutex mu_;
  std::vector<Event> events_ ABSL_GUARDED_BY(mu_);
  int64_t unfinished_ ABSL_GUARDED_BY(mu_) = 0;
  int64_t completion_tokens_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Status error_ ABSL_GUARDED_BY(mu_);
};

}  // namespace attune

#endif  // ATTUNE_SERVE_COMPLETION_H_
