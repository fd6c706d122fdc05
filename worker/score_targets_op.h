// What the whole vocabulary says of a token where it is predicted, under autograd: from final
// hidden states and language heads, for a few rows of logits at a time. The slow form of the same,
// from all logits at once, is VocabularyColumnsOf (worker/objectives/sequence_columns.h).
#ifndef ATTUNE_WORKER_SCORE_TARGETS_OP_H_
#define ATTUNE_WORKER_SCORE_TARGETS_OP_H_

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "worker/autograd_ops.h"

namespace attune {

// What can be known of every target. Those not asked for are undefined tensors.
struct TargetColumns {
  at::Tensor logps;            // [T] log pi(target); gradients
  at::Tensor reference_kl;     // [T] KL(reference || policy) where the target is predicted;
                               //     gradients; as low as -1e-5 by rounding
  at::Tensor log_sum_squares;  // [T] log sum_v pi(v)^2; no gradient
};

// Logits hidden_TK W^T or, with a softcap c other than 0, c tanh of that / c.
struct HeadRows {
  at::Tensor hidden_TK;                    // row t predicts target t
  const LinearParameters* head = nullptr;  // W [V, K]
  double softcap = 0;
};

// So many logits of a model exist at a time, 32 MiB, or those of one row where the vocabulary is
// larger; the backward pass computes them again, of all rows for a part of the vocabulary.
inline constexpr int64_t kChunkLogits = int64_t{1} << 23;

// Of `targets` [T] int64 within the vocabulary; `examples` are their bounds, as of LinearOp.
// `reference` has the same vocabulary and is taken as
// it is, without gradients; hidden_TK undefined: there is none, and no reference_kl. Both heads
// must live, unchanged, until the backward pass is done. What else is asked changes no bit of
// logps.
TargetColumns ScoreTargetsOp(const HeadRows& policy, const at::Tensor& targets,
                             const at::Tensor& examples, const HeadRows& reference = {},
                             bool log_sum_squares = false);

}  // namespace attune

#endif  // ATTUNE_WORKER_SCORE_TARGETS_OP_H_
