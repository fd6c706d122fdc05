// The operations of the transformer under autograd, but for attention (worker/attention_op.h) and
// the last one, from hidden states to log-probabilities (worker/score_targets_op.h). Forward passes
// call the kernels of the sampler, so that log-probabilities are equal to its bit for bit and do
// not depend on how rows are packed; backward passes those of model/backward_kernels.h. Tensors are
// fp32 on the CPU, contiguous, rows first. Gradients of parameters are no business of autograd:
// backward passes add them to vectors of doubles.
//
// Shapes: R rows (tokens of several sequences, one after the other), K inputs, N outputs, D head
// dimension, V vocabulary.
#ifndef ATTUNE_WORKER_AUTOGRAD_OPS_H_
#define ATTUNE_WORKER_AUTOGRAD_OPS_H_

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "model/kernels.h"
#include "model/tensor_type.h"

namespace attune {

// A linear map x W^T + b. The tensors are views, for instance into one that holds several maps; one
// of the weight's strides is 1. Without gradients: frozen.
struct LinearParameters {
  at::Tensor weight_NK;
  at::Tensor weight_gradient_NK;  // float64
  at::Tensor bias_N;              // undefined: none
  at::Tensor bias_gradient_N;     // float64
  // With kBf16 both passes multiply the weight, x and dy rounded to that; the rounding itself
  // passes gradients on as they are.
  TensorType precision = TensorType::kF32;
};

// `linear` must live until the backward pass is done; x_RK must require a gradient. `examples`
// (int64, one more than examples): rows [examples[e], examples[e + 1]) are of example e, whose part
// of the weight's gradient is rounded to fp32 by itself before it is added: so it is the same in
// whatever company.
at::Tensor LinearOp(const at::Tensor& x_RK, const LinearParameters& linear,
                    const at::Tensor& examples);

struct EmbeddingTable {
  at::Tensor rows_VK;
  at::Tensor gradient_VK;                   // float64
  TensorType precision = TensorType::kF32;  // what rows are rounded to
};
// The rows `ids`. `root` is a leaf for autograd to begin from: if it requires a gradient the
// backward pass adds to that of the table, which must live until then.
at::Tensor EmbeddingOp(const at::Tensor& root, const EmbeddingTable& table, const at::Tensor& ids);

// A norm of every row: RMS norm, or layer norm where there is a bias.
struct NormParameters {
  at::Tensor weight_K;
  at::Tensor weight_gradient_K;  // float64
  at::Tensor bias_K;             // undefined: RMS norm
  at::Tensor bias_gradient_K;    // float64
  double eps = 0;
  bool adds_one = false;  // what is multiplied is one more than the weight

  at::Tensor Multiplier() const;
};
// `norm` must live until the backward pass is done.
at::Tensor NormOp(const at::Tensor& x_RK, const NormParameters& norm);

// Rotates every head of x [R, heads * D] by the angles of its row; cos and sin are [R, half], and
// values of a head from 2 * half on stay.
at::Tensor RopeOp(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin,
                  int64_t head_dim);

// x + y.
at::Tensor AddOp(const at::Tensor& x, const at::Tensor& y);

// act(gate), times `up` where that is defined.
at::Tensor ActivateOp(Activation activation, const at::Tensor& gate, const at::Tensor& up);

}  // namespace attune

#endif  // ATTUNE_WORKER_AUTOGRAD_OPS_H_
