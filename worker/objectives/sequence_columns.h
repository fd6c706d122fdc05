// From token log-probabilities to the columns of loss.h. Tokens of several responses lie flat, [T],
// and `sequences` says whose each is; tokens of a response are in their order, and any packing of
// responses gives the same bits. All float64; T tokens, S responses, V words of the vocabulary.
#ifndef ATTUNE_WORKER_OBJECTIVES_SEQUENCE_COLUMNS_H_
#define ATTUNE_WORKER_OBJECTIVES_SEQUENCE_COLUMNS_H_

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "absl/types/span.h"
#include "worker/objectives/loss.h"

namespace attune {

// Which response each token belongs to; on the CPU.
struct TokenSequences {
  at::Tensor sequences;  // [T] int64, in [0, count)
  int64_t count;         // S; a response may have no tokens
};

// [S] sum of `values` [T] over the tokens of each response, with gradients.
at::Tensor SumBySequence(const at::Tensor& values, const TokenSequences& tokens);

// [S] numbers of tokens.
at::Tensor SequenceLengths(const TokenSequences& tokens);

// Weights of tokens in the sums of log-probabilities, [T]. `shared` [S] is the number of tokens
// that both responses of the pair have, min(|yw|, |yl|), in the rows of both.
//
// LD-DPO (Liu et al. 2024): 1 for the first `shared` tokens and alpha, in [0, 1], beyond.
at::Tensor LdDpoTokenWeights(const TokenSequences& tokens, const at::Tensor& shared, double alpha);

// SamPO (Lu et al. 2024): 1 for `shared` tokens drawn without replacement and 0 for the others. The
// draw is a function of the seed and of keys[s], one per response, and of nothing else.
at::Tensor SampoTokenWeights(const TokenSequences& tokens, const at::Tensor& shared, uint64_t seed,
                             absl::Span<const uint64_t> keys);

// What the models say of the tokens. An undefined tensor gives no column.
struct TokenLogps {
  at::Tensor policy;        // [T] log-probabilities; gradients
  at::Tensor reference;     // [T]
  at::Tensor reference_kl;  // [T] KL(reference || policy) where the token is predicted; gradients
};

// logps, reference_logps, lengths, sequence_kl and self_weighted_logps of each response. `weights`
// apply to logps and, if `weigh_reference`, to reference_logps (LD-DPO: TRL weighs both,
// LLaMA-Factory the policy alone; SamPO weighs both); undefined: 1.
ResponseColumns ColumnsOf(const TokenLogps& logps, const TokenSequences& tokens,
                          const at::Tensor& weights = {}, bool weigh_reference = true);

// Rows `rows` ([n] int64) of every column that is there.
ResponseColumns SelectRows(const ResponseColumns& columns, const at::Tensor& rows);

// [S] sum over tokens of exp(d) - d - 1, d = anchor - policy, at most e^80 each: an estimate of
// KL(policy || anchor) (ADPO's anchor_kl), with gradients.
at::Tensor AnchorKl(const at::Tensor& policy, const at::Tensor& anchor,
                    const TokenSequences& tokens);

// WPO (Zhou et al. 2024, eq. 4): [S] mean over tokens of log pi(y_t) - log sum_v pi(v)^2, without
// gradients; 0 without tokens. The weight of a pair is exp of the sum of its two means.
at::Tensor WpoLogWeights(const at::Tensor& policy, const at::Tensor& log_sum_squares,
                         const TokenSequences& tokens);

// [pairs] exp(chosen + rejected); at most 1 if `clamp`, as in older versions of TRL.
at::Tensor WpoWeights(const at::Tensor& chosen, const at::Tensor& rejected, bool clamp);

// Quantities of whole distributions, one per position: from logits all at once, where the trainer
// goes by chunks of positions.
struct VocabularyColumns {
  at::Tensor logps;            // [T] log pi(target); gradients
  at::Tensor log_sum_squares;  // [T] log sum_v pi(v)^2
  at::Tensor entropy;          // [T] of pi, in nats
  at::Tensor reference_kl;  // [T] KL(reference || policy); gradients; undefined without reference
};

// `logits` [T, V] finite, `targets` [T] int64, `reference_logits` [T, V] or undefined.
VocabularyColumns VocabularyColumnsOf(const at::Tensor& logits, const at::Tensor& targets,
                                      const at::Tensor& reference_logits = {});

}  // namespace attune

#endif  // ATTUNE_WORKER_OBJECTIVES_SEQUENCE_COLUMNS_H_
