// Losses of explicit reward models, which score responses with a head of their own.
#ifndef ATTUNE_WORKER_OBJECTIVES_REWARD_MODEL_LOSSES_H_
#define ATTUNE_WORKER_OBJECTIVES_REWARD_MODEL_LOSSES_H_

#include <ATen/core/Tensor.h>

#include "worker/objectives/loss.h"

namespace attune {

// Bradley-Terry loss of the rewards of pairs, [pairs]: -logsig(chosen - rejected - margin) + c
// (chosen + rejected)^2, c = `center`, which keeps rewards around 0 (Eisenstein et al. 2023).
// `margins` [pairs], how much better chosen is (Touvron et al. 2023); undefined: 0. OpenRLHF's
// LogExpLoss, log(1 + exp(rejected - chosen)), is the same without either.
at::Tensor RewardModelLoss(const at::Tensor& chosen, const at::Tensor& rejected,
                           const at::Tensor& margins = {}, double center = 0);

// The same of a batch: its rewards, score_margin and center_rewards.
at::Tensor BradleyTerryLoss(const LossBatch& batch, const LossOptions& options);
Rewards HeadRewards(const LossBatch& batch, const LossOptions& options);

}  // namespace attune

#endif  // ATTUNE_WORKER_OBJECTIVES_REWARD_MODEL_LOSSES_H_
