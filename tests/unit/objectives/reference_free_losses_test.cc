#include "worker/objectives/reference_free_losses.h"

#include <cmath>

#include <ATen/ATen.h>

#include "gtest/gtest.h"
#include "tests/unit/objectives/loss_batches.h"

namespace attune {
namespace {

// One pair of responses of 4 and 2 tokens: A = -2 and -3.
LossBatch Pair() {
  LossBatch batch;
  batch.chosen.logps = Doubles({-8});
  batch.chosen.lengths = Doubles({4});
  batch.rejected.logps = Doubles({-6});
  batch.rejected.lengths = Doubles({2});
  return batch;
}

LossOptions Options(double beta, double gamma = 0) {
  LossOptions options;
  options.beta = beta;
  options.simpo_gamma = gamma;
  return options;
}

TEST(SimpoLossTest, ComparesMeansWithATargetMargin) {
  ExpectClose(SimpoLoss(Pair(), Options(2, 0.5)), {-LogSigmoid(1.5)});
  ExpectClose(SimpoHingeLoss(Pair(), Options(0.5, 0.25)), {0.75});
  const Rewards rewards = MeanLogpRewards(Pair(), Options(2));
  ExpectClose(rewards.chosen, {-4});
  ExpectClose(rewards.rejected, {-6});
}

TEST(SimpoLossTest, SmoothsLabels) {
  LossOptions options = Options(2, 0.5);
  options.label_smoothing = 0.1;
  ExpectClose(SimpoLoss(Pair(), options), {-0.9 * LogSigmoid(1.5) - 0.1 * LogSigmoid(-1.5)});
}

TEST(AlphaPoLossTest, TransformsTheReward) {
  LossOptions options = Options(2, 0.5);
  options.alphapo_alpha = 0.25;
  const auto reward = [](double a) { return (1 - std::exp(-0.25 * a)) / 0.25; };
  ExpectClose(AlphaPoLoss(Pair(), options), {-LogSigmoid(2 * (reward(-2) - reward(-3)) - 0.5)});
  ExpectClose(AlphaPoRewards(Pair(), options).chosen, {2 * reward(-2)});
}

TEST(AlphaPoLossTest, IsSimpoAtAlphaZero) {
  LossOptions options = Options(2, 0.5);
  const double simpo = SimpoLoss(Pair(), options).item<double>();
  ExpectClose(AlphaPoLoss(Pair(), options), {simpo});
  options.alphapo_alpha = 1e-7;
  ExpectClose(AlphaPoLoss(Pair(), options), {simpo}, 1e-5);
}

TEST(CpoLossTest, ComparesSums) {
  ExpectClose(CpoLoss(Pair(), Options(0.5)), {-LogSigmoid(-1)});
  ExpectClose(CpoHingeLoss(Pair(), Options(0.5)), {2});
  ExpectClose(CpoIpoLoss(Pair(), Options(0.25)), {1});  // over means
}

TEST(SlicLossTest, IsZeroBeyondTheMargin) {
  LossBatch batch = Pair();
  ExpectClose(SlicLoss(batch, Options(1.5)), {3.5});
  batch.rejected.logps = Doubles({-10});
  ExpectClose(SlicLoss(batch, Options(1.5)), {0});
}

TEST(OrpoLossTest, IsTheLogisticLossOfTheOddsRatio) {
  const auto odds = [](double a) { return std::exp(a) / (1 - std::exp(a)); };
  ExpectClose(OrpoLoss(Pair(), Options(0.1)), {-0.1 * LogSigmoid(std::log(odds(-2) / odds(-3)))});
}

TEST(OrpoLossTest, IsAccurateWhereTheProbabilityIsNearOneOrZero) {
  LossBatch batch = Pair();
  batch.chosen.lengths = at::ones({1}, at::kDouble);
  batch.rejected.lengths = at::ones({1}, at::kDouble);
  batch.chosen.logps = Doubles({-1e-9});
  batch.rejected.logps = Doubles({-2e-9});
  ExpectClose(OrpoLoss(batch, Options(1)), {-LogSigmoid(std::log(2))}, 1e-9);
  batch.chosen.logps = Doubles({-500});
  batch.rejected.logps = Doubles({-501});
  ExpectClose(OrpoLoss(batch, Options(1)), {-LogSigmoid(1)});
}

TEST(SftLossTest, MeanOverPairsIsTheMeanOverTokens) {
  LossBatch batch;
  batch.chosen.logps = Doubles({-8, -3});
  batch.chosen.lengths = Doubles({4, 1});
  ExpectClose(SftLoss(batch, {}).mean(), {11.0 / 5});
}

}  // namespace
}  // namespace attune
