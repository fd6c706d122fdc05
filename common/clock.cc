#include "common/clock.h"

#include <chrono>

#include "absl/time/clock.h"

namespace attune {

absl::Time WallTime() { return absl::Now(); }

absl::Duration MonotonicTime() {
  return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

void PauseFor(absl::Duration duration) { absl::SleepFor(duration); }

}  // namespace attune
