// Losses of pairs that need a reference policy. Notation of loss.h: lw, ll are log-ratios of the
// chosen and the rejected response, h = lw - ll; sw, sl are their scores f'(exp(.)) under the
// f-divergence of the options (lw, ll for the reverse KL) and d = sw - sl. All return [pairs].
#ifndef ATTUNE_WORKER_OBJECTIVES_PAIRWISE_LOSSES_H_
#define ATTUNE_WORKER_OBJECTIVES_PAIRWISE_LOSSES_H_

#include <ATen/core/Tensor.h>

#include "worker/objectives/loss.h"

namespace attune {

// DPO (Rafailov et al. 2023, eq. 7): cross-entropy of sigmoid(beta d) against y, the target with
// label smoothing; y < 1 is conservative DPO. The logistic loss of SPIN (Chen et al. 2024) too,
// where the rejected response and the reference are the previous iterate's.
at::Tensor SigmoidLoss(const LossBatch& batch, const LossOptions& options);

// Direct Nash Optimization (Rosset et al. 2024, Algorithm 1): the same against the target as it is,
// the sigmoid of a win-rate gap. The reference is the previous iterate and beta the paper's eta.
at::Tensor DnoLoss(const LossBatch& batch, const LossOptions& options);

// Length-normalised DPO (Lambert et al. 2024): DPO of sw / |yw| - sl / |yl|.
at::Tensor SigmoidNormLoss(const LossBatch& batch, const LossOptions& options);

// relu(1 - beta d) (Zhao et al. 2023).
at::Tensor HingeLoss(const LossBatch& batch, const LossOptions& options);

// IPO (Azar et al. 2023, eq. 17) over log-ratios per token: (sw / |yw| - sl / |yl| - 1 / (2
// beta))^2.
at::Tensor IpoLoss(const LossBatch& batch, const LossOptions& options);

// IPO as published, over sums: (d - 1 / (2 beta))^2.
at::Tensor IpoSumLoss(const LossBatch& batch, const LossOptions& options);

// Robust DPO (Chowdhury et al. 2024, eq. 13): unbiased when labels are flipped at the rate
// eps = label_smoothing < 1/2; ((1 - eps) -logsig(beta d) - eps -logsig(-beta d)) / (1 - 2 eps).
at::Tensor RobustLoss(const LossBatch& batch, const LossOptions& options);

// EXO on pairs (Ji et al. 2024, eq. 16): KL of (sigmoid(beta d), sigmoid(-beta d)) to
// (1 - eps, eps), eps = label_smoothing > 0 (CHECK).
at::Tensor ExoPairLoss(const LossBatch& batch, const LossOptions& options);

// NCA on pairs (Chen et al. 2024): -logsig(beta sw) - (logsig(-beta sw) + logsig(-beta sl)) / 2.
at::Tensor NcaPairLoss(const LossBatch& batch, const LossOptions& options);

// BCO on pairs (Jung et al. 2024): -logsig(beta sw - shift) - logsig(shift - beta sl), shift =
// bco_shift.
at::Tensor BcoPairLoss(const LossBatch& batch, const LossOptions& options);

// SPPO (Wu et al. 2024, eq. 4.7) with hard labels, as in TRL, without the factor 1/2:
// (sw - 1 / (2 beta))^2 + (sl + 1 / (2 beta))^2. beta is 1 / eta in all forms of SPPO.
at::Tensor SppoHardLoss(const LossBatch& batch, const LossOptions& options);

// SPPO with expected win rates: ((lw - (rw - 1/2) / beta)^2 + (ll - (rl - 1/2) / beta)^2) / 2.
at::Tensor SppoLoss(const LossBatch& batch, const LossOptions& options);

// SPPO with p, the win probability of chosen over rejected, for rw and 1 - p for rl.
at::Tensor SppoSingleLoss(const LossBatch& batch, const LossOptions& options);

// AOT (Melnyk et al. 2024): DPO with y = 1 - label_smoothing of the differences between the order
// statistics of logp(yw) - logp(yl) over the update and those of the reference. A row is the loss
// of the pair whose policy log-ratio it is (TRL returns the rows sorted).
at::Tensor AotLoss(const LossBatch& batch, const LossOptions& options);

// APO (D'Oosterlinck et al. 2024): for chosen responses better than the policy's,
// 1 - sigmoid(beta lw) + sigmoid(beta ll) ...
at::Tensor ApoZeroLoss(const LossBatch& batch, const LossOptions& options);

// ... and for worse ones, sigmoid(beta lw) + 1 - sigmoid(beta h).
at::Tensor ApoDownLoss(const LossBatch& batch, const LossOptions& options);

// DiscoPOP (Lu et al. 2024): with x = beta d and m = sigmoid(x / tau), tau <= 1,
// -(1 - m) logsig(x) + m exp(-x).
at::Tensor DiscopopLoss(const LossBatch& batch, const LossOptions& options);

// DPO-Positive (Pal et al. 2024, eq. 3): DPO of h - lambda relu(-lw). At policy == reference the
// penalty has no gradient.
at::Tensor DpopLoss(const LossBatch& batch, const LossOptions& options);

// R-DPO (Park et al. 2024, eq. 9): DPO with the logit beta h + lambda (|yw| - |yl|).
at::Tensor RDpoLoss(const LossBatch& batch, const LossOptions& options);

// XPO (Xie et al. 2024): chosen is the policy's sample and rejected the reference's, whichever won;
// the target tells (1: the policy's). DPO against the target, and optimism: + alpha logp(rejected).
at::Tensor XpoLoss(const LossBatch& batch, const LossOptions& options);

// The same with IPO over sums: y (h - 1 / (2 beta))^2 + (1 - y) (h + 1 / (2 beta))^2.
at::Tensor XpoIpoLoss(const LossBatch& batch, const LossOptions& options);

// TDPO (Zeng et al. 2024, eq. 16): DPO of h - (KL(yl) - KL(yw)), KL the sequence_kl column ...
at::Tensor Tdpo1Loss(const LossBatch& batch, const LossOptions& options);

// ... and, eq. 17, of h - alpha (KL(yl) - KL(yw)) where KL(yw) has no gradient.
at::Tensor Tdpo2Loss(const LossBatch& batch, const LossOptions& options);

// beta (l + KL) of each side.
Rewards TdpoRewards(const LossBatch& batch, const LossOptions& options);

}  // namespace attune

#endif  // ATTUNE_WORKER_OBJECTIVES_PAIRWISE_LOSSES_H_
