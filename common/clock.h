// The only door to time. Results never depend on it: it serves deadlines, rates and records.
#ifndef ATTUNE_COMMON_CLOCK_H_
#define ATTUNE_COMMON_CLOCK_H_

#include "absl/time/time.h"

namespace attune {

// Date and time, for people and records.
absl::Time WallTime();

// Never goes back; for durations and expiry. The zero is arbitrary.
absl::Duration MonotonicTime();

// Only where nothing can be waited for: between attempts, and between looks at a foreign process.
void PauseFor(absl::Duration duration);

class Stopwatch {
 public:
  Stopwatch() : start_(MonotonicTime()) {}
  double Seconds() const { return absl::ToDoubleSeconds(MonotonicTime() - start_); }

 private:
  absl::Duration start_;
};

}  // namespace attune

#endif  // ATTUNE_COMMON_CLOCK_H_
