// How long to wait before the next attempt: exponential backoff with jitter inside limits.
#ifndef ATTUNE_COMMON_RETRY_H_
#define ATTUNE_COMMON_RETRY_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace attune {

struct Backoff {
  absl::Duration initial = absl::Milliseconds(100);
  absl::Duration max = absl::Seconds(5);

  // Before attempt `attempt` (1 = the first retry). Between half and all of the doubled delay;
  // the jitter is keyed by `key` so that many callers do not return together.
  absl::Duration Delay(uint32_t attempt, uint64_t key) const;
};

// Whether the same call may succeed later: the peer was away, busy or slow.
bool IsRetryable(const absl::Status& status);

}  // namespace attune

#endif  // ATTUNE_COMMON_RETRY_H_
