#include "tests/golden/other_cases.h"

#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "absl/strings/str_cat.h"
#include "common/ches.h"
#include "worker/objectives/combination.h"
#include "worker/objectives/reasoning_reflection.h"

namespace attune {
namespace {

using nlohmann::json;

// The states that predict the tokens of a response, those from the last token of the prompt to the
// last but one position, as one.
struct PooledStates {
  std::vector<double> sum;
  double tokens;
};

PooledStates Pool(const json& inputs, const std::string& side, size_t row) {
  const at::Tensor states = TensorOf(inputs.at(absl::StrCat(side, "_hidden_embeddings")).at(row));
  const auto begin =
      inputs.at(absl::StrCat(side, "_last_prompt_token_indices")).at(row).get<int64_t>();
  const at::Tensor predicting = states.slice(0, begin, states.size(0) - 1);
  const at::Tensor sum = predicting.sum(0).contiguous();
  return {{sum.data_ptr<double>(), sum.data_ptr<double>() + sum.numel()},
          static_cast<double>(predicting.size(0))};
}

}  // namespace

absl::StatusOr<json> Ches(const GoldenCase& golden) {
  const bool mean = FlagOr(golden.hparams, "length_normalize", false);
  json scores = json::array();
  for (size_t i = 0; i < golden.inputs.at("preferred_hidden_embeddings").size(); ++i) {
    const PooledStates chosen = Pool(golden.inputs, "preferred", i);
    const PooledStates rejected = Pool(golden.inputs, "dispreferred", i);
    scores.push_back(ChesScore<double>(chosen.sum, mean ? chosen.tokens : 1, rejected.sum,
                                       mean ? rejected.tokens : 1));
  }
  return json{{"scores", scores}};
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
