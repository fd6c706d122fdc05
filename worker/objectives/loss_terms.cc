#include "worker/objectives/loss_terms.h"

#include <ATen/ATen.h>

#include "common/check.h"

namespace attune {

at::Tensor LogRatios(const ResponseColumns& responses) {
  return responses.logps - responses.reference_logps;
}

at::Tensor MeanLogps(const ResponseColumns& responses) {
  return responses.logps / responses.lengths;
}

at::Tensor ClampedExp(const at::Tensor& x) {
  constexpr double kExponentMax = 80;
  return at::exp(at::clamp_max(x, kExponentMax));
}

at::Tensor DivergenceScores(const at::Tensor& log_ratios, const LossOptions& options) {
  switch (options.f_divergence) {
    case FDivergence::kReverseKl:
      return log_ratios;
    case FDivergence::kForwardKl:
      return -ClampedExp(-log_ratios);
    case FDivergence::kJensenShannon:
      return at::log_sigmoid(log_ratios);
    case FDivergence::kAlpha:
      return -ClampedExp(-options.f_alpha * log_ratios) / options.f_alpha;
  }
  ATTUNE_CHECK(false);
  return log_ratios;
}

at::Tensor SmoothedTarget(const LossBatch& batch, const LossOptions& options) {
  const double eps = options.label_smoothing;
  if (!batch.target.defined()) return at::scalar_tensor(1 - eps, at::kDouble);
  return batch.target * (1 - 2 * eps) + eps;
}

at::Tensor LogisticLoss(const at::Tensor& z, const at::Tensor& y) {
  return -y * at::log_sigmoid(z) - (1 - y) * at::log_sigmoid(-z);
}

}  // namespace attune
