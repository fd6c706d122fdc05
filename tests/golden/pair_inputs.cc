#include "tests/golden/pair_inputs.h"

#include <ATen/ATen.h>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "worker/objectives/losses.h"

namespace attune {
namespace {

using nlohmann::json;

void ReadSide(const json& inputs, const std::string& side, const std::string& policy_name,
              ResponseColumns& columns) {
  columns.logps = Leaf(inputs.at(policy_name));
  const std::string reference = absl::StrCat("reference_", side, "_logps");
  if (Has(inputs, reference.c_str())) columns.reference_logps = TensorOf(inputs.at(reference));
  const std::string lengths = absl::StrCat(side, "_lengths");
  columns.lengths = Has(inputs, lengths.c_str()) ? TensorOf(inputs.at(lengths))
                                                 : at::ones_like(columns.logps.detach());
}

PairInputs ReadSides(const GoldenCase& golden, const std::string& suffix) {
  PairInputs pairs;
  pairs.chosen_name = absl::StrCat("policy_chosen_", suffix);
  pairs.rejected_name = absl::StrCat("policy_rejected_", suffix);
  ReadSide(golden.inputs, "chosen", pairs.chosen_name, pairs.batch.chosen);
  ReadSide(golden.inputs, "rejected", pairs.rejected_name, pairs.batch.rejected);
  return pairs;
}

}  // namespace

PairInputs ReadPairs(const GoldenCase& golden) { return ReadSides(golden, "logps"); }

PairInputs ReadMeanPairs(const GoldenCase& golden) { return ReadSides(golden, "avg_logps"); }

absl::StatusOr<const Loss*> LossNamed(const std::string& name) {
  const Loss* loss = FindLoss(name);
  if (loss != nullptr) return loss;
  return absl::UnimplementedError(absl::StrCat("the table of losses has no ", name));
}

absl::StatusOr<json> PairOutputs(const PairInputs& inputs, const std::string& loss_name,
                                 const LossOptions& options) {
  ATTUNE_ASSIGN_OR_RETURN(const Loss* loss, LossNamed(loss_name));
  const LossBatch& batch = inputs.batch;
  const at::Tensor losses = loss->function(batch, options);
  const ObjectiveValue value = Evaluate({{{loss, 1.0}}, options}, batch);
  json ours;
  ours["losses"] = JsonOf(losses);
  ours["loss"] = ours["loss_mean"] = JsonOf(value.loss);
  ours["grad_of_sum"][inputs.chosen_name] = JsonOf(Gradient(losses, batch.chosen.logps));
  ours["grad_of_sum"][inputs.rejected_name] = JsonOf(Gradient(losses, batch.rejected.logps));
  ours["grad"]["c"] = JsonOf(Gradient(value.loss, batch.chosen.logps));
  ours["grad"]["r"] = JsonOf(Gradient(value.loss, batch.rejected.logps));
  ours["chosen_rewards"] = JsonOf(value.rewards.chosen);
  ours["rejected_rewards"] = JsonOf(value.rewards.rejected);
  return ours;
}

}  // namespace attune
