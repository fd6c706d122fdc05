#include "worker/objectives/pairwise_losses.h"

#include <cmath>

#include <ATen/ATen.h>

#include "gtest/gtest.h"
#include "tests/unit/objectives/loss_batches.h"

namespace attune {
namespace {

LossOptions Beta(double beta, double label_smoothing = 0) {
  LossOptions options;
  options.beta = beta;
  options.label_smoothing = label_smoothing;
  return options;
}

TEST(SigmoidLossTest, IsDpo) {
  const LossBatch batch = PairsOfLogRatios({3, -1, 0}, {1, 4, 0});
  ExpectClose(SigmoidLoss(batch, Beta(0.5)), {-LogSigmoid(1), -LogSigmoid(-2.5), std::log(2)});
}

TEST(SigmoidLossTest, GradientsOfChosenAndRejectedAreOpposite) {
  LossBatch batch = PairsOfLogRatios({3}, {1});
  batch.chosen.logps.set_requires_grad(true);
  batch.rejected.logps.set_requires_grad(true);
  SigmoidLoss(batch, Beta(0.5)).sum().backward();
  ExpectClose(batch.chosen.logps.grad(), {-0.5 * Sigmoid(-1)});
  ExpectClose(batch.rejected.logps.grad(), {0.5 * Sigmoid(-1)});
}

TEST(SigmoidLossTest, SmoothsSoftTargets) {
  LossBatch batch = PairsOfLogRatios({3}, {1});
  batch.target = Doubles({0.75});
  ExpectClose(SigmoidLoss(batch, Beta(0.5, 0.1)), {-0.7 * LogSigmoid(1) - 0.3 * LogSigmoid(-1)});
}

TEST(SigmoidLossTest, TakesTheDivergenceOfTheOptions) {
  const LossBatch batch = PairsOfLogRatios({2}, {-1});
  LossOptions options = Beta(0.1);
  options.f_divergence = FDivergence::kForwardKl;
  ExpectClose(SigmoidLoss(batch, options), {-LogSigmoid(0.1 * (std::exp(1) - std::exp(-2)))});
}

TEST(DnoLossTest, TargetOfAHalfAtTheReferenceIsLnTwoWithoutGradient) {
  LossBatch batch = PairsOfLogRatios({0}, {0});
  batch.target = Doubles({0.5});
  batch.chosen.logps.set_requires_grad(true);
  const at::Tensor loss = DnoLoss(batch, Beta(0.1));
  loss.sum().backward();
  ExpectClose(loss, {std::log(2)});
  ExpectClose(batch.chosen.logps.grad(), {0});
}

TEST(DnoLossTest, IsLeastWhereTheModelHasTheTarget) {
  LossBatch batch = PairsOfLogRatios({0.2, 0.3, 0.4}, {0, 0, 0});
  batch.target = at::full({3}, Sigmoid(0.3), at::kDouble);
  const at::Tensor losses = DnoLoss(batch, Beta(1));
  EXPECT_LT(losses[1].item<double>(), losses[0].item<double>());
  EXPECT_LT(losses[1].item<double>(), losses[2].item<double>());
}

TEST(DnoLossTest, IgnoresLabelSmoothing) {
  LossBatch batch = PairsOfLogRatios({2}, {0});
  batch.target = Doubles({0.8});
  ExpectClose(DnoLoss(batch, Beta(1, 0.3)), {-0.8 * LogSigmoid(2) - 0.2 * LogSigmoid(-2)});
}

TEST(SigmoidNormLossTest, DividesByLengths) {
  LossBatch batch = PairsOfLogRatios({6}, {-4});
  batch.chosen.lengths = Doubles({3});
  batch.rejected.lengths = Doubles({2});
  ExpectClose(SigmoidNormLoss(batch, Beta(0.5)), {-LogSigmoid(2)});
}

TEST(HingeLossTest, EndsAtTheMargin) {
  ExpectClose(HingeLoss(PairsOfLogRatios({1, 4, -4}, {0, 0, 0}), Beta(0.5)), {0.5, 0, 3});
}

TEST(IpoLossTest, RegressesTheGapPerTokenToTheMargin) {
  LossBatch batch = PairsOfLogRatios({6, 3}, {-4, 1});
  batch.chosen.lengths = Doubles({3, 1});
  batch.rejected.lengths = Doubles({2, 1});
  ExpectClose(IpoLoss(batch, Beta(0.5)), {9, 1});
  ExpectClose(IpoSumLoss(batch, Beta(0.5)), {81, 1});
}

TEST(RobustLossTest, IsUnbiasedUnderFlippedLabels) {
  const double eps = 0.2;
  const at::Tensor kept = RobustLoss(PairsOfLogRatios({3}, {1}), Beta(0.5, eps));
  const at::Tensor flipped = RobustLoss(PairsOfLogRatios({1}, {3}), Beta(0.5, eps));
  ExpectClose((1 - eps) * kept + eps * flipped, {-LogSigmoid(1)});
}

TEST(ExoPairLossTest, IsTheDivergenceToTheSmoothedLabel) {
  const double p = Sigmoid(1), q = 1 - p;
  ExpectClose(ExoPairLoss(PairsOfLogRatios({3}, {1}), Beta(0.5, 0.1)),
              {p * std::log(p / 0.9) + q * std::log(q / 0.1)});
  const double h = std::log(0.9 / 0.1) / 0.5;
  ExpectClose(ExoPairLoss(PairsOfLogRatios({h}, {0}), Beta(0.5, 0.1)), {0});
}

TEST(ExoPairLossDeathTest, NeedsLabelSmoothing) {
  EXPECT_DEATH(ExoPairLoss(PairsOfLogRatios({3}, {1}), Beta(0.5, 0)), "check failed");
}

TEST(NcaPairLossTest, IsThreeHalvesOfLnTwoMoreAtTheReference) {
  ExpectClose(NcaPairLoss(PairsOfLogRatios({0, 2}, {0, -4}), Beta(0.5)),
              {2 * std::log(2), -LogSigmoid(1) - 0.5 * LogSigmoid(-1) - 0.5 * LogSigmoid(2)});
}

TEST(BcoPairLossTest, ComparesRewardsWithTheShift) {
  LossOptions options = Beta(0.5);
  ExpectClose(BcoPairLoss(PairsOfLogRatios({2}, {-4}), options), {-LogSigmoid(1) - LogSigmoid(2)});
  options.bco_shift = 0.25;
  ExpectClose(BcoPairLoss(PairsOfLogRatios({2}, {-4}), options),
              {-LogSigmoid(0.75) - LogSigmoid(2.25)});
}

TEST(SppoLossTest, RegressesLogRatiosToWinRates) {
  LossBatch batch = PairsOfLogRatios({3}, {-2});
  batch.chosen_win_rate = Doubles({0.9});
  batch.rejected_win_rate = Doubles({0.4});
  // Targets (0.9 - 0.5) / 0.1 = 4 and (0.4 - 0.5) / 0.1 = -1.
  ExpectClose(SppoLoss(batch, Beta(0.1)), {0.5 * (1 + 1)});
}

TEST(SppoLossTest, OneProbabilityStandsForBothWinRates) {
  LossBatch batch = PairsOfLogRatios({3}, {-2});
  batch.win_probability = Doubles({0.9});
  ExpectClose(SppoSingleLoss(batch, Beta(0.1)), {0.5 * (1 + 4)});
}

TEST(SppoLossTest, HardLabelsAreCertainWinRatesWithoutTheHalf) {
  LossBatch batch = PairsOfLogRatios({3}, {-2});
  batch.win_probability = Doubles({1});
  ExpectClose(SppoHardLoss(batch, Beta(0.1)), {4 + 9});
  ExpectClose(SppoSingleLoss(batch, Beta(0.1)), {0.5 * (4 + 9)});
}

TEST(AotLossTest, IsDpoForOnePair) {
  const LossBatch batch = PairsOfLogRatios({3}, {1});
  ExpectClose(AotLoss(batch, Beta(0.5, 0.1)), {SigmoidLoss(batch, Beta(0.5, 0.1)).item<double>()});
}

TEST(AotLossTest, ComparesOrderStatistics) {
  LossBatch batch;
  batch.chosen.logps = Doubles({-1, -5, -2});
  batch.rejected.logps = Doubles({-2, -2, -4});  // 1, -3, 2
  batch.chosen.reference_logps = Doubles({-3, -3, -3});
  batch.rejected.reference_logps = Doubles({-4, -3, -1});  // 1, 0, -2
  // Sorted: -3, 1, 2 against -2, 0, 1.
  ExpectClose(AotLoss(batch, Beta(1)), {-LogSigmoid(1), -LogSigmoid(-1), -LogSigmoid(1)});
}

TEST(ApoLossTest, AnchorsBothResponses) {
  const LossBatch batch = PairsOfLogRatios({2}, {-4});
  ExpectClose(ApoZeroLoss(batch, Beta(0.5)), {1 - Sigmoid(1) + Sigmoid(-2)});
  ExpectClose(ApoDownLoss(batch, Beta(0.5)), {Sigmoid(1) + 1 - Sigmoid(3)});
}

TEST(ApoLossTest, ZeroPushesTheChosenUpAndDownPushesItDown) {
  LossBatch batch = PairsOfLogRatios({0}, {-20});
  batch.chosen.logps.set_requires_grad(true);
  ApoZeroLoss(batch, Beta(0.5)).sum().backward();
  EXPECT_LT(batch.chosen.logps.grad().item<double>(), 0);
  batch.chosen.logps.mutable_grad() = at::Tensor();
  ApoDownLoss(batch, Beta(0.5)).sum().backward();
  EXPECT_GT(batch.chosen.logps.grad().item<double>(), 0);
}

TEST(DiscopopLossTest, MixesLogisticAndExponentialLosses) {
  LossOptions options = Beta(0.5);
  options.discopop_tau = 0.25;
  const double m = Sigmoid(0.5 / 0.25);
  ExpectClose(DiscopopLoss(PairsOfLogRatios({1}, {0}), options),
              {-(1 - m) * LogSigmoid(0.5) + m * std::exp(-0.5)});
  // Far from 0 one of them is left.
  ExpectClose(DiscopopLoss(PairsOfLogRatios({-2000, 40}, {0, 0}), options), {1000, std::exp(-20)});
}

TEST(DpopLossTest, PenalisesAChosenResponseThatBecameLessLikely) {
  LossOptions options = Beta(0.5);
  options.dpop_lambda = 3;
  ExpectClose(DpopLoss(PairsOfLogRatios({2, -1}, {1, -5}), options),
              {-LogSigmoid(0.5), -LogSigmoid(0.5 * (4 - 3))});
}

TEST(DpopLossTest, HasNoPenaltyGradientAtTheReference) {
  LossBatch batch = PairsOfLogRatios({0}, {0});
  batch.chosen.logps.set_requires_grad(true);
  DpopLoss(batch, Beta(0.1)).sum().backward();
  ExpectClose(batch.chosen.logps.grad(), {-0.05});
}

TEST(RDpoLossTest, ALongerWinnerStartsWithALargerLogit) {
  LossBatch batch = PairsOfLogRatios({0}, {0});
  batch.chosen.lengths = Doubles({30});
  batch.rejected.lengths = Doubles({10});
  ExpectClose(RDpoLoss(batch, Beta(0.1)), {-LogSigmoid(0.2)});
}

TEST(XpoLossTest, AddsOptimismToDpoOfTheWinner) {
  LossBatch batch = PairsOfLogRatios({3, 3}, {1, 1});
  batch.target = Doubles({1, 0});
  LossOptions options = Beta(0.5);
  options.xpo_alpha = 0.01;
  const double optimism = 0.01 * -19;  // log pi of the reference's sample
  ExpectClose(XpoLoss(batch, options), {-LogSigmoid(1) + optimism, -LogSigmoid(-1) + optimism});
  ExpectClose(XpoIpoLoss(batch, options), {1 + optimism, 9 + optimism});
}

LossBatch BatchWithKl(double chosen_kl, double rejected_kl) {
  LossBatch batch = PairsOfLogRatios({3}, {1});
  batch.chosen.sequence_kl = Doubles({chosen_kl}).set_requires_grad(true);
  batch.rejected.sequence_kl = Doubles({rejected_kl}).set_requires_grad(true);
  return batch;
}

TEST(TdpoLossTest, FirstFormHasGradientsOfBothDivergences) {
  LossBatch batch = BatchWithKl(0.5, 1.5);
  const at::Tensor loss = Tdpo1Loss(batch, Beta(1));
  loss.sum().backward();
  ExpectClose(loss, {-LogSigmoid(1)});
  ExpectClose(batch.chosen.sequence_kl.grad(), {-Sigmoid(-1)});
  ExpectClose(batch.rejected.sequence_kl.grad(), {Sigmoid(-1)});
}

TEST(TdpoLossTest, SecondFormStopsTheGradientOfTheChosenDivergence) {
  LossBatch batch = BatchWithKl(0.5, 1.5);
  const at::Tensor loss = Tdpo2Loss(batch, Beta(1));  // alpha 0.5
  loss.sum().backward();
  ExpectClose(loss, {-LogSigmoid(1.5)});
  EXPECT_FALSE(batch.chosen.sequence_kl.grad().defined());
  ExpectClose(batch.rejected.sequence_kl.grad(), {0.5 * Sigmoid(-1.5)});
}

TEST(TdpoLossTest, RewardsHoldTheDivergences) {
  const Rewards rewards = TdpoRewards(BatchWithKl(0.5, 1.5), Beta(0.1));
  ExpectClose(rewards.chosen, {0.35});
  ExpectClose(rewards.rejected, {0.25});
}

}  // namespace
}  // namespace attune
