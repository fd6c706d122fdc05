#include "common/signals.h"

#include <signal.h>
#include <unistd.h>

#include "gtest/gtest.h"

namespace attune {
namespace {

TEST(SignalsTest, StopSignalsWaitToBeCollected) {
  BlockStopSignals();
  EXPECT_EQ(WaitForStopSignal(absl::ZeroDuration()), 0);
  ::kill(::getpid(), SIGTERM);
  EXPECT_EQ(WaitForStopSignal(), SIGTERM);
  ::kill(::getpid(), SIGINT);
  EXPECT_EQ(WaitForStopSignal(absl::Seconds(60)), SIGINT);
  EXPECT_EQ(WaitForStopSignal(absl::Milliseconds(1)), 0);
  UnblockStopSignals();
}

TEST(SignalsDeathTest, UnblockedSignalsEndTheProcess) {
  EXPECT_EXIT(
      {
        BlockStopSignals();
        UnblockStopSignals();
        ::kill(::getpid(), SIGTERM);
        ::pause();
      },
      ::testing::KilledBySignal(SIGTERM), "");
}

}  // namespace
}  // namespace attune
