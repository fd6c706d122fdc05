#include "worker/objectives/unpaired_losses.h"

#include <tuple>

#include <ATen/ATen.h>

#include "common/check.h"
#include "worker/objectives/loss_terms.h"

namespace attune {
namespace {

// Kahneman-Tversky values around the reference point `kl`, a scalar.
at::Tensor ValuesAround(const at::Tensor& kl, const LossBatch& batch, const LossOptions& options) {
  return at::cat(
      {options.desirable_weight * at::sigmoid(options.beta * (kl - LogRatios(batch.chosen))),
       options.undesirable_weight * at::sigmoid(options.beta * (LogRatios(batch.rejected) - kl))});
}

}  // namespace

at::Tensor KtoLoss(const LossBatch& batch, const LossOptions& options) {
  ATTUNE_CHECK(batch.mismatched.logps.numel() > 0);
  const at::Tensor kl = at::clamp_min(LogRatios(batch.mismatched).mean().detach(), 0);
  return ValuesAround(kl, batch, options);
}

at::Tensor ApoZeroUnpairedLoss(const LossBatch& batch, const LossOptions& options) {
  return ValuesAround(at::scalar_tensor(0, at::kDouble), batch, options);
}

at::Tensor BcoLoss(const LossBatch& batch, const LossOptions& options) {
  const at::Tensor chosen = options.beta * LogRatios(batch.chosen) - options.bco_shift;
  const at::Tensor rejected = options.beta * LogRatios(batch.rejected) - options.bco_shift;
  return -at::cat({at::log_sigmoid(chosen), at::log_sigmoid(-rejected)});
}

at::Tensor AotUnpairedLoss(const LossBatch& batch, const LossOptions& options) {
  const at::Tensor chosen = LogRatios(batch.chosen);
  const at::Tensor rejected = LogRatios(batch.rejected);
  ATTUNE_CHECK(chosen.numel() == rejected.numel());
  const at::Tensor order = at::argsort(at::argsort(chosen.detach()));
  const at::Tensor matched = std::get<0>(at::sort(rejected)).index_select(0, order);
  return LogisticLoss(options.beta * (chosen - matched),
                      at::scalar_tensor(1 - options.label_smoothing, at::kDouble));
}

at::Tensor DdoLoss(const LossBatch& batch, const LossOptions& options) {
  const at::Tensor chosen = options.beta * LogRatios(batch.chosen);
  const at::Tensor rejected = options.beta * LogRatios(batch.rejected);
  const double rows = chosen.numel() + rejected.numel();
  return -at::cat({at::log_sigmoid(chosen) * (rows / chosen.numel()),
                   at::log_sigmoid(-rejected) * (options.ddo_alpha * rows / rejected.numel())});
}

RunningMean UpdateRewardMean(const RunningMean& before, const LossBatch& batch, double beta) {
  const at::Tensor log_ratios =
      at::cat({LogRatios(batch.chosen), LogRatios(batch.rejected)}).detach();
  const double count = before.count + log_ratios.numel();
  if (count == 0) return before;
  const double sum = before.mean * before.count + beta * log_ratios.sum().item<double>();
  return {sum / count, count};
}

}  // namespace attune
