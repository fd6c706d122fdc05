// R3 of DRO (Xu et al. 2025): rewards of chains of thought by how much likelier they make a
// reference outcome. Pure, float64.
#ifndef ATTUNE_WORKER_OBJECTIVES_REASONING_REFLECTION_H_
#define ATTUNE_WORKER_OBJECTIVES_REASONING_REFLECTION_H_

#include <ATen/core/Tensor.h>

namespace attune {

struct ReasoningReflection {
  at::Tensor sigma;    // [N] standard deviation of a token's log-probability over the chains
  at::Tensor weights;  // [N] sigma / sum of sigma: tokens that depend on the reasoning count
  at::Tensor rewards;  // [G] sum over tokens of weight (logp - logp without the chain)
};

// Of G chains of thought and the N tokens of the reference outcome: `logps` [G, N] given each
// chain, `masked_logps` [N] with the chain masked out. The paper asks for weights that increase
// with sigma; sigma is that of the population. No token depends on the chains: rewards of 0.
ReasoningReflection ReflectOnReasoning(const at::Tensor& logps, const at::Tensor& masked_logps);

}  // namespace attune

#endif  // ATTUNE_WORKER_OBJECTIVES_REASONING_REFLECTION_H_
