#include "tests/golden/other_cases.h"

#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "absl/strings/str_cat.h"
#include "worker/objectives/ches.h"
#include "worker/objectives/combination.h"
#include "worker/objectives/reasoning_reflection.h"

namespace attune {
namespace {

using nlohmann::json;

// [n, d] sums, or means, of the states that predict the tokens of a response: those from the last
// token of the prompt to the last but one position.
at::Tensor PooledStates(const json& inputs, const std::string& side, bool mean) {
  const at::Tensor states = TensorOf(inputs.at(absl::StrCat(side, "_hidden_embeddings")));
  const json& begins = inputs.at(absl::StrCat(side, "_last_prompt_token_indices"));
  std::vector<at::Tensor> pooled;
  for (int64_t i = 0; i < states.size(0); ++i) {
    const int64_t begin = begins.at(i).get<int64_t>();
    const at::Tensor predicting = states[i].slice(0, begin, states.size(1) - 1);
    pooled.push_back(mean ? predicting.mean(0) : predicting.sum(0));
  }
  return at::stack(pooled);
}

}  // namespace

absl::StatusOr<json> Ches(const GoldenCase& golden) {
  const bool mean = FlagOr(golden.hparams, "length_normalize", false);
  return json{{"scores", JsonOf(ChesScores(PooledStates(golden.inputs, "preferred", mean),
                                           PooledStates(golden.inputs, "dispreferred", mean)))}};
}

absl::StatusOr<json> ChesQuantileSlice(const GoldenCase& golden) {
  const json& array = golden.inputs.at("array");
  const PositionRange range =
      QuantileSlice(static_cast<int64_t>(array.size()), golden.hparams.at("quantile").get<double>(),
                    golden.hparams.at("num_elements").get<int64_t>());
  return json{{"slice", json(array.begin() + range.begin, array.begin() + range.end)}};
}

absl::StatusOr<json> DroReasoningReflection(const GoldenCase& golden) {
  const ReasoningReflection result =
      ReflectOnReasoning(TensorOf(golden.inputs.at("ref_token_logps_given_cot")),
                         TensorOf(golden.inputs.at("ref_token_logps_masked_cot")));
  return json{{"sigma", JsonOf(result.sigma)},
              {"weights", JsonOf(result.weights)},
              {"r3", JsonOf(result.rewards)}};
}

absl::StatusOr<json> PamaMinNorm(const GoldenCase& golden) {
  const at::Tensor advantages = TensorOf(golden.inputs.at("advantages"));
  return json{{"s_star", JsonOf(MinNormScalar(advantages.unsqueeze(1)).squeeze(0))}};
}

absl::StatusOr<json> TrDpoSync(const GoldenCase& golden) {
  return json{
      {"reference_after", JsonOf(MixedReference(TensorOf(golden.inputs.at("policy")),
                                                TensorOf(golden.inputs.at("reference")),
                                                golden.hparams.at("alpha").get<double>()))}};
}

}  // namespace attune
