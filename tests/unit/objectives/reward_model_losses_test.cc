#include "worker/objectives/reward_model_losses.h"

#include <cmath>

#include <ATen/ATen.h>

#include "gtest/gtest.h"
#include "tests/unit/objectives/loss_batches.h"

namespace attune {
namespace {

TEST(RewardModelLossTest, IsTheLogisticLossOfTheDifference) {
  ExpectClose(RewardModelLoss(Doubles({3, 1, -1e4}), Doubles({1, 1, 1e4})),
              {-LogSigmoid(2), std::log(2), 2e4});
}

TEST(RewardModelLossTest, AsksForTheMargin) {
  ExpectClose(RewardModelLoss(Doubles({3, 1}), Doubles({1, 1}), Doubles({2, 0.5})),
              {std::log(2), -LogSigmoid(-0.5)});
}

TEST(RewardModelLossTest, DrawsRewardsToTheCentre) {
  const at::Tensor chosen = Doubles({3}).set_requires_grad(true);
  const at::Tensor loss = RewardModelLoss(chosen, Doubles({1}), {}, 0.01);
  ExpectClose(loss, {-LogSigmoid(2) + 0.16});
  loss.sum().backward();
  ExpectClose(chosen.grad(), {-Sigmoid(-2) + 0.08});
}

TEST(RewardModelLossTest, ReadsTheRewardsAndMarginsOfABatch) {
  LossBatch batch;
  batch.chosen.rewards = Doubles({3, 1});
  batch.rejected.rewards = Doubles({1, 1});
  LossOptions options;
  ExpectClose(BradleyTerryLoss(batch, options), {-LogSigmoid(2), std::log(2)});
  batch.score_margin = Doubles({2, 0.5});
  options.center_rewards = 0.01;
  ExpectClose(BradleyTerryLoss(batch, options), {std::log(2) + 0.16, -LogSigmoid(-0.5) + 0.04});
  ExpectClose(HeadRewards(batch, options).chosen, {3, 1});
  ExpectClose(HeadRewards(batch, options).rejected, {1, 1});
}

}  // namespace
}  // namespace attune
