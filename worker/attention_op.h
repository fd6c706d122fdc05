// Causal attention under autograd, as worker/autograd_ops.h: the forward pass is the sampler's.
#ifndef ATTUNE_WORKER_ATTENTION_OP_H_
#define ATTUNE_WORKER_ATTENTION_OP_H_

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace attune {

struct AttentionShape {
  int64_t heads;
  int64_t kv_heads;  // head h reads kv head h / (heads / kv_heads)
  int64_t head_dim;
  float scale;    // of q . k
  float softcap;  // c: scores become c tanh(score / c); 0: they stay
  bool bf16;      // the forward pass rounds queries, keys, weights of values, and values
};

// Causal attention within each sequence. q [R, heads * D]; k, v [R, kv_heads * D].
// `segments` [S, 3] int64: rows [begin, end) of each, one segment after the other, and the segment
// that it continues, -1: none. One that is continued continues none, and its continuations come
// right after it. A row attends to `window` rows, itself the last; 0: to all from the beginning of
// its sequence. The backward pass holds scores of a few rows of one head at a time, for each
// thread.
at::Tensor AttentionOp(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                       const at::Tensor& segments, const AttentionShape& shape, int64_t window);

}  // namespace attune

#endif  // ATTUNE_WORKER_ATTENTION_OP_H_
