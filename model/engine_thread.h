// An engine and the thread that steps it, for servers: requests come from any thread.
#ifndef ATTUNE_MODEL_ENGINE_THREAD_H_
#define ATTUNE_MODEL_ENGINE_THREAD_H_

#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "model/engine.h"

namespace attune {

// Thread-safe. Callbacks of requests run on the engine's thread and must be short; they may not
// call this object.
class EngineThread {
 public:
  // At most `waiting_max` requests wait to be admitted.
  EngineThread(const EngineOptions& options, int64_t waiting_max);
  // Requests that have not ended are forgotten: no callback comes any more.
  ~EngineThread();

  // Returns an id for Cancel. INVALID_ARGUMENT: Engine::Check. RESOURCE_EXHAUSTED: waiting_max
  // requests wait.
  [[nodiscard]] absl::StatusOr<uint64_t> Submit(EngineRequest request);
  // After it returns no callback of the requests runs any more, and none will. Those that have
  // ended are nobody's concern.
  void Cancel(absl::Span<const uint64_t> ids);

  struct State {
    EngineCounters counters;
    int64_t running = 0;  // responses
    int64_t waiting = 0;  // requests
    double cache_use = 0;
  };
  State state() const;

 private:
  void Loop();
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const EngineOptions options_;
  const int64_t waiting_max_;
  mutable absl::Mutex mu_;
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  uint64_t last_id_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<std::pair<uint64_t, EngineRequest>> submitted_ ABSL_GUARDED_BY(mu_);
  std::vector<uint64_t> cancelled_ ABSL_GUARDED_BY(mu_);
  uint64_t cancels_asked_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t cancels_done_ ABSL_GUARDED_BY(mu_) = 0;
  bool idle_ ABSL_GUARDED_BY(mu_) = true;
  State state_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;
};

}  // namespace attune

#endif  // ATTUNE_MODEL_ENGINE_THREAD_H_
