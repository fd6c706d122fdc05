// Losses of pairs without a reference policy. Aw, Al are mean log-probabilities per token of the
// chosen and the rejected response. All return [pairs]. The negative log-likelihood that CPO, ORPO
// and SLiC-HF add is the loss `sft`, with its own weight in Objective.losses. y is the target with
// label smoothing.
#ifndef ATTUNE_WORKER_OBJECTIVES_REFERENCE_FREE_LOSSES_H_
#define ATTUNE_WORKER_OBJECTIVES_REFERENCE_FREE_LOSSES_H_

#include <ATen/core/Tensor.h>

#include "worker/objectives/loss.h"

namespace attune {

// SimPO (Meng et al. 2024, eq. 6): cross-entropy of sigmoid(beta (Aw - Al) - gamma) against y.
// TPO-L (Saeidi et al. 2024) and, with its own beta, CPO-SimPO are the same.
at::Tensor SimpoLoss(const LossBatch& batch, const LossOptions& options);

// relu(1 - (beta (Aw - Al) - gamma)).
at::Tensor SimpoHingeLoss(const LossBatch& batch, const LossOptions& options);

// AlphaPO (Gupta et al. 2025): SimPO with the reward (1 - exp(-alpha A)) / alpha for A.
at::Tensor AlphaPoLoss(const LossBatch& batch, const LossOptions& options);

// CPO (Xu et al. 2024, eq. 3): cross-entropy of sigmoid(beta (logp(yw) - logp(yl))) against y. TPO
// (Saeidi et al. 2024) has the same pair term.
at::Tensor CpoLoss(const LossBatch& batch, const LossOptions& options);

// relu(1 - beta (logp(yw) - logp(yl))).
at::Tensor CpoHingeLoss(const LossBatch& batch, const LossOptions& options);

// (Aw - Al - 1 / (2 beta))^2.
at::Tensor CpoIpoLoss(const LossBatch& batch, const LossOptions& options);

// SLiC-HF (Zhao et al. 2023, eq. 2): relu(beta - logp(yw) + logp(yl)); beta is the margin delta.
at::Tensor SlicLoss(const LossBatch& batch, const LossOptions& options);

// ORPO (Hong et al. 2024, eq. 7), the odds-ratio term: -beta logsig(log odds(yw) - log odds(yl)),
// odds = p / (1 - p), p = exp(A). beta is the paper's lambda.
at::Tensor OrpoLoss(const LossBatch& batch, const LossOptions& options);

// Negative log-likelihood of a token of the chosen responses of the whole update: row i is
// -n logp(yw_i) / sum_j |yw_j|, whose mean over the n rows is the mean over tokens.
at::Tensor SftLoss(const LossBatch& batch, const LossOptions& options);

// The same of the gold responses. With CPO or SimPO this is TPO (Saeidi et al. 2024): the pair is
// of the policy's own responses, and gold is the third.
at::Tensor SftGoldLoss(const LossBatch& batch, const LossOptions& options);

// beta A.
Rewards MeanLogpRewards(const LossBatch& batch, const LossOptions& options);
// beta (1 - exp(-alpha A)) / alpha.
Rewards AlphaPoRewards(const LossBatch& batch, const LossOptions& options);

}  // namespace attune

#endif  // ATTUNE_WORKER_OBJECTIVES_REFERENCE_FREE_LOSSES_H_
