// Lets one TrainRound run at a time. A newer call makes the running one stale (its caller has given
// it up or is gone) and waits a while for it to stop.
#ifndef ATTUNE_WORKER_ATTEMPT_GATE_H_
#define ATTUNE_WORKER_ATTEMPT_GATE_H_

#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace attune {

// Thread-safe; outlives its turns.
class AttemptGate {
 public:
  class Turn {
   public:
    explicit Turn(AttemptGate* gate) : gate_(gate) {}
    ~Turn() { gate_->Leave(); }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

    // A newer attempt has come: stop soon.
    bool stale() const { return gate_->Stale(); }

   private:
    AttemptGate* const gate_;
  };

  // RESOURCE_EXHAUSTED when the running attempt has not stopped after `patience`, or another
  // already waits for it.
  [[nodiscard]] absl::StatusOr<std::unique_ptr<Turn>> Enter(absl::Duration patience);

 private:
  void Leave();
  bool Stale() const;
  bool Free() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return !running_; }

  mutable absl::Mutex mu_;
  bool running_ ABSL_GUARDED_BY(mu_) = false;
  bool waiter_ ABSL_GUARDED_BY(mu_) = false;
  bool stale_ ABSL_GUARDED_BY(mu_) = false;  // the running attempt
};

}  // namespace attune

#endif  // ATTUNE_WORKER_ATTEMPT_GATE_H_
