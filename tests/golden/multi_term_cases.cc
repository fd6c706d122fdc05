#include "tests/golden/multi_term_cases.h"

#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "tests/golden/pair_inputs.h"
#include "worker/objectives/loss_terms.h"
#include "worker/objectives/losses.h"
#include "worker/objectives/multi_term_losses.h"
#include "worker/objectives/reward_model_losses.h"
#include "worker/objectives/unpaired_losses.h"

namespace attune {
namespace {

using nlohmann::json;

LossOptions WithBeta(const GoldenCase& golden) {
  LossOptions options;
  options.beta = NumberOr(golden.hparams, "beta", options.beta);
  return options;
}

// The columns that are given instead of log-probabilities of both models.
ResponseColumns FromLogRatios(const at::Tensor& log_ratios) {
  ResponseColumns columns;
  columns.logps = log_ratios;
  columns.reference_logps = at::zeros_like(log_ratios.detach());
  return columns;
}

}  // namespace

absl::StatusOr<json> Modpo(const GoldenCase& golden) {
  PairInputs pairs = ReadPairs(golden);
  LossOptions options = WithBeta(golden);
  const at::Tensor weights = TensorOf(golden.hparams.at("w"));
  options.objective_weight = weights[0].item<double>();
  const auto margin = [&](const char* key) {
    return TensorOf(golden.inputs.at(key)).matmul(weights.slice(0, 1));
  };
  pairs.batch.chosen_margin = margin("chosen_margin_reward");
  pairs.batch.rejected_margin = margin("rejected_margin_reward");
  const std::string type = TextOr(golden.hparams, "loss_type", "sigmoid");
  if (type != "sigmoid" && type != "hinge") return NoMapping(golden, "loss_type");
  return PairOutputs(pairs, type == "hinge" ? "modpo_hinge" : "modpo", options);
}

absl::StatusOr<json> Realign(const GoldenCase& golden) {
  PairInputs pairs = ReadPairs(golden);
  const LossOptions options = WithBeta(golden);
  ResponseColumns& corrupted = pairs.batch.corrupted;
  corrupted.logps = Leaf(golden.inputs.at("policy_imageless_chosen_logps"));
  corrupted.reference_logps = TensorOf(golden.inputs.at("reference_imageless_chosen_logps"));
  ATTUNE_ASSIGN_OR_RETURN(json ours, PairOutputs(pairs, "realign", options));
  ours["imageless_rewards"] = JsonOf(options.beta * LogRatios(corrupted));
  ours["grad_of_sum"]["policy_imageless_chosen_logps"] =
      JsonOf(Gradient(RealignLoss(pairs.batch, options), corrupted.logps));
  return ours;
}

absl::StatusOr<json> McmDpo(const GoldenCase& golden) {
  const json& hparams = golden.hparams;
  std::vector<std::pair<std::string, ResponseColumns>> columns;
  const auto view = [&](const std::string& name) {
    ResponseColumns view;
    view.logps = Leaf(golden.inputs.at("policy").at(name));
    view.reference_logps = TensorOf(golden.inputs.at("reference").at(name));
    columns.emplace_back(name, view);
    return view;
  };
  LossBatch batch;
  batch.chosen = view("cw_mw_yw");
  batch.rejected = view("cw_mw_yl");
  // The loss weighs the pair with 1.
  const double pair_weight = NumberOr(hparams, "para_r3", 1);
  LossOptions options = WithBeta(golden);
  options.view_norm = NumberOr(hparams, "para_norm", 1) / pair_weight;
  // (view, its weight, how many terms there must be for it to count)
  const std::tuple<const char*, const char*, double> terms[] = {
      {"cw_ml_yw", "para_r2", 0},   {"cl_mw_yw", "para_r1", 3},   {"cl_mw_yl", "para_r4_7", 4},
      {"cw_ml_yl", "para_r4_7", 5}, {"cl_ml_yw", "para_r4_7", 6}, {"cl_ml_yl", "para_r4_7", 7}};
  for (const auto& [name, weight, count] : terms) {
    const ResponseColumns columns_of_view = view(name);
    if (!FlagOr(hparams, "use_cross_modal_loss", false) ||
        NumberOr(hparams, "use_cl_reward_num", 0) < count) {
      continue;
    }
    batch.views.push_back(columns_of_view);
    options.view_weights.push_back(hparams.at(weight).get<double>() / pair_weight);
  }
  ATTUNE_ASSIGN_OR_RETURN(json ours, PairOutputs({batch, "", ""}, "mcm_dpo", options));
  const at::Tensor losses = McmDpoLoss(batch, options);
  for (const auto& [name, view_columns] : columns) {
    ours["grad_of_sum"][name] = JsonOf(Gradient(losses, view_columns.logps));
  }
  return ours;
}

// The port calls minus a log-probability a loss and multiplies differences with a negative number,
// which is our beta with the signs of both turned round.
absl::StatusOr<json> OfsDpo(const GoldenCase& golden) {
  const json& hparams = golden.hparams;
  if (NumberOr(hparams, "clamp", 10) != 10) return NoMapping(golden, "clamp");
  LossOptions options;
  options.beta = -hparams.at("scale_term").get<double>();
  options.fast_slow_alpha = hparams.at("alpha").get<double>();
  const at::Tensor one = Leaf(golden.inputs.at("model_diff_fast"));
  const at::Tensor other = Leaf(golden.inputs.at("model_diff_slow"));
  const at::Tensor reference = -TensorOf(golden.inputs.at("ref_diff"));
  const bool one_is_fast = FlagOr(hparams, "fast_has_F_role", true);
  const at::Tensor fast = -(one_is_fast ? one : other);
  const at::Tensor slow = -(one_is_fast ? other : one);
  const FastSlowLosses losses = OfsDpoLosses(fast, slow, reference, options);
  const at::Tensor fast_dpo = MarginDpoLoss(fast, reference, options);
  const at::Tensor slow_dpo = MarginDpoLoss(slow, reference, options);
  const at::Tensor total = (losses.fast + losses.slow).mean();
  json ours;
  ours["loss"] = JsonOf(total);
  ours["loss_fast"] = JsonOf((one_is_fast ? fast_dpo : slow_dpo).mean());
  ours["loss_slow"] = JsonOf((one_is_fast ? slow_dpo : fast_dpo).mean());
  ours["loss_fs_F"] = JsonOf(((losses.fast - fast_dpo) / options.fast_slow_alpha).mean());
  ours["loss_fs_S"] = JsonOf(((slow_dpo - losses.slow) / options.fast_slow_alpha).mean());
  ours["grad_model_diff_fast"] = JsonOf(Gradient(total, one));
  ours["grad_model_diff_slow"] = JsonOf(Gradient(total, other));
  return ours;
}

absl::StatusOr<json> DiffusionDpo(const GoldenCase& golden) {
  const at::Tensor predictions = Leaf(golden.inputs.at("model_pred"));
  const at::Tensor targets = TensorOf(golden.inputs.at("target"));
  const at::Tensor policy = SurrogateLogps(predictions, targets);
  const at::Tensor reference = SurrogateLogps(TensorOf(golden.inputs.at("ref_pred")), targets);
  const int64_t n = policy.numel() / 2;
  PairInputs pairs;
  pairs.batch.chosen.logps = policy.slice(0, 0, n);
  pairs.batch.chosen.reference_logps = reference.slice(0, 0, n);
  pairs.batch.rejected.logps = policy.slice(0, n);
  pairs.batch.rejected.reference_logps = reference.slice(0, n);
  LossOptions options;
  options.beta = golden.hparams.at("beta_dpo").get<double>();
  ATTUNE_ASSIGN_OR_RETURN(const Loss* loss, LossNamed("sigmoid"));
  const ObjectiveValue value = Evaluate({{{loss, 1.0}}, options}, pairs.batch);
  const at::Tensor margins = value.rewards.chosen - value.rewards.rejected;
  json ours;
  ours["loss"] = JsonOf(value.loss);
  ours["inside_term"] = JsonOf(margins);
  ours["implicit_acc"] = JsonOf((margins > 0).to(at::kDouble).mean());
  ours["grad_model_pred"] = JsonOf(Gradient(value.loss, predictions));
  return ours;
}

// The mean of rewards runs over consecutive cases, from step 0 on.
absl::StatusOr<json> TrlBco(const GoldenCase& golden) {
  LossOptions options = WithBeta(golden);
  if (golden.step > golden.number) {
    return absl::InvalidArgumentError("the steps before this one are not in the file");
  }
  RunningMean mean;
  for (size_t i = golden.number - golden.step; i <= golden.number; ++i) {
    const GoldenCase& earlier = golden.file->at(i);
    mean = UpdateRewardMean(mean, ReadPairs(earlier).batch, WithBeta(earlier).beta);
  }
  options.bco_shift = mean.mean;
  ATTUNE_ASSIGN_OR_RETURN(json ours, PairOutputs(ReadPairs(golden), "bco", options));
  ours["delta"] = mean.mean;
  ours["running"] = {{"mean", mean.mean}, {"count", mean.count}};
  return ours;
}

absl::StatusOr<json> Ddo(const GoldenCase& golden) {
  LossOptions options = WithBeta(golden);
  options.ddo_alpha = NumberOr(golden.hparams, "alpha", options.ddo_alpha);
  const at::Tensor real = Leaf(golden.inputs.at("logratio_real"));
  const at::Tensor sampled = Leaf(golden.inputs.at("logratio_ref_sample"));
  LossBatch batch;
  batch.chosen = FromLogRatios(real);
  batch.rejected = FromLogRatios(sampled);
  ATTUNE_ASSIGN_OR_RETURN(const Loss* loss, LossNamed("ddo"));
  const at::Tensor value = Evaluate({{{loss, 1.0}}, options}, batch).loss;
  return json{{"loss", JsonOf(value)},
              {"grad_logratio_real", JsonOf(Gradient(value, real))},
              {"grad_logratio_ref_sample", JsonOf(Gradient(value, sampled))}};
}

absl::StatusOr<json> OpenRlhf(const GoldenCase& golden) {
  const std::string type = TextOr(golden.hparams, "cls", "");
  if (type == "DPOLoss") {
    LossOptions options = WithBeta(golden);
    options.label_smoothing = NumberOr(golden.hparams, "label_smoothing", 0);
    const bool ipo = FlagOr(golden.hparams, "ipo", false);
    return PairOutputs(ReadPairs(golden), ipo ? "ipo_sum" : "sigmoid", options);
  }
  if (type != "PairWiseLoss" && type != "LogExpLoss") return NoMapping(golden, "cls");
  const at::Tensor chosen = Leaf(golden.inputs.at("chosen"));
  const at::Tensor rejected = Leaf(golden.inputs.at("rejected"));
  at::Tensor margins;  // LogExpLoss does not look at them
  if (type == "PairWiseLoss" && Has(golden.inputs, "margin")) {
    margins = TensorOf(golden.inputs.at("margin"));
  }
  const at::Tensor loss = RewardModelLoss(chosen, rejected, margins).mean();
  json ours;
  ours["loss"] = JsonOf(loss);
  ours["grad"] = {{"c", JsonOf(Gradient(loss, chosen))}, {"r", JsonOf(Gradient(loss, rejected))}};
  return ours;
}

absl::StatusOr<json> TrlRewardModel(const GoldenCase& golden) {
  const at::Tensor chosen = Leaf(golden.inputs.at("rewards_chosen"));
  const at::Tensor rejected = Leaf(golden.inputs.at("rewards_rejected"));
  LossBatch batch;
  batch.chosen.rewards = chosen;
  batch.rejected.rewards = rejected;
  if (Has(golden.inputs, "margin")) batch.score_margin = TensorOf(golden.inputs.at("margin"));
  LossOptions options;
  options.center_rewards = NumberOr(golden.hparams, "center_rewards_coefficient", 0);
  const at::Tensor loss = Evaluate({{{FindLoss("reward_model"), 1.0}}, options}, batch).loss;
  const at::Tensor rewards = at::cat({chosen, rejected});
  const auto metric = [](const at::Tensor& value) { return json::array({JsonOf(value)}); };
  json ours;
  ours["loss"] = JsonOf(loss);
  ours["grad"] = JsonOf(at::cat({Gradient(loss, chosen), Gradient(loss, rejected)}).unsqueeze(1));
  ours["metrics"] = {{"min_reward", metric(rewards.min())},
                     {"mean_reward", metric(rewards.mean())},
                     {"max_reward", metric(rewards.max())},
                     {"accuracy", metric((chosen > rejected).to(at::kDouble).mean())},
                     {"margin", metric((chosen - rejected).mean())}};
  return ours;
}

}  // namespace attune
