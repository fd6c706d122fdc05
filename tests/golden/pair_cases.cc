#include "tests/golden/pair_cases.h"

#include <string>

#include <ATen/ATen.h>

#include "common/status_macros.h"
#include "tests/golden/pair_inputs.h"
#include "worker/objectives/listwise_losses.h"
#include "worker/objectives/loss_terms.h"
#include "worker/objectives/losses.h"
#include "worker/objectives/unpaired_losses.h"

namespace attune {
namespace {

using nlohmann::json;

LossOptions ReadOptions(const json& hparams) {
  LossOptions options;
  options.beta = NumberOr(hparams, "beta", options.beta);
  options.label_smoothing = NumberOr(hparams, "label_smoothing", 0);
  options.discopop_tau = NumberOr(hparams, "discopop_tau", options.discopop_tau);
  return options;
}

// With `reference_free` the originals leave the reference out of losses, but not of rewards.
absl::StatusOr<json> OutputsWithOrWithoutReference(const GoldenCase& golden,
                                                   const PairInputs& pairs,
                                                   const std::string& loss_name,
                                                   const LossOptions& options) {
  ATTUNE_ASSIGN_OR_RETURN(json ours, PairOutputs(pairs, loss_name, options));
  if (!FlagOr(golden.hparams, "reference_free", false)) return ours;
  PairInputs free = pairs;
  for (ResponseColumns* side : {&free.batch.chosen, &free.batch.rejected}) {
    side->reference_logps = at::zeros_like(side->reference_logps);
  }
  ATTUNE_ASSIGN_OR_RETURN(json result, PairOutputs(free, loss_name, options));
  for (const char* side : {"chosen_rewards", "rejected_rewards"}) result[side] = ours[side];
  return result;
}

// The original returns losses in the order of the sorted `key`.
void SortRows(json& rows, const at::Tensor& key) {
  rows = JsonOf(TensorOf(rows).index_select(0, at::argsort(key.detach())));
}

}  // namespace

absl::StatusOr<json> DpoEricMitchell(const GoldenCase& golden) {
  const bool ipo = FlagOr(golden.hparams, "ipo", false);
  return OutputsWithOrWithoutReference(golden, ReadPairs(golden), ipo ? "ipo_sum" : "sigmoid",
                                       ReadOptions(golden.hparams));
}

absl::StatusOr<json> TrlV024Dpo(const GoldenCase& golden) {
  const std::string type = TextOr(golden.hparams, "loss_type", "sigmoid");
  const PairInputs pairs = ReadPairs(golden);
  LossOptions options = ReadOptions(golden.hparams);
  const std::string divergence = TextOr(golden.hparams, "f_divergence_type", "reverse_kl");
  if (divergence == "js_divergence") {
    options.f_divergence = FDivergence::kJensenShannon;
  } else if (divergence == "alpha_divergence") {  // the paper's alpha
    const json parameters = golden.hparams.value("f_divergence_params", json());
    options.f_divergence = FDivergence::kAlpha;
    options.f_alpha =
        parameters.is_object() ? NumberOr(parameters, "alpha_divergence_coef", 1.0) : 1.0;
  } else if (divergence != "reverse_kl") {
    return NoMapping(golden, "f_divergence_type");
  }
  // What this version does when no smoothing was given.
  if (type == "exo_pair" && options.label_smoothing == 0) options.label_smoothing = 1e-3;
  const RunningMean mean = UpdateRewardMean({}, pairs.batch, options.beta);
  if (type == "bco_pair") options.bco_shift = mean.mean;

  std::string name = type;
  if (type == "ipo") name = "ipo_sum";  // lengths are divided by before the call
  if (type == "aot_pair") name = "aot_unpaired";
  ATTUNE_ASSIGN_OR_RETURN(json ours, OutputsWithOrWithoutReference(golden, pairs, name, options));
  ours["running_mean_after"] = mean.mean;
  const LossBatch& batch = pairs.batch;
  if (type == "aot") SortRows(ours["losses"], batch.chosen.logps - batch.rejected.logps);
  if (name == "aot_unpaired") SortRows(ours["losses"], LogRatios(batch.chosen));
  return ours;
}

absl::StatusOr<json> FDpo(const GoldenCase& golden) {
  // The released code keeps this constant in the rewards, with these digits.
  constexpr double kLogTwo = 0.6931471806;
  const std::string function = TextOr(golden.hparams, "function", "");
  const PairInputs pairs = ReadPairs(golden);
  LossOptions options = ReadOptions(golden.hparams);
  std::string name = "sigmoid";
  double reward_constant = 0;
  if (function == "dpo_loss") {
    if (FlagOr(golden.hparams, "ipo", false)) name = "ipo_sum";
  } else if (function == "forward_dpo_loss") {
    options.f_divergence = FDivergence::kForwardKl;
  } else if (function == "js_dpo_loss") {
    options.f_divergence = FDivergence::kJensenShannon;
    reward_constant = kLogTwo;
  } else if (function == "alpha_dpo_loss") {
    options.f_divergence = FDivergence::kAlpha;
    options.f_alpha = NumberOr(golden.hparams, "alpha", 0.5);
  } else {
    return NoMapping(golden, "function");
  }
  ATTUNE_ASSIGN_OR_RETURN(json ours, OutputsWithOrWithoutReference(golden, pairs, name, options));
  const auto rewards = [&](const ResponseColumns& side) {
    return options.beta * (DivergenceScores(LogRatios(side), options) + reward_constant);
  };
  ours["chosen_rewards"] = JsonOf(rewards(pairs.batch.chosen));
  ours["rejected_rewards"] = JsonOf(rewards(pairs.batch.rejected));
  return ours;
}

absl::StatusOr<json> DpopRDpoSampo(const GoldenCase& golden) {
  const std::string type = TextOr(golden.hparams, "loss_type", "sigmoid");
  LossOptions options = ReadOptions(golden.hparams);
  options.dpop_lambda = NumberOr(golden.hparams, "dpop_lambda", options.dpop_lambda);
  options.length_lambda = NumberOr(golden.hparams, "lenN_lambda", options.length_lambda);
  std::string name = type;
  if (type == "lenN") name = "r_dpo";
  if (type == "ipo") name = "ipo_sum";
  return PairOutputs(ReadPairs(golden), name, options);
}

absl::StatusOr<json> Spin(const GoldenCase& golden) {
  const std::string type = TextOr(golden.hparams, "loss_type", "sigmoid");
  if (type != "sigmoid" && type != "hinge") return NoMapping(golden, "loss_type");
  return PairOutputs(ReadPairs(golden), type == "sigmoid" ? "spin" : type,
                     ReadOptions(golden.hparams));
}

namespace {

// KTO's reference point of each side is the mean log-ratio of the other.
absl::StatusOr<json> SppoKtoPair(const GoldenCase& golden, const LossOptions& options) {
  const PairInputs pairs = ReadPairs(golden);
  const int64_t n = pairs.batch.chosen.logps.numel();
  ATTUNE_ASSIGN_OR_RETURN(const Loss* kto, LossNamed("kto"));
  const auto losses_with = [&](const ResponseColumns& mismatched) {
    LossBatch batch = pairs.batch;
    batch.mismatched = mismatched;
    return kto->function(batch, options);
  };
  const at::Tensor losses = at::cat({losses_with(pairs.batch.rejected).slice(0, 0, n),
                                     losses_with(pairs.batch.chosen).slice(0, n)});
  ATTUNE_ASSIGN_OR_RETURN(json ours, PairOutputs(pairs, "sigmoid", options));  // the rewards
  ours["losses"] = JsonOf(losses);
  ours["loss_mean"] = JsonOf(losses.mean());
  ours["grad_of_sum"] = {
      {pairs.chosen_name, JsonOf(Gradient(losses, pairs.batch.chosen.logps))},
      {pairs.rejected_name, JsonOf(Gradient(losses, pairs.batch.rejected.logps))}};
  return ours;
}

}  // namespace

absl::StatusOr<json> Sppo(const GoldenCase& golden) {
  const std::string type = TextOr(golden.hparams, "loss_type", "sppo");
  const LossOptions options = ReadOptions(golden.hparams);
  if (type == "kto_pair") return SppoKtoPair(golden, options);
  PairInputs pairs = ReadPairs(golden);
  LossBatch& batch = pairs.batch;
  if (Has(golden.inputs, "chosen_probs_win")) {
    batch.chosen_win_rate = TensorOf(golden.inputs.at("chosen_probs_win"));
    batch.rejected_win_rate = TensorOf(golden.inputs.at("chosen_probs_lose"));
  }
  if (Has(golden.inputs, "chosen_probs")) {
    batch.win_probability = TensorOf(golden.inputs.at("chosen_probs"));
  }
  return PairOutputs(pairs, type == "ipo" ? "ipo_sum" : type, options);
}

absl::StatusOr<json> DnoSoftRegression(const GoldenCase& golden) {
  PairInputs pairs = ReadPairs(golden);
  LossOptions options;
  options.beta = golden.hparams.at("eta").get<double>();
  pairs.batch.target =
      ScoreTargets(TensorOf(golden.inputs.at("r1")), TensorOf(golden.inputs.at("r2")), 1);
  return PairOutputs(pairs, "dno", options);
}

absl::StatusOr<json> Simpo(const GoldenCase& golden) {
  LossOptions options = ReadOptions(golden.hparams);
  options.simpo_gamma = options.beta * NumberOr(golden.hparams, "gamma_beta_ratio", 0);
  const std::string type = TextOr(golden.hparams, "loss_type", "sigmoid");
  if (type != "sigmoid" && type != "hinge") return NoMapping(golden, "loss_type");
  return PairOutputs(ReadMeanPairs(golden), type == "hinge" ? "simpo_hinge" : "simpo", options);
}

absl::StatusOr<json> TrlCpo(const GoldenCase& golden) {
  const json& hparams = golden.hparams;
  const std::string type = TextOr(hparams, "loss_type", "sigmoid");
  LossOptions options = ReadOptions(hparams);
  options.alphapo_alpha = NumberOr(hparams, "alpha", 0);
  const bool margin = type == "simpo" || type == "alphapo";
  options.simpo_gamma = margin ? NumberOr(hparams, "simpo_gamma", options.simpo_gamma) : 0;
  std::string name;
  if (type == "simpo" || type == "alphapo" || type == "sigmoid") {
    name = options.alphapo_alpha != 0 ? "alphapo" : margin ? "simpo" : "cpo";
  } else if (options.alphapo_alpha == 0 && (type == "hinge" || type == "ipo")) {
    name = "cpo_" + type;
  } else {
    return NoMapping(golden, "loss_type");
  }
  return PairOutputs(ReadPairs(golden), name, options);  // means where the loss wants means
}

// The original returns the term with the other sign, and logs log sigmoid of the log odds ratio and
// that ratio.
absl::StatusOr<json> TrlOrpo(const GoldenCase& golden) {
  const PairInputs pairs = ReadMeanPairs(golden);
  const LossOptions options = ReadOptions(golden.hparams);
  ATTUNE_ASSIGN_OR_RETURN(json ours, PairOutputs(pairs, "orpo", options));
  const auto negated = [](const json& value) { return JsonOf(-TensorOf(value)); };
  ours["losses"] = negated(ours["losses"]);
  for (json& gradient : ours["grad_of_sum"]) gradient = negated(gradient);
  const at::Tensor log_sigmoid = TensorOf(ours["losses"]) / options.beta;
  ours["mean_log_ratio"] = JsonOf(log_sigmoid.mean());
  ours["mean_log_odds"] = JsonOf((log_sigmoid - at::log(-at::expm1(log_sigmoid))).mean());
  return ours;
}

}  // namespace attune
