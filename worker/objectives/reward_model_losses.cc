#include "worker/objectives/reward_model_losses.h"

#include <ATen/ATen.h>

namespace attune {

at::Tensor RewardModelLoss(const at::Tensor& chosen, const at::Tensor& rejected,
                           const at::Tensor& margins, double center) {
  const at::Tensor gap = chosen - rejected;
  return -at::log_sigmoid(margins.defined() ? gap - margins : gap) +
         center * at::square(chosen + rejected);
}

at::Tensor BradleyTerryLoss(const LossBatch& batch, const LossOptions& options) {
  return RewardModelLoss(batch.chosen.rewards, batch.rejected.rewards, batch.score_margin,
                         options.center_rewards);
}

Rewards HeadRewards(const LossBatch& batch, const LossOptions&) {
  return {batch.chosen.rewards.detach(), batch.rejected.rewards.detach()};
}

}  // namespace attune
