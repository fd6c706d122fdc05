#include "worker/objectives/unpaired_losses.h"

#include <cmath>

#include <ATen/ATen.h>

#include "gtest/gtest.h"
#include "tests/unit/objectives/loss_batches.h"

namespace attune {
namespace {

LossOptions Beta(double beta) {
  LossOptions options;
  options.beta = beta;
  return options;
}

LossBatch WithMismatched(LossBatch batch, const std::vector<double>& log_ratios) {
  batch.mismatched = PairsOfLogRatios(log_ratios, {}).chosen;
  return batch;
}

TEST(KtoLossTest, MeasuresFromTheDivergenceOfMismatchedResponses) {
  LossOptions options = Beta(0.5);
  options.desirable_weight = 2;
  options.undesirable_weight = 3;
  const LossBatch batch = WithMismatched(PairsOfLogRatios({5, 1}, {-1}), {1, 5});  // KL 3
  ExpectClose(KtoLoss(batch, options), {2 * Sigmoid(-1), 2 * Sigmoid(1), 3 * Sigmoid(-2)});
}

TEST(KtoLossTest, ADivergenceBelowZeroCountsAsZero) {
  const LossBatch batch = WithMismatched(PairsOfLogRatios({2}, {-4}), {1, -5});
  ExpectClose(KtoLoss(batch, Beta(0.5)), {Sigmoid(-1), Sigmoid(-2)});
}

TEST(KtoLossTest, TheDivergenceHasNoGradient) {
  LossBatch batch = WithMismatched(PairsOfLogRatios({2}, {-4}), {1, 5});
  batch.chosen.logps.set_requires_grad(true);
  batch.mismatched.logps.set_requires_grad(true);
  KtoLoss(batch, Beta(0.5)).sum().backward();
  EXPECT_LT(batch.chosen.logps.grad().item<double>(), 0);
  EXPECT_FALSE(batch.mismatched.logps.grad().defined());
}

TEST(KtoLossTest, TakesBatchesOfOneKind) {
  const LossBatch desirable = WithMismatched(PairsOfLogRatios({2}, {}), {0});
  ExpectClose(KtoLoss(desirable, Beta(0.5)), {Sigmoid(-1)});
  const LossBatch undesirable = WithMismatched(PairsOfLogRatios({}, {2}), {0});
  ExpectClose(KtoLoss(undesirable, Beta(0.5)), {Sigmoid(1)});
}

TEST(KtoLossDeathTest, NeedsMismatchedResponses) {
  const LossBatch batch = WithMismatched(PairsOfLogRatios({2}, {-4}), {});
  EXPECT_DEATH(KtoLoss(batch, Beta(0.5)), "check failed");
}

TEST(ApoZeroUnpairedLossTest, IsKtoWithoutDivergence) {
  LossOptions options = Beta(0.5);
  options.undesirable_weight = 3;
  ExpectClose(ApoZeroUnpairedLoss(PairsOfLogRatios({2, 0}, {-4}), options),
              {Sigmoid(-1), 0.5, 3 * Sigmoid(-2)});
}

TEST(BcoLossTest, ClassifiesRewardsAgainstTheShift) {
  LossOptions options = Beta(0.5);
  options.bco_shift = 0.25;
  ExpectClose(BcoLoss(PairsOfLogRatios({2}, {-4, 1}), options),
              {-LogSigmoid(0.75), -LogSigmoid(2.25), -LogSigmoid(-0.25)});
}

TEST(UpdateRewardMeanTest, IsTheMeanOfAllRewardsOfBothSides) {
  RunningMean mean = UpdateRewardMean({}, PairsOfLogRatios({1, 2}, {3}), 0.5);
  EXPECT_NEAR(mean.mean, 1, 1e-12);
  EXPECT_EQ(mean.count, 3);
  mean = UpdateRewardMean(mean, PairsOfLogRatios({10}, {}), 0.5);
  EXPECT_NEAR(mean.mean, 2, 1e-12);
  EXPECT_EQ(mean.count, 4);
}

TEST(UpdateRewardMeanTest, NothingAbsorbedChangesNothing) {
  EXPECT_EQ(UpdateRewardMean({}, PairsOfLogRatios({}, {}), 0.5).mean, 0);
}

TEST(AotUnpairedLossTest, ComparesOrderStatisticsInTheOrderOfTheDesirable) {
  const LossBatch batch = PairsOfLogRatios({3, -1, 2}, {5, 0, 1});
  // Sorted: -1, 2, 3 against 0, 1, 5.
  ExpectClose(AotUnpairedLoss(batch, Beta(1)), {-LogSigmoid(-2), -LogSigmoid(-1), -LogSigmoid(1)});
}

TEST(AotUnpairedLossTest, GradientsReachTheMatchedResponses) {
  LossBatch batch = PairsOfLogRatios({3, -1}, {5, 0});
  batch.chosen.logps.set_requires_grad(true);
  batch.rejected.logps.set_requires_grad(true);
  AotUnpairedLoss(batch, Beta(1)).sum().backward();
  ExpectClose(batch.chosen.logps.grad(), {-Sigmoid(2), -Sigmoid(1)});
  ExpectClose(batch.rejected.logps.grad(), {Sigmoid(2), Sigmoid(1)});
}

TEST(AotUnpairedLossDeathTest, NeedsAsManyOfEachKind) {
  EXPECT_DEATH(AotUnpairedLoss(PairsOfLogRatios({1, 2}, {3}), Beta(1)), "check failed");
}

TEST(DdoLossTest, AddsTheMeansOfTheTwoSides) {
  LossOptions options = Beta(0.5);
  options.ddo_alpha = 4;
  const at::Tensor losses = DdoLoss(PairsOfLogRatios({2}, {-4, 1, 0}), options);
  const double data = -LogSigmoid(1);
  const double samples = -(LogSigmoid(2) + LogSigmoid(-0.5) + LogSigmoid(0)) / 3;
  ExpectClose(losses.mean(), {data + 4 * samples});
  ExpectClose(losses[0], {4 * data});
}

}  // namespace
}  // namespace attune
