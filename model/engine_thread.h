// An engine and the thread that steps it, for servers: requests come from any thread.
#ifndef ATTUNE_MODEL_ENGINE_THREAD_H_
#define ATTUNE_MODEL_ENGINE_THREAD_H_

#include <cstdint>
#include <functional>

#include "absl/status/statusor.h"
#include "model/engine.h"

namespace attune {

// Thread-safe. Callbacks of requests run on the engine's thread and must be short; they may not
// call this object, but for Cancel.
class EngineThread {
 public:
  // At most `waiting_max` requests wait to be admitted.
  EngineThread(const EngineOptions& options, int64_t waiting_max);
  ~EngineThread();  // requests that have not ended get CANCELLED

  // As Engine::Add. RESOURCE_EXHAUSTED: waiting_max requests wait.
  [[nodiscard]] absl::StatusOr<uint64_t> Submit(EngineRequest request);
  // After it returns no callback of the request runs any more, and none will.
  void Cancel(uint64_t id);

  struct State {
    EngineCounters counters;
    int64_t running = 0;
    int64_t waiting = 0;
    double cache_use = 0;
  };
  State state() const;
};

}  // namespace attune

#endif  // ATTUNE_MODEL_ENGINE_THREAD_H_
