#include "common/clock.h"

#include "gtest/gtest.h"

namespace attune {
namespace {

TEST(ClockTest, MonotonicTimeNeverGoesBack) {
  absl::Duration last = MonotonicTime();
  for (int i = 0; i < 1000; ++i) {
    const absl::Duration now = MonotonicTime();
    EXPECT_GE(now, last);
    last = now;
  }
}

TEST(ClockTest, StopwatchCountsFromItsCreation) {
  const absl::Duration before = MonotonicTime();
  const Stopwatch stopwatch;
  while (MonotonicTime() - before < absl::Milliseconds(1)) {
  }
  const double seconds = stopwatch.Seconds();
  EXPECT_GT(seconds, 0.0);
  EXPECT_LE(seconds, absl::ToDoubleSeconds(MonotonicTime() - before));
}

TEST(ClockTest, PauseLastsAsLongAsAsked) {
  const absl::Duration before = MonotonicTime();
  PauseFor(absl::Milliseconds(2));
  EXPECT_GE(MonotonicTime() - before, absl::Milliseconds(2));
  PauseFor(absl::ZeroDuration());
  PauseFor(absl::Seconds(-1));  // in the past: returns
}

TEST(ClockTest, WallTimeIsADate) {
  EXPECT_GT(WallTime(), absl::FromUnixSeconds(1'600'000'000));
}

}  // namespace
}  // namespace attune
