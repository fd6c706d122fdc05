#include "worker/attempt_gate.h"

#include <optional>
#include <thread>

#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

TEST(AttemptGateTest, LetsOneInAfterTheOther) {
  AttemptGate gate;
  for (int i = 0; i < 3; ++i) {
    const auto turn = gate.Enter(absl::ZeroDuration());
    ASSERT_OK(turn);
    EXPECT_FALSE((*turn)->stale());
  }
}

TEST(AttemptGateTest, ANewerAttemptMakesTheRunningOneStaleAndFollowsIt) {
  AttemptGate gate;
  auto first = gate.Enter(absl::ZeroDuration());
  ASSERT_OK(first);
  bool second_was_stale = true;
  std::thread newer([&] {
    const auto second = gate.Enter(absl::InfiniteDuration());
    ASSERT_OK(second);
    second_was_stale = (*second)->stale();
  });
  while (!(*first)->stale()) std::this_thread::yield();
  first->reset();
  newer.join();
  EXPECT_FALSE(second_was_stale);
}

TEST(AttemptGateTest, RefusesWhenTheRunningAttemptDoesNotStop) {
  AttemptGate gate;
  const auto running = gate.Enter(absl::ZeroDuration());
  ASSERT_OK(running);
  EXPECT_THAT(gate.Enter(absl::Milliseconds(1)),
              StatusIs(absl::StatusCode::kResourceExhausted, "still busy"));
  EXPECT_TRUE((*running)->stale()) << "it was told to stop and must not forget it";
}

TEST(AttemptGateTest, RefusesASecondWaiter) {
  AttemptGate gate;
  auto first = gate.Enter(absl::ZeroDuration());
  ASSERT_OK(first);
  std::thread waiter([&] { EXPECT_OK(gate.Enter(absl::InfiniteDuration())); });
  while (!(*first)->stale()) std::this_thread::yield();
  EXPECT_THAT(gate.Enter(absl::InfiniteDuration()),
              StatusIs(absl::StatusCode::kResourceExhausted, "already waits"));
  first->reset();
  waiter.join();
}

}  // namespace
}  // namespace attune
