#include "worker/objectives/multi_term_losses.h"

#include <ATen/ATen.h>

#include "common/check.h"
#include "worker/objectives/loss_terms.h"

namespace attune {
namespace {

// R
at::Tensor ModpoReward(const ResponseColumns& side, const at::Tensor& margin,
                       const LossOptions& options) {
  ATTUNE_CHECK(options.objective_weight > 0);
  return (options.beta * LogRatios(side) - margin) / options.objective_weight;
}

at::Tensor ModpoGap(const LossBatch& batch, const LossOptions& options) {
  return ModpoReward(batch.chosen, batch.chosen_margin, options) -
         ModpoReward(batch.rejected, batch.rejected_margin, options);
}

// L(f, s)
at::Tensor ChasingLoss(const at::Tensor& fast, const at::Tensor& slow, const LossOptions& options) {
  constexpr double kLogitMax = 10;
  return -at::log_sigmoid(at::clamp(options.beta * (fast - slow), -kLogitMax, kLogitMax));
}

}  // namespace

at::Tensor ModpoLoss(const LossBatch& batch, const LossOptions& options) {
  return -at::log_sigmoid(ModpoGap(batch, options));
}

at::Tensor ModpoHingeLoss(const LossBatch& batch, const LossOptions& options) {
  return at::relu(1 - ModpoGap(batch, options));
}

Rewards ModpoRewards(const LossBatch& batch, const LossOptions& options) {
  return {ModpoReward(batch.chosen, batch.chosen_margin, options).detach(),
          ModpoReward(batch.rejected, batch.rejected_margin, options).detach()};
}

at::Tensor McmDpoLoss(const LossBatch& batch, const LossOptions& options) {
  ATTUNE_CHECK(options.view_weights.size() == batch.views.size());
  const at::Tensor chosen = LogRatios(batch.chosen);
  at::Tensor margin = chosen - LogRatios(batch.rejected);
  for (size_t k = 0; k < batch.views.size(); ++k) {
    margin = margin + options.view_weights[k] * (chosen - LogRatios(batch.views[k]));
  }
  return -at::log_sigmoid(options.beta * margin / options.view_norm);
}

at::Tensor RealignLoss(const LossBatch& batch, const LossOptions& options) {
  const at::Tensor chosen = LogRatios(batch.chosen);
  return -at::log_sigmoid(options.beta * (chosen - LogRatios(batch.rejected))) -
         at::log_sigmoid(options.beta * (chosen - LogRatios(batch.corrupted)));
}

at::Tensor NashMdLoss(const LossBatch& batch, const LossOptions& options) {
  ATTUNE_CHECK(batch.chosen.self_weighted_logps.defined());
  return options.beta * batch.chosen.self_weighted_logps -
         (batch.win_probability - 0.5) * batch.chosen.logps;
}

at::Tensor MarginDpoLoss(const at::Tensor& margin, const at::Tensor& reference,
                         const LossOptions& options) {
  return -at::log_sigmoid(options.beta * (margin - reference));
}

FastSlowLosses OfsDpoLosses(const at::Tensor& fast, const at::Tensor& slow,
                            const at::Tensor& reference, const LossOptions& options) {
  const double alpha = options.fast_slow_alpha;
  return {
      MarginDpoLoss(fast, reference, options) + alpha * ChasingLoss(fast, slow.detach(), options),
      MarginDpoLoss(slow, reference, options) - alpha * ChasingLoss(fast.detach(), slow, options)};
}

at::Tensor OfsDpoLoss(const LossBatch& batch, const LossOptions& options) {
  const at::Tensor own = batch.chosen.logps - batch.rejected.logps;
  const at::Tensor other = batch.chosen.other_logps - batch.rejected.other_logps;
  const at::Tensor reference = batch.chosen.reference_logps - batch.rejected.reference_logps;
  return options.slow_adapter ? OfsDpoLosses(other, own, reference, options).slow
                              : OfsDpoLosses(own, other, reference, options).fast;
}

bool ShouldSwapRoles(const at::Tensor& fast_dpo_losses, const at::Tensor& slow_dpo_losses) {
  return slow_dpo_losses.mean().item<double>() < fast_dpo_losses.mean().item<double>();
}

at::Tensor SurrogateLogps(const at::Tensor& predictions, const at::Tensor& targets) {
  ATTUNE_CHECK(predictions.sizes() == targets.sizes());
  return -0.5 * at::square(predictions - targets).flatten(1).mean(1);
}

}  // namespace attune
