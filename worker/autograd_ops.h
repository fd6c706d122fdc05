// The operations of the transformer under autograd. Forward passes call the kernels of the sampler,
// so that log-probabilities are equal to its bit for bit and do not depend on how rows are packed;
// backward passes are written with ATen. Tensors are fp32 on the CPU, contiguous, rows first. The
// last operation, from hidden states to log-probabilities, is in worker/score_targets_op.h.
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

// A linear map x W^T + b. The tensors are views, for instance into one that holds several maps; the
// weight's may have any strides. Backward passes add straight to the gradients, which saves a
// temporary of their size.
struct LinearParameters {
  at::Tensor weight_NK;
  at::Tensor weight_gradient_NK;
  at::Tensor bias_N;  // undefined: none
  at::Tensor bias_gradient_N;
  PackedMatrix packed;  // what the forward pass multiplies with: the weight, perhaps as bf16

  // To be called after weight_NK has changed. With kBf16 both passes multiply the weight and x
  // rounded to that; the rounding itself passes gradients on as they are.
  void Pack(TensorType precision);
  // What is multiplied for weight_NK or x: the tensor, or a copy of it rounded.
  at::Tensor Multiplied(const at::Tensor& factor) const;
};

// `linear` must live until the backward pass is done; x_RK must require a gradient.
at::Tensor LinearOp(const at::Tensor& x_RK, const LinearParameters& linear);

// The rows `ids` of table_VK, a leaf whose gradient the backward pass adds to; with kBf16 rounded
// to that.
at::Tensor EmbeddingOp(const at::Tensor& table_VK, const at::Tensor& ids, TensorType precision);

// Norms of every row.
at::Tensor RmsNormOp(const at::Tensor& x_RK, const at::Tensor& weight_K, double eps);
at::Tensor LayerNormOp(const at::Tensor& x_RK, const at::Tensor& weight_K, const at::Tensor& bias_K,
                       double eps);

// Rotates every head of x [R, heads * D] by the angles of its row; cos and sin are [R, half], and
// values of a head from 2 * half on stay.
at::Tensor RopeOp(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin,
                  int64_t head_dim);

struct AttentionShape {
  int64_t heads;
  int64_t kv_heads;  // head h reads kv head h / (heads / kv_heads)
  int64_t head_dim;
  float scale;    // of q . k
  float softcap;  // c: scores become c tanh(score / c); 0: they stay
  bool bf16;      // the forward pass rounds queries, keys, weights of values, and values
};
// Causal attention within each sequence. q [R, heads * D]; k, v [R, kv_heads * D]; rows
// [offsets[s], offsets[s + 1]) are sequence s (int64, one more than sequences). A row attends to
// `window` rows, itself the last; 0: to all from the beginning of its sequence. The backward pass
// holds scores of a few rows of one head at a time, for each thread.
at::Tensor AttentionOp(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                       const at::Tensor& offsets, const AttentionShape& shape, int64_t window);

// act(gate), times `up` where that is defined.
at::Tensor ActivateOp(Activation activation, const at::Tensor& gate, const at::Tensor& up);

}  // namespace attune

#endif  // ATTUNE_WORKER_AUTOGRAD_OPS_H_
