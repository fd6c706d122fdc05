#include "common/retry.h"

#include <algorithm>

#include "common/rng.h"

namespace attune {

absl::Duration Backoff::Delay(uint32_t attempt, uint64_t key) const {
  const uint32_t doublings = std::min(attempt > 0 ? attempt - 1 : 0, 20u);
  const absl::Duration full = std::min(max, initial * static_cast<int64_t>(1u << doublings));
  return full * (0.5 + 0.5 * CounterRng({key}).Uniform(attempt));
}

bool IsRetryable(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsResourceExhausted(status) || absl::IsAborted(status);
}

}  // namespace attune
