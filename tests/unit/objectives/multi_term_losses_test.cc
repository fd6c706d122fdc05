#include "worker/objectives/multi_term_losses.h"

#include <cmath>

#include <ATen/ATen.h>

#include "gtest/gtest.h"
#include "tests/unit/objectives/loss_batches.h"
#include "worker/objectives/pairwise_losses.h"

namespace attune {
namespace {

LossOptions Beta(double beta) {
  LossOptions options;
  options.beta = beta;
  return options;
}

LossBatch WithMargins(double chosen, double rejected) {
  LossBatch batch = PairsOfLogRatios({3}, {1});
  batch.chosen_margin = Doubles({chosen});
  batch.rejected_margin = Doubles({rejected});
  return batch;
}

TEST(ModpoLossTest, IsDpoWithoutOtherObjectives) {
  ExpectClose(ModpoLoss(WithMargins(0, 0), Beta(0.5)), {-LogSigmoid(1)});
}

TEST(ModpoLossTest, SubtractsTheMarginsAndScalesByTheWeight) {
  LossOptions options = Beta(0.5);
  options.objective_weight = 0.25;
  const LossBatch batch = WithMargins(0.4, 0.1);  // rewards 4.4 and 1.6
  ExpectClose(ModpoLoss(batch, options), {-LogSigmoid(2.8)});
  ExpectClose(ModpoHingeLoss(batch, options), {0});
  ExpectClose(ModpoHingeLoss(WithMargins(1, 0), options), {1});
  const Rewards rewards = ModpoRewards(batch, options);
  ExpectClose(rewards.chosen, {4.4});
  ExpectClose(rewards.rejected, {1.6});
}

TEST(ModpoLossDeathTest, RefusesAWeightOfZero) {
  LossOptions options = Beta(0.5);
  options.objective_weight = 0;
  EXPECT_DEATH(ModpoLoss(WithMargins(0, 0), options), "check failed");
}

TEST(McmDpoLossTest, WithoutViewsIsDpo) {
  LossOptions options = Beta(0.5);
  options.view_norm = 2;
  ExpectClose(McmDpoLoss(PairsOfLogRatios({3}, {1}), options), {-LogSigmoid(0.5)});
}

TEST(McmDpoLossTest, AddsTheMarginsOfTheViewsInOneLogit) {
  LossBatch batch = PairsOfLogRatios({3}, {1});
  batch.views = {PairsOfLogRatios({2}, {}).chosen, PairsOfLogRatios({8}, {}).chosen};
  LossOptions options = Beta(0.5);
  options.view_weights = {0.5, 0.2};
  options.view_norm = 2.8;
  ExpectClose(McmDpoLoss(batch, options), {-LogSigmoid(0.5 * (2 + 0.5 - 1) / 2.8)});
}

TEST(McmDpoLossDeathTest, NeedsAWeightForEachView) {
  LossBatch batch = PairsOfLogRatios({3}, {1});
  batch.views = {batch.chosen};
  EXPECT_DEATH(McmDpoLoss(batch, Beta(0.5)), "check failed");
}

TEST(RealignLossTest, AddsThePairOfConditions) {
  LossBatch batch = PairsOfLogRatios({3}, {1});
  batch.corrupted = PairsOfLogRatios({-1}, {}).chosen;
  batch.corrupted.logps.set_requires_grad(true);
  const at::Tensor loss = RealignLoss(batch, Beta(0.5));
  ExpectClose(loss, {-LogSigmoid(1) - LogSigmoid(2)});
  loss.sum().backward();
  ExpectClose(batch.corrupted.logps.grad(), {0.5 * Sigmoid(-2)});
}

TEST(NashMdLossTest, GradientIsThatOfTheRegularisedWinRate) {
  LossBatch batch;
  const at::Tensor logps = Doubles({-2, -3}).set_requires_grad(true);
  const TokenSequences tokens = {at::tensor({0, 0}, at::kLong), 1};
  batch.chosen = ColumnsOf({logps, Doubles({-2.5, -2}), {}}, tokens);
  batch.win_probability = Doubles({0.9});
  const at::Tensor loss = NashMdLoss(batch, Beta(0.2));
  ExpectClose(loss, {0.2 * (0.5 * -2 + -1 * -3) - 0.4 * -5});
  loss.sum().backward();
  ExpectClose(logps.grad(), {0.2 * 0.5 - 0.4, 0.2 * -1 - 0.4});
}

LossOptions Chasing(double beta, double alpha) {
  LossOptions options = Beta(beta);
  options.fast_slow_alpha = alpha;
  return options;
}

TEST(OfsDpoLossesTest, AddAndSubtractTheChasingTerm) {
  const FastSlowLosses losses =
      OfsDpoLosses(Doubles({5}), Doubles({3}), Doubles({1}), Chasing(0.5, 0.4));
  ExpectClose(losses.fast, {-LogSigmoid(2) - 0.4 * LogSigmoid(1)});
  ExpectClose(losses.slow, {-LogSigmoid(1) + 0.4 * LogSigmoid(1)});
}

TEST(OfsDpoLossesTest, BothModulesAreStillPushedWhereTheyAgree) {
  // Without the detached margins the two terms would cancel.
  const at::Tensor fast = Doubles({1000}).set_requires_grad(true);
  const at::Tensor slow = Doubles({1000}).set_requires_grad(true);
  const FastSlowLosses losses = OfsDpoLosses(fast, slow, Doubles({0}), Chasing(0.5, 0.4));
  (losses.fast + losses.slow).sum().backward();
  ExpectClose(fast.grad(), {-0.5 * 0.4 * 0.5});
  ExpectClose(slow.grad(), {-0.5 * 0.4 * 0.5});
}

TEST(OfsDpoLossesTest, TheChaseEndsAtTheClamp) {
  const at::Tensor fast = Doubles({0}).set_requires_grad(true);
  const at::Tensor slow = Doubles({21}).set_requires_grad(true);
  const FastSlowLosses losses = OfsDpoLosses(fast, slow, Doubles({0}), Chasing(0.5, 0.4));
  ExpectClose(losses.slow, {-LogSigmoid(10.5) + 0.4 * LogSigmoid(-10)});
  losses.slow.sum().backward();
  ExpectClose(slow.grad(), {-0.5 * Sigmoid(-10.5)});
  EXPECT_FALSE(fast.grad().defined());
}

TEST(ShouldSwapRolesTest, GivesTheFastRoleToTheLowerLoss) {
  EXPECT_TRUE(ShouldSwapRoles(Doubles({1, 3}), Doubles({1, 2})));
  EXPECT_FALSE(ShouldSwapRoles(Doubles({1, 2}), Doubles({1, 3})));
  EXPECT_FALSE(ShouldSwapRoles(Doubles({1, 2}), Doubles({2, 1})));
}

TEST(SurrogateLogpsTest, AreMinusHalfTheMeanSquaredErrors) {
  const at::Tensor predictions = Doubles({1, 2, 0, 0, 3, 0, 0, 1}).view({2, 2, 2});
  ExpectClose(SurrogateLogps(predictions, at::zeros_like(predictions)), {-5.0 / 8, -10.0 / 8});
}

TEST(SurrogateLogpsTest, AWinnerThatIsPredictedBetterThanByTheReferenceWins) {
  const at::Tensor targets = at::zeros({2, 4}, at::kDouble);
  const at::Tensor policy = SurrogateLogps(at::full({2, 4}, 1, at::kDouble), targets);
  const at::Tensor reference = SurrogateLogps(at::full({2, 4}, 3, at::kDouble), targets);
  LossBatch batch;
  batch.chosen.logps = policy.slice(0, 0, 1);
  batch.chosen.reference_logps = reference.slice(0, 0, 1);
  batch.rejected.logps = reference.slice(0, 1);
  batch.rejected.reference_logps = reference.slice(0, 1);
  ExpectClose(SigmoidLoss(batch, Beta(0.5)), {-LogSigmoid(0.5 * 4)});
}

}  // namespace
}  // namespace attune
