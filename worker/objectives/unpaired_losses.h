// Losses of single responses that are desirable (`chosen`) or undesirable (`rejected`), n_D and n_U
// of them; either number may be 0 (tensors of no rows). They return [n_D + n_U]: the desirable
// rows, then the undesirable ones. v = logp - logp_ref. Weights that correct for prompts of
// different kinds on the two sides (BCO's density ratios) are LossBatch.weights, in the same order.
#ifndef ATTUNE_WORKER_OBJECTIVES_UNPAIRED_LOSSES_H_
#define ATTUNE_WORKER_OBJECTIVES_UNPAIRED_LOSSES_H_

#include <ATen/core/Tensor.h>

#include "worker/objectives/loss.h"

namespace attune {

// KTO (Ethayarajh et al. 2024, eq. 8): w_D sigmoid(beta (KL - v)) for desirable and w_U
// sigmoid(beta (v - KL)) for undesirable responses. KL, without gradient, is the mean v of the
// mismatched responses (at least one: CHECK) of the update, at least 0.
at::Tensor KtoLoss(const LossBatch& batch, const LossOptions& options);

// APO-zero (D'Oosterlinck et al. 2024) without pairs: KTO with KL = 0.
at::Tensor ApoZeroUnpairedLoss(const LossBatch& batch, const LossOptions& options);

// BCO (Jung et al. 2024, eq. 8): -logsig(beta v - shift) and -logsig(shift - beta v), shift =
// bco_shift.
at::Tensor BcoLoss(const LossBatch& batch, const LossOptions& options);

// AOT without pairs (Melnyk et al. 2024): DPO with y = 1 - label_smoothing of the differences
// between the order statistics of v of the two sides, n_D = n_U (CHECK). Returns [n_D]: a row is
// the loss of the desirable response whose v it is (TRL returns the rows sorted).
at::Tensor AotUnpairedLoss(const LossBatch& batch, const LossOptions& options);

// DDO (Zheng et al. 2025): mean of -logsig(beta v) over the desirable responses, from the data, and
// alpha times the mean of -logsig(-beta v) over the undesirable ones, samples of the reference.
// Rows are scaled by (n_D + n_U) / n_D and (n_D + n_U) / n_U so that their mean is that sum.
at::Tensor DdoLoss(const LossBatch& batch, const LossOptions& options);

// Mean of all rewards so far.
struct RunningMean {
  double mean = 0;
  double count = 0;
};

// With the rewards beta v of both sides of `batch` absorbed; its mean is bco_shift for that batch.
RunningMean UpdateRewardMean(const RunningMean& before, const LossBatch& batch, double beta);

}  // namespace attune

#endif  // ATTUNE_WORKER_OBJECTIVES_UNPAIRED_LOSSES_H_
