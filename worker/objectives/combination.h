// Combining objectives, references and adapters: pure functions, float64.
#ifndef ATTUNE_WORKER_OBJECTIVES_COMBINATION_H_
#define ATTUNE_WORKER_OBJECTIVES_COMBINATION_H_

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "absl/functional/function_ref.h"

namespace attune {

// PAMA's s* (He and Maghsudi 2025), [n], of the signed margins or advantages of K objectives,
// [K, n]: the point of [min_k, max_k] nearest to 0. As a weight of pairs it drops those on which
// objectives disagree and counts the others by their smallest margin.
at::Tensor MinNormScalar(const at::Tensor& margins);

// TR-DPO (Gorbatovski et al. 2024): alpha policy + (1 - alpha) reference; alpha = 1 copies.
at::Tensor MixedReference(const at::Tensor& policy, const at::Tensor& reference, double alpha);

// Nash-MD (Munos et al. 2023): log-probabilities [..., V] of the geometric mixture of policy and
// reference, pi^(1 - c) ref^c, whose samples are the opponents; from the logits of both.
at::Tensor MixtureLogps(const at::Tensor& policy_logits, const at::Tensor& reference_logits,
                        double reference_weight);

// COFS-DPO (Qi et al. 2024): sum_k weights_k adapters_k of K adapters as flat vectors, [K, P]. Of
// the parameters: with low-rank factors, this is not the sum of their products.
at::Tensor CombineAdapters(const at::Tensor& adapters, const at::Tensor& weights);

// Weights [K] on the simplex for CombineAdapters, by `steps` of exponentiated gradient from equal
// ones: those of the lowest loss seen. `loss` maps weights, which carry gradients, to a scalar: the
// DPO losses of the combined adapter on what is remembered of the K domains, summed. For K of a
// few.
at::Tensor SimplexWeights(int64_t domains, absl::FunctionRef<at::Tensor(const at::Tensor&)> loss,
                          int64_t steps = 200);

}  // namespace attune

#endif  // ATTUNE_WORKER_OBJECTIVES_COMBINATION_H_
