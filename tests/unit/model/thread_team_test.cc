#include "model/thread_team.h"

#include <atomic>
#include <vector>

#include "gtest/gtest.h"

namespace attune {
namespace {

TEST(ThreadTeamTest, DoesEveryPieceOnce) {
  for (int threads : {1, 2, 5}) {
    ThreadTeam team(threads);
    for (int64_t count : {0, 1, 2, 3, 100}) {
      for (int repeat = 0; repeat < 200; ++repeat) {
        std::vector<std::atomic<int>> done(count);
        team.Run(count, [&](int64_t i) { ++done[i]; });
        for (const std::atomic<int>& times : done) ASSERT_EQ(1, times);
      }
    }
  }
}

TEST(ThreadTeamTest, WhatALoopWroteIsThereForTheNext) {
  ThreadTeam team(3);
  std::vector<int64_t> values(64, 0);
  for (int64_t loop = 1; loop <= 5000; ++loop) {
    team.Run(64, [&](int64_t i) {
      EXPECT_EQ(values[i], loop - 1);  // perhaps by another thread
      values[i] = loop;
    });
  }
}

}  // namespace
}  // namespace attune
