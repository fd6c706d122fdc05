#include "worker/attempt_gate.h"

#include "rpc/grpc_status.h"

namespace attune {

absl::StatusOr<std::unique_ptr<AttemptGate::Turn>> AttemptGate::Enter(absl::Duration patience) {
  absl::MutexLock lock(&mu_);
  if (waiter_) {
    return OverloadedError("another attempt already waits for this trainer rank",
                           absl::Seconds(1));
  }
  waiter_ = true;
  stale_ = true;
  const bool free = mu_.AwaitWithTimeout(absl::Condition(this, &AttemptGate::Free), patience);
  waiter_ = false;
  if (!free) {
    return OverloadedError("this trainer rank is still busy with an earlier attempt",
                           absl::Seconds(5));
  }
  running_ = true;
  stale_ = false;
  return std::make_unique<Turn>(this);
}

void AttemptGate::Leave() {
  absl::MutexLock lock(&mu_);
  running_ = false;
}

bool AttemptGate::Stale() const {
  absl::MutexLock lock(&mu_);
  return stale_;
}

}  // namespace attune
