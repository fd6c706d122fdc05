#include "common/threads.h"

#include <atomic>
#include <vector>

#include "gtest/gtest.h"

namespace attune {
namespace {

TEST(RunInThreadsTest, RunsEachOnce) {
  for (const int threads : {1, 3, 100}) {
    std::vector<std::atomic<int>> runs(20);
    RunInThreads(runs.size(), threads, [&](size_t i) { ++runs[i]; });
    for (const std::atomic<int>& count : runs) EXPECT_EQ(1, count.load()) << threads;
  }
}

TEST(RunInThreadsTest, NothingToDoIsDone) {
  RunInThreads(0, 4, [](size_t) { FAIL(); });
}

}  // namespace
}  // namespace attune
