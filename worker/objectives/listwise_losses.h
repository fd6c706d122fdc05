// Losses of groups of N responses to a prompt, or of the N items of a list, and the pair forms of
// the same papers. l = logp - logp_ref of each response; softmax, sums and means over j are over a
// group, which is never split. Group losses return [G].
#ifndef ATTUNE_WORKER_OBJECTIVES_LISTWISE_LOSSES_H_
#define ATTUNE_WORKER_OBJECTIVES_LISTWISE_LOSSES_H_

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "worker/objectives/loss.h"

namespace attune {

// InfoNCA (Chen et al. 2024, eq. 6): cross-entropy of softmax(beta l) against q = softmax(scores /
// score_temperature).
at::Tensor InfoNcaLoss(const LossBatch& batch, const LossOptions& options);

// NCA (Chen et al. 2024, eq. 11): -sum_j (q_j logsig(beta l_j) + logsig(-beta l_j) / N).
at::Tensor NcaLoss(const LossBatch& batch, const LossOptions& options);

// EXO (Ji et al. 2024, eq. 14): KL of p = softmax(beta l) to q: sum_j p_j (log p_j - log q_j).
at::Tensor ExoLoss(const LossBatch& batch, const LossOptions& options);

// EXO on pairs as its authors run it, [pairs]: p of two, log q = 0 for chosen and -10 for rejected.
at::Tensor ExoPrefLoss(const LossBatch& batch, const LossOptions& options);

// ADPO (Wang 2025): cross-entropy of softmax(u) against q, u = l / tau the anchored logits; tau is
// the column or, without it, anchor_tau. With anchor_kl != 0, plus anchor_kl times the mean of the
// anchor_kl column over all tokens of the update: group g adds G sum_j kl_gj / sum of lengths.
at::Tensor AdpoLoss(const LossBatch& batch, const LossOptions& options);

// ADPO on the order of the scores, u as above (Plackett-Luce): mean over the first N - 1 positions
// k, or the first list_top_k of them, of z_k + list_poly (1 - exp(-z_k)) where
//   z_k = (1 - eps) (lse_k - u_k) + eps (lse_k - mean_k),  eps = label_smoothing,
// with logsumexp and mean over the positions k and beyond. Equal scores keep their order. N >= 2
// (CHECK).
at::Tensor AdpoPlackettLuceLoss(const LossBatch& batch, const LossOptions& options);

// Targets of ADPO on pairs, [pairs]: sigmoid((chosen - rejected) / temperature) of the scores. The
// loss itself is that of DNO (pairwise_losses.h), with beta for 1 / tau.
at::Tensor ScoreTargets(const at::Tensor& chosen_scores, const at::Tensor& rejected_scores,
                        double temperature);

// [G] bool: ADPO may leave out groups without a score above 0. The others are the update.
at::Tensor GroupsWithSuccess(const at::Tensor& scores);

struct AdaptiveTauOptions {
  double tau = 1;
  double entropy_weight = 0.5;
  double error_weight = 1;
  double min = 0.1;
  double max = 5;
};

// Column tau of ADPO, [G]: tau (1 + entropy_weight H + error_weight (1 - H) (1 - R)) in [min, max].
// H is the mean of `entropies` ([G, N], nats per token) over the group as a part of the logarithm
// of `vocabulary`, R the mean score on a scale from 0 for the worst group of the update to 1 for
// the best; 0.5 if all are the same. Policies that are confident and wrong move slowly.
at::Tensor AdaptiveTau(const at::Tensor& entropies, int64_t vocabulary, const at::Tensor& scores,
                       const AdaptiveTauOptions& options);

// IRPO (Wu et al. 2025): mean over the items i of a list of -w_i logsig(-z_i), where z_i =
// log mean_{j != i} exp(beta (r_j - r_i)) and r is l per token. w_i is list_gain of relevance and
// rank. N >= 2 (CHECK).
at::Tensor IrpoLoss(const LossBatch& batch, const LossOptions& options);

// beta l per token.
Rewards IrpoRewards(const LossBatch& batch, const LossOptions& options);

// LiPO-lambda (Liu et al. 2024, eq. 9): sum over the pairs of items with relevance_i > relevance_j
// of -|g_i - g_j| |1 / d_i - 1 / d_j| logsig(beta (l_i - l_j)), g = 2^relevance - 1 and d =
// log(1 + rank).
at::Tensor LipoLambdaLoss(const LossBatch& batch, const LossOptions& options);

}  // namespace attune

#endif  // ATTUNE_WORKER_OBJECTIVES_LISTWISE_LOSSES_H_
