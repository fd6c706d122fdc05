// The operations of the transformer under autograd. Forward passes call the kernels of the sampler,
// so that log-probabilities are equal to its bit for bit and do not depend on how rows are packed;
// backward passes are written with ATen. Tensors are fp32 on the CPU, contiguous, rows first.
//
// Shapes: R rows (tokens of several sequences, one after the other), K inputs, N outputs, D head
// dimension, T targets, V vocabulary.
#ifndef ATTUNE_WORKER_AUTOGRAD_OPS_H_
#define ATTUNE_WORKER_AUTOGRAD_OPS_H_

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "model/kernels.h"

namespace attune {

// x_RK W^T. `packed` is weight_NK packed and must live until the backward pass is done.
at::Tensor LinearOp(const at::Tensor& x_RK, const at::Tensor& weight_NK,
                    const PackedMatrix& packed);

at::Tensor RmsNormOp(const at::Tensor& x_RK, const at::Tensor& weight_K, double eps);

// Rotates every head of x [R, heads * D] by the angle of its row; cos and sin are [R, D / 2].
at::Tensor RopeOp(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);

struct AttentionShape {
  int64_t heads;
  int64_t kv_heads;
  int64_t head_dim;
};
// Causal attention within each sequence. q [R, heads * D]; k, v [R, kv_heads * D]; rows
// [offsets[s], offsets[s + 1]) are sequence s (int64, one more than sequences).
at::Tensor AttentionOp(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                       const at::Tensor& offsets, const AttentionShape& shape);

at::Tensor SiluMulOp(const at::Tensor& gate, const at::Tensor& up);

// log softmax(hidden_TK W^T)[t, targets[t]], [T]. The logits exist for a few rows at a time only.
at::Tensor LogProbOp(const at::Tensor& hidden_TK, const at::Tensor& weight_VK,
                     const PackedMatrix& packed, const at::Tensor& targets);

}  // namespace attune

#endif  // ATTUNE_WORKER_AUTOGRAD_OPS_H_
