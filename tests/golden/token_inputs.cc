#include "tests/golden/token_inputs.h"

#include <ATen/ATen.h>

#include "tests/golden/golden_case.h"

namespace attune {

using nlohmann::json;

at::Tensor MaskedTokens::Select(const at::Tensor& values) const {
  return values.flatten(0, 1).index_select(0, indices);
}

MaskedTokens TokensWhere(const at::Tensor& mask) {
  MaskedTokens tokens;
  tokens.indices = at::nonzero(mask.reshape({-1})).squeeze(1);
  tokens.sequences.count = mask.size(0);
  tokens.sequences.sequences =
      at::arange(mask.size(0)).repeat_interleave(mask.size(1)).index_select(0, tokens.indices);
  return tokens;
}

LogitsInputs ReadLogits(const json& inputs) {
  LogitsInputs result;
  result.policy_logits = Leaf(inputs.at("policy_logits"));
  const at::Tensor reference_logits = TensorOf(inputs.at("reference_logits"));
  const at::Tensor mask = Has(inputs, "labels") ? TensorOf(inputs.at("labels")) != -100
                                                : TensorOf(inputs.at("completion_mask")) != 0;
  const at::Tensor ids = TensorOf(inputs.at("input_ids")).to(at::kLong);
  // Nothing predicts the first token; what is said at the last position is of no token.
  const int64_t length = ids.size(1);
  const auto predicting = [&](const at::Tensor& logits) {
    return result.tokens.Select(logits.slice(1, 0, length - 1));
  };
  result.tokens = TokensWhere(mask.slice(1, 1));
  const at::Tensor targets = result.tokens.Select(ids.slice(1, 1));
  result.policy =
      VocabularyColumnsOf(predicting(result.policy_logits), targets, predicting(reference_logits));
  result.reference = VocabularyColumnsOf(predicting(reference_logits), targets);
  result.responses =
      ColumnsOf({result.policy.logps, result.reference.logps, result.policy.reference_kl},
                result.tokens.sequences);
  return result;
}

ResponseColumns Rows(const ResponseColumns& columns, int64_t begin, int64_t end) {
  return SelectRows(columns, at::arange(begin, end));
}

PaddedResponses ReadPadded(const json& policy, const json& reference) {
  PaddedResponses result;
  result.policy = Leaf(policy);
  const MaskedTokens all = TokensWhere(at::ones_like(result.policy.detach()));
  result.columns =
      ColumnsOf({all.Select(result.policy), all.Select(TensorOf(reference)), {}}, all.sequences);
  return result;
}

}  // namespace attune
