#include "worker/objectives/listwise_losses.h"

#include <cmath>
#include <limits>
#include <tuple>

#include <ATen/ATen.h>

#include "common/check.h"
#include "worker/objectives/loss_terms.h"

namespace attune {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// l, [G, N].
at::Tensor GroupLogRatios(const GroupColumns& groups) {
  return groups.logps - groups.reference_logps;
}

// log q, [G, N].
at::Tensor LogTargets(const GroupColumns& groups, const LossOptions& options) {
  return at::log_softmax(groups.scores / options.score_temperature, -1);
}

// u, [G, N].
at::Tensor AnchoredLogits(const GroupColumns& groups, const LossOptions& options) {
  const at::Tensor log_ratios = GroupLogRatios(groups);
  return groups.tau.defined() ? log_ratios / groups.tau.unsqueeze(1)
                              : log_ratios / options.anchor_tau;
}

// [G]: -sum_j q_j log softmax(logits)_j.
at::Tensor CrossEntropy(const at::Tensor& log_targets, const at::Tensor& logits) {
  return -(log_targets.exp() * at::log_softmax(logits, -1)).sum(-1);
}

// [G, N, N]: x_j - x_i at row i and column j.
at::Tensor Differences(const at::Tensor& x) { return x.unsqueeze(1) - x.unsqueeze(2); }

// w, [G, N].
at::Tensor ItemWeights(const GroupColumns& groups, ListGain gain) {
  const at::Tensor relevance = at::exp2(groups.relevance) - 1;
  const at::Tensor discount = at::log2(1 + groups.ranks);
  switch (gain) {
    case ListGain::kDcg:
      return relevance / discount;
    case ListGain::kDiscount:
      return 1 / discount;
    case ListGain::kReciprocalRank:
      return relevance / groups.ranks;
  }
  ATTUNE_CHECK(false);
  return relevance;
}

}  // namespace

at::Tensor InfoNcaLoss(const LossBatch& batch, const LossOptions& options) {
  return CrossEntropy(LogTargets(batch.groups, options),
                      options.beta * GroupLogRatios(batch.groups));
}

at::Tensor NcaLoss(const LossBatch& batch, const LossOptions& options) {
  const at::Tensor q = LogTargets(batch.groups, options).exp();
  const at::Tensor rewards = options.beta * GroupLogRatios(batch.groups);
  return -(q * at::log_sigmoid(rewards)).sum(-1) - at::log_sigmoid(-rewards).mean(-1);
}

at::Tensor ExoLoss(const LossBatch& batch, const LossOptions& options) {
  const at::Tensor log_p = at::log_softmax(options.beta * GroupLogRatios(batch.groups), -1);
  return (log_p.exp() * (log_p - LogTargets(batch.groups, options))).sum(-1);
}

at::Tensor ExoPrefLoss(const LossBatch& batch, const LossOptions& options) {
  constexpr double kLogRejected = -10;
  const at::Tensor z = options.beta * (LogRatios(batch.chosen) - LogRatios(batch.rejected));
  return at::sigmoid(z) * at::log_sigmoid(z) +
         at::sigmoid(-z) * (at::log_sigmoid(-z) - kLogRejected);
}

at::Tensor AdpoLoss(const LossBatch& batch, const LossOptions& options) {
  const GroupColumns& groups = batch.groups;
  const at::Tensor losses =
      CrossEntropy(LogTargets(groups, options), AnchoredLogits(groups, options));
  if (options.anchor_kl == 0) return losses;
  ATTUNE_CHECK(groups.anchor_kl.defined());
  const at::Tensor tokens_per_group = groups.lengths.sum() / losses.numel();
  return losses + options.anchor_kl * groups.anchor_kl.sum(-1) / tokens_per_group;
}

at::Tensor AdpoPlackettLuceLoss(const LossBatch& batch, const LossOptions& options) {
  const int64_t n = batch.groups.logps.size(1);
  ATTUNE_CHECK(n >= 2);
  const at::Tensor order =
      std::get<1>(at::sort(batch.groups.scores, /*stable=*/true, /*dim=*/-1, /*descending=*/true));
  const at::Tensor u = AnchoredLogits(batch.groups, options).gather(-1, order);

  // Row k of these matrices is over the positions k and beyond.
  const at::Tensor suffix = at::ones({n, n}, at::kDouble).triu();
  const at::Tensor logits = u.unsqueeze(1).masked_fill(suffix == 0, -kInfinity);
  const at::Tensor log_sum = at::logsumexp(logits, -1);
  const at::Tensor mean = u.matmul((suffix / suffix.sum(-1, true)).t());

  const double eps = options.label_smoothing;
  const at::Tensor z = log_sum - (1 - eps) * u - eps * mean;
  const at::Tensor losses = z - options.list_poly * at::expm1(-z);
  const int64_t top_k = options.list_top_k;
  return losses.slice(-1, 0, top_k > 0 && top_k < n ? top_k : n - 1).mean(-1);
}

at::Tensor ScoreTargets(const at::Tensor& chosen_scores, const at::Tensor& rejected_scores,
                        double temperature) {
  return at::sigmoid((chosen_scores - rejected_scores) / temperature);
}

at::Tensor GroupsWithSuccess(const at::Tensor& scores) { return (scores > 0).any(-1); }

at::Tensor AdaptiveTau(const at::Tensor& entropies, int64_t vocabulary, const at::Tensor& scores,
                       const AdaptiveTauOptions& options) {
  constexpr double kLeastRange = 1e-6;
  const at::Tensor entropy = at::clamp(entropies.mean(-1) / std::log(vocabulary), 0, 1);
  const at::Tensor mean_scores = scores.mean(-1);
  const at::Tensor worst = mean_scores.min();
  const at::Tensor range = mean_scores.max() - worst;
  const at::Tensor success = range.item<double>() > kLeastRange ? (mean_scores - worst) / range
                                                                : at::full_like(mean_scores, 0.5);
  const at::Tensor tau = options.tau * (1 + options.entropy_weight * entropy +
                                        options.error_weight * (1 - entropy) * (1 - success));
  return at::clamp(tau, options.min, options.max);
}

at::Tensor IrpoLoss(const LossBatch& batch, const LossOptions& options) {
  const GroupColumns& groups = batch.groups;
  const int64_t n = groups.logps.size(1);
  ATTUNE_CHECK(n >= 2);
  const at::Tensor gaps = options.beta * Differences(GroupLogRatios(groups) / groups.lengths);
  const at::Tensor self = at::eye(n, at::kBool);
  const at::Tensor z =
      at::logsumexp(gaps.masked_fill(self, -kInfinity), -1) - std::log(static_cast<double>(n - 1));
  return -(ItemWeights(groups, options.list_gain) * at::log_sigmoid(-z)).mean(-1);
}

Rewards IrpoRewards(const LossBatch& batch, const LossOptions& options) {
  return {(options.beta * GroupLogRatios(batch.groups) / batch.groups.lengths).detach(), {}};
}

at::Tensor LipoLambdaLoss(const LossBatch& batch, const LossOptions& options) {
  const GroupColumns& groups = batch.groups;
  const at::Tensor gains = Differences(at::exp2(groups.relevance));
  const at::Tensor discounts = Differences(1 / at::log1p(groups.ranks));
  // Rows are the worse items, columns the better ones.
  const at::Tensor lambda = at::relu(gains) * discounts.abs();
  const at::Tensor gaps = options.beta * Differences(GroupLogRatios(groups));
  return -(lambda * at::log_sigmoid(gaps)).sum({1, 2});
}

}  // namespace attune
