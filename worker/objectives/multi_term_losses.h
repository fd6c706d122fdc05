// Losses that add terms beyond one pair of responses: other objectives, corrupted conditions, an
// opponent, a second policy. Notation of loss.h.
#ifndef ATTUNE_WORKER_OBJECTIVES_MULTI_TERM_LOSSES_H_
#define ATTUNE_WORKER_OBJECTIVES_MULTI_TERM_LOSSES_H_

#include <ATen/core/Tensor.h>

#include "worker/objectives/loss.h"

namespace attune {

// MODPO (Zhou et al. 2023, eq. 11), [pairs]: -logsig(Rw - Rl), R = (beta l - margin) / w_0. Margins
// are weighted rewards of the other objectives, pairs are ordered by the trained one alone, and w_0
// = objective_weight in (0, 1] (CHECK): the smaller, the larger the gradients.
at::Tensor ModpoLoss(const LossBatch& batch, const LossOptions& options);

// relu(1 - (Rw - Rl)).
at::Tensor ModpoHingeLoss(const LossBatch& batch, const LossOptions& options);

// R of both sides.
Rewards ModpoRewards(const LossBatch& batch, const LossOptions& options);

// MCM-DPO (Fu et al. 2025), [pairs]: -logsig(beta z), z = (h + sum_k view_weights_k (lw - l_k)) /
// view_norm over the views, each the log-ratio with context, image or response corrupted. As many
// weights as views (CHECK), none of either: DPO with beta / view_norm.
at::Tensor McmDpoLoss(const LossBatch& batch, const LossOptions& options);

// Re-Align (Xing et al. 2025), [pairs]: -logsig(beta h) - logsig(beta (lw - lv)), lv the log-ratio
// of the chosen response given the corrupted condition.
at::Tensor RealignLoss(const LossBatch& batch, const LossOptions& options);

// Nash-MD (Munos et al. 2023), as TRL's surrogate, a row per sample of the policy (`chosen`):
// beta sum_t sg(log pi_t - log ref_t) log pi_t - (p - 1/2) log pi, p = win_probability against a
// sample of the mixture of policy and reference. Its gradient is meant, not its value.
at::Tensor NashMdLoss(const LossBatch& batch, const LossOptions& options);

// Losses of the two adapters of one frozen model, [pairs]; each has gradients to its own margin.
struct FastSlowLosses {
  at::Tensor fast;
  at::Tensor slow;
};

// DPO of one adapter, [pairs]: -logsig(beta (margin - reference)), margins being logp(yw) -
// logp(yl).
at::Tensor MarginDpoLoss(const at::Tensor& margin, const at::Tensor& reference,
                         const LossOptions& options);

// OFS-DPO (Qi et al. 2024, eqs. 3-6), of the margins of both adapters and of the reference. With
// L(f, s) = -logsig(beta (f - s)), the argument within +-10 (no gradient beyond), the fast adapter
// has its DPO loss + alpha L(f, sg(s)), to widen its lead, and the slow one its DPO loss -
// alpha L(sg(f), s), to chase it; alpha = fast_slow_alpha. The sum of both is to be minimised.
FastSlowLosses OfsDpoLosses(const at::Tensor& fast, const at::Tensor& slow,
                            const at::Tensor& reference, const LossOptions& options);

// That of the adapter whose log-probabilities are logps, [pairs]: the slow one's with
// options.slow_adapter; the other one's are other_logps.
at::Tensor OfsDpoLoss(const LossBatch& batch, const LossOptions& options);

// Whether the adapters change roles after a chasing interval: the one with the lower mean DPO loss
// over it is the fast one; not if they are equal. Learning rates stay with the adapters.
bool ShouldSwapRoles(const at::Tensor& fast_dpo_losses, const at::Tensor& slow_dpo_losses);

// Diffusion-DPO (Wallace et al. 2023): in place of log-likelihoods, [n] -1/2 the mean squared error
// of `predictions` [n, ...] of `targets`. With the same time step and noise for policy, reference,
// winner and loser, the losses of pairs hold.
at::Tensor SurrogateLogps(const at::Tensor& predictions, const at::Tensor& targets);

}  // namespace attune

#endif  // ATTUNE_WORKER_OBJECTIVES_MULTI_TERM_LOSSES_H_
