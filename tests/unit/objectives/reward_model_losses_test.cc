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

}  // namespace
}  // namespace attune
