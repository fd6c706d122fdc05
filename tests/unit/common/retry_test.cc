#include "common/retry.h"

#include <set>

#include "gtest/gtest.h"

namespace attune {
namespace {

TEST(RetryTest, DelaysDoubleWithinJitter) {
  const Backoff backoff{.initial = absl::Milliseconds(100), .max = absl::Hours(1)};
  for (uint32_t attempt = 1; attempt <= 10; ++attempt) {
    const absl::Duration full = absl::Milliseconds(100) * (1 << (attempt - 1));
    for (uint64_t key = 0; key < 50; ++key) {
      EXPECT_GE(backoff.Delay(attempt, key), full / 2);
      EXPECT_LE(backoff.Delay(attempt, key), full);
    }
  }
}

TEST(RetryTest, DelayNeverPassesTheLimit) {
  const Backoff backoff;
  for (uint32_t attempt : {0u, 7u, 40u, 4000000000u}) {
    EXPECT_LE(backoff.Delay(attempt, 1), absl::Seconds(5));
    EXPECT_GE(backoff.Delay(attempt, 1), absl::Milliseconds(50));
  }
  EXPECT_GE(backoff.Delay(1000, 1), absl::Milliseconds(2500));
}

TEST(RetryTest, CallersDoNotReturnTogether) {
  const Backoff backoff;
  std::set<absl::Duration> delays;
  for (uint64_t key = 0; key < 100; ++key) delays.insert(backoff.Delay(3, key));
  EXPECT_GT(delays.size(), 90u);
  EXPECT_EQ(backoff.Delay(3, 5), backoff.Delay(3, 5));
}

TEST(RetryTest, RetriesWhatMayPass) {
  EXPECT_TRUE(IsRetryable(absl::UnavailableError("")));
  EXPECT_TRUE(IsRetryable(absl::DeadlineExceededError("")));
  EXPECT_TRUE(IsRetryable(absl::ResourceExhaustedError("")));
  EXPECT_TRUE(IsRetryable(absl::AbortedError("")));
  EXPECT_FALSE(IsRetryable(absl::OkStatus()));
  EXPECT_FALSE(IsRetryable(absl::InvalidArgumentError("")));
  EXPECT_FALSE(IsRetryable(absl::NotFoundError("")));
  EXPECT_FALSE(IsRetryable(absl::DataLossError("")));
  EXPECT_FALSE(IsRetryable(absl::CancelledError("")));
}

}  // namespace
}  // namespace attune
