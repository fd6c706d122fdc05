#include "worker/objectives/combination.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/ATen.h>

#include "common/check.h"

namespace attune {

at::Tensor MinNormScalar(const at::Tensor& margins) {
  return at::relu(margins.amin(0)) - at::relu(-margins.amax(0));
}

at::Tensor MixedReference(const at::Tensor& policy, const at::Tensor& reference, double alpha) {
  return alpha * policy + (1 - alpha) * reference;
}

at::Tensor MixtureLogps(const at::Tensor& policy_logits, const at::Tensor& reference_logits,
                        double reference_weight) {
  return at::log_softmax(
      reference_weight * reference_logits + (1 - reference_weight) * policy_logits, -1);
}

at::Tensor CombineAdapters(const at::Tensor& adapters, const at::Tensor& weights) {
  return weights.matmul(adapters);
}

at::Tensor SimplexWeights(int64_t domains, absl::FunctionRef<at::Tensor(const at::Tensor&)> loss,
                          int64_t steps) {
  ATTUNE_CHECK(domains >= 1);
  at::Tensor logits = at::zeros({domains}, at::kDouble);
  at::Tensor best;
  double lowest = std::numeric_limits<double>::infinity();
  double steepest = std::numeric_limits<double>::min();
  for (int64_t step = 0; step <= steps; ++step) {
    const at::Tensor weights = at::softmax(logits, 0).set_requires_grad(true);
    const at::Tensor value = loss(weights);
    ATTUNE_CHECK(std::isfinite(value.item<double>()));
    if (value.item<double>() < lowest) {
      lowest = value.item<double>();
      best = weights.detach();
    }
    value.backward();
    const at::Tensor slopes = weights.grad() - weights.grad().min();  // the simplex sees no more
    steepest = std::max(steepest, slopes.max().item<double>());
    // The rate of mirror descent that does not ask for the scale of the loss.
    logits = logits - slopes / steepest * std::sqrt(2.0 / (step + 1));
  }
  return best;
}

}  // namespace attune
