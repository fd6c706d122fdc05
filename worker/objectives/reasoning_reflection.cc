#include "worker/objectives/reasoning_reflection.h"

#include <limits>

#include <ATen/ATen.h>

namespace attune {

ReasoningReflection ReflectOnReasoning(const at::Tensor& logps, const at::Tensor& masked_logps) {
  ReasoningReflection result;
  result.sigma = at::std(logps, /*dim=*/0, /*unbiased=*/false);
  const double least = std::numeric_limits<double>::min();
  result.weights = result.sigma / at::clamp_min(result.sigma.sum(), least);
  result.rewards = (logps - masked_logps).matmul(result.weights);
  return result;
}

}  // namespace attune
