#include "worker/objectives/reference_free_losses.h"

#include <ATen/ATen.h>

#include "worker/objectives/loss_terms.h"

namespace attune {
namespace {

at::Tensor LogpGap(const LossBatch& batch) { return batch.chosen.logps - batch.rejected.logps; }

at::Tensor MeanLogpGap(const LossBatch& batch) {
  return MeanLogps(batch.chosen) - MeanLogps(batch.rejected);
}

at::Tensor AlphaPoReward(const ResponseColumns& responses, double alpha) {
  const at::Tensor mean = MeanLogps(responses);
  if (alpha == 0) return mean;
  return (1 - ClampedExp(-alpha * mean)) / alpha;
}

// log(p / (1 - p)) of p = exp(A), A <= 0; A above -1e-12 counts as that.
// A row for each response, whose mean is that over the tokens of all of them.
at::Tensor NegativeLogLikelihoods(const ResponseColumns& responses) {
  return -responses.logps * (responses.logps.numel() / responses.lengths.sum());
}

at::Tensor LogOdds(const ResponseColumns& responses) {
  const at::Tensor mean = at::clamp_max(MeanLogps(responses), -1e-12);
  return mean - at::log(-at::expm1(mean));
}

}  // namespace

at::Tensor SimpoLoss(const LossBatch& batch, const LossOptions& options) {
  return LogisticLoss(options.beta * MeanLogpGap(batch) - options.simpo_gamma,
                      SmoothedTarget(batch, options));
}

at::Tensor SimpoHingeLoss(const LossBatch& batch, const LossOptions& options) {
  return at::relu(1 - (options.beta * MeanLogpGap(batch) - options.simpo_gamma));
}

at::Tensor AlphaPoLoss(const LossBatch& batch, const LossOptions& options) {
  const at::Tensor gap = AlphaPoReward(batch.chosen, options.alphapo_alpha) -
                         AlphaPoReward(batch.rejected, options.alphapo_alpha);
  return LogisticLoss(options.beta * gap - options.simpo_gamma, SmoothedTarget(batch, options));
}

at::Tensor CpoLoss(const LossBatch& batch, const LossOptions& options) {
  return LogisticLoss(options.beta * LogpGap(batch), SmoothedTarget(batch, options));
}

at::Tensor CpoHingeLoss(const LossBatch& batch, const LossOptions& options) {
  return at::relu(1 - options.beta * LogpGap(batch));
}

at::Tensor CpoIpoLoss(const LossBatch& batch, const LossOptions& options) {
  return at::square(MeanLogpGap(batch) - 0.5 / options.beta);
}

at::Tensor SlicLoss(const LossBatch& batch, const LossOptions& options) {
  return at::relu(options.beta - LogpGap(batch));
}

at::Tensor OrpoLoss(const LossBatch& batch, const LossOptions& options) {
  return -options.beta * at::log_sigmoid(LogOdds(batch.chosen) - LogOdds(batch.rejected));
}

at::Tensor SftLoss(const LossBatch& batch, const LossOptions&) {
  return NegativeLogLikelihoods(batch.chosen);
}

at::Tensor SftGoldLoss(const LossBatch& batch, const LossOptions&) {
  return NegativeLogLikelihoods(batch.gold);
}

Rewards MeanLogpRewards(const LossBatch& batch, const LossOptions& options) {
  return {(options.beta * MeanLogps(batch.chosen)).detach(),
          (options.beta * MeanLogps(batch.rejected)).detach()};
}

Rewards AlphaPoRewards(const LossBatch& batch, const LossOptions& options) {
  const auto rewards = [&](const ResponseColumns& side) {
    return (options.beta * AlphaPoReward(side, options.alphapo_alpha)).detach();
  };
  return {rewards(batch.chosen), rewards(batch.rejected)};
}

}  // namespace attune
