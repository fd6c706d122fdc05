#include "worker/objectives/reasoning_reflection.h"

#include <ATen/ATen.h>

#include "gtest/gtest.h"
#include "tests/unit/objectives/loss_batches.h"

namespace attune {
namespace {

TEST(ReasoningReflectionTest, OnlyTokensThatDependOnTheReasoningCount) {
  // The first token is the same after either chain, the second is likelier after the second one.
  const at::Tensor logps = Doubles({-1, -3, -1, -1}).view({2, 2});
  const ReasoningReflection result = ReflectOnReasoning(logps, Doubles({-5, -2}));
  ExpectClose(result.sigma, {0, 1});
  ExpectClose(result.weights, {0, 1});
  ExpectClose(result.rewards, {-1, 1});
}

TEST(ReasoningReflectionTest, WeightsAreSharesOfTheDeviation) {
  const at::Tensor logps = Doubles({-1, -4, -3, -8}).view({2, 2});
  const ReasoningReflection result = ReflectOnReasoning(logps, Doubles({-2, -6}));
  ExpectClose(result.weights, {1.0 / 3, 2.0 / 3});
  ExpectClose(result.rewards, {1.0 / 3 + 4.0 / 3, -1.0 / 3 - 4.0 / 3});
}

TEST(ReasoningReflectionTest, ChainsThatChangeNothingEarnNothing) {
  const at::Tensor logps = Doubles({-1, -2, -1, -2}).view({2, 2});
  ExpectClose(ReflectOnReasoning(logps, Doubles({-3, -3})).rewards, {0, 0});
}

}  // namespace
}  // namespace attune
