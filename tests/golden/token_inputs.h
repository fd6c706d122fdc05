// Responses of a case as flat tokens: from logits of a batch or from token log-probabilities.
#ifndef ATTUNE_TESTS_GOLDEN_TOKEN_INPUTS_H_
#define ATTUNE_TESTS_GOLDEN_TOKEN_INPUTS_H_

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "nlohmann/json.hpp"
#include "worker/objectives/sequence_columns.h"

namespace attune {

// Where a [S, L] mask is not 0, row by row.
struct MaskedTokens {
  TokenSequences sequences;
  at::Tensor indices;  // [T] into the flat [S L]

  // [T, ...] of values [S, L, ...].
  at::Tensor Select(const at::Tensor& values) const;
};
MaskedTokens TokensWhere(const at::Tensor& mask);

// The responses of a batch of logits: policy_logits is a leaf [S, L, V], where position t predicts
// token t + 1.
struct LogitsInputs {
  at::Tensor policy_logits;
  MaskedTokens tokens;
  VocabularyColumns policy;
  VocabularyColumns reference;
  ResponseColumns responses;  // [S]
};

// Of common_lm_batch: the tokens of `labels` that are not -100, or those of completion_mask.
LogitsInputs ReadLogits(const nlohmann::json& inputs);

// Rows [begin, end) of every column.
ResponseColumns Rows(const ResponseColumns& columns, int64_t begin, int64_t end);

// Log-probabilities [S, L] as a leaf, every position a token: the originals sum over the padding,
// where the log-probabilities are 0, and gradients flow there.
struct PaddedResponses {
  at::Tensor policy;
  ResponseColumns columns;
};
PaddedResponses ReadPadded(const nlohmann::json& policy, const nlohmann::json& reference);

}  // namespace attune

#endif  // ATTUNE_TESTS_GOLDEN_TOKEN_INPUTS_H_
