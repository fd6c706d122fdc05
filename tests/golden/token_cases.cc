#include "tests/golden/token_cases.h"

#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/status_macros.h"
#include "tests/golden/pair_inputs.h"
#include "tests/golden/token_inputs.h"
#include "worker/objectives/combination.h"
#include "worker/objectives/loss_terms.h"
#include "worker/objectives/losses.h"
#include "worker/objectives/reward_model_losses.h"

namespace attune {
namespace {

using nlohmann::json;

struct TokenPairs {
  PaddedResponses chosen;
  PaddedResponses rejected;
  LossBatch batch;
};

TokenPairs ReadTokenPairs(const json& inputs) {
  TokenPairs pairs;
  pairs.chosen =
      ReadPadded(inputs.at("policy_chosen_token_logps"), inputs.at("reference_chosen_token_logps"));
  pairs.rejected = ReadPadded(inputs.at("policy_rejected_token_logps"),
                              inputs.at("reference_rejected_token_logps"));
  pairs.batch.chosen = pairs.chosen.columns;
  pairs.batch.rejected = pairs.rejected.columns;
  if (Has(inputs, "chosen_mask")) {
    pairs.batch.chosen.lengths = TensorOf(inputs.at("chosen_mask")).sum(1);
    pairs.batch.rejected.lengths = TensorOf(inputs.at("rejected_mask")).sum(1);
  }
  return pairs;
}

// The number that follows `prefix` in a note.
absl::StatusOr<double> NumberAfter(const std::string& note, absl::string_view prefix) {
  const size_t at = note.find(std::string(prefix));
  if (at != std::string::npos) {
    const size_t begin = at + prefix.size();
    const size_t end = note.find_first_not_of("0123456789.", begin);
    double number = 0;
    if (absl::SimpleAtod(note.substr(begin, end - begin), &number)) return number;
  }
  return absl::InvalidArgumentError(absl::StrCat("the note names no '", prefix, "'"));
}

json TokenGradients(const at::Tensor& losses, const TokenPairs& pairs) {
  return {{"policy_chosen_token_logps", JsonOf(Gradient(losses, pairs.chosen.policy))},
          {"policy_rejected_token_logps", JsonOf(Gradient(losses, pairs.rejected.policy))}};
}

// Its inputs are told in words: the undesirable responses are some of the rejected ones, and the
// mismatched ones the rejected ones too, a constant likelier under the policy, padding included.
absl::StatusOr<json> HalosKto(const GoldenCase& golden, TokenPairs pairs, LossOptions options) {
  const std::string note = TextOr(golden.inputs, "note", "");
  ATTUNE_ASSIGN_OR_RETURN(const double undesirable, NumberAfter(note, "undesirable = first "));
  ATTUNE_ASSIGN_OR_RETURN(const double shift, NumberAfter(note, "reference_rejected+"));
  const at::Tensor reference = TensorOf(golden.inputs.at("reference_rejected_token_logps"));
  LossBatch& batch = pairs.batch;
  batch.mismatched =
      ReadPadded(JsonOf(reference + shift), golden.inputs.at("reference_rejected_token_logps"))
          .columns;
  batch.rejected = Rows(batch.rejected, 0, static_cast<int64_t>(undesirable));
  options.desirable_weight = NumberOr(golden.hparams, "desirable_weight", 1);
  options.undesirable_weight = NumberOr(golden.hparams, "undesirable_weight", 1);
  ATTUNE_ASSIGN_OR_RETURN(const Loss* loss, LossNamed("kto"));
  const at::Tensor losses = loss->function(batch, options);
  json ours;
  ours["losses"] = JsonOf(losses);
  ours["KL"] = JsonOf(at::clamp_min(LogRatios(batch.mismatched).mean(), 0));
  ours["chosen_rewards"] = JsonOf(LogRatios(batch.chosen));
  ours["rejected_rewards"] = JsonOf(LogRatios(batch.rejected));
  ours["grad_of_sum"] = TokenGradients(losses, pairs);
  return ours;
}

// Scores of a classifier of two classes, [n, 2], or of a head of one; reduced by the original.
absl::StatusOr<json> HalosBradleyTerry(const GoldenCase& golden) {
  std::string names[2];
  for (const auto& [key, value] : golden.inputs.items()) {
    if (!value.is_array() || absl::StrContains(key, "token_logps")) continue;
    if (absl::StrContains(key, "chosen") && !absl::StrContains(key, "mask")) names[0] = key;
    if (absl::StrContains(key, "rejected") && !absl::StrContains(key, "mask")) names[1] = key;
  }
  at::Tensor leaves[2];
  at::Tensor scores[2];
  for (int side = 0; side < 2; ++side) {
    leaves[side] = Leaf(golden.inputs.at(names[side]));
    scores[side] = leaves[side].dim() == 2 ? leaves[side].select(1, -1) : leaves[side];
  }
  at::Tensor losses = RewardModelLoss(scores[0], scores[1]);
  const json& wanted = golden.outputs;
  if (wanted.contains("losses") && !wanted.at("losses").is_array()) losses = losses.mean();
  json ours;
  ours["losses"] = JsonOf(losses);
  ours["loss"] = ours["loss_mean"] = JsonOf(losses.mean());
  ours["chosen_rewards"] = JsonOf(scores[0]);
  ours["rejected_rewards"] = JsonOf(scores[1]);
  for (int side = 0; side < 2; ++side) {
    ours["grad_of_sum"][names[side]] = JsonOf(Gradient(losses, leaves[side]));
  }
  return ours;
}

}  // namespace

absl::StatusOr<json> Halos(const GoldenCase& golden) {
  const json& hparams = golden.hparams;
  const std::string trainer = TextOr(hparams, "trainer", "");
  if (trainer == "BradleyTerryTrainer") return HalosBradleyTerry(golden);
  const TokenPairs pairs = ReadTokenPairs(golden.inputs);
  LossOptions options;
  options.beta = NumberOr(hparams, Has(hparams, "tau") ? "tau" : "beta", options.beta);
  if (trainer == "KTOTrainer") return HalosKto(golden, pairs, options);
  options.label_smoothing =
      NumberOr(hparams, Has(hparams, "epsilon") ? "epsilon" : "label_smoothing", 0);
  options.simpo_gamma = options.beta * NumberOr(hparams, "gamma_beta_ratio", 0);
  std::string name;
  if (trainer == "DPOTrainer" || trainer == "CDPOTrainer") name = "sigmoid";
  if (trainer == "IPOTrainer") name = "ipo";
  if (trainer == "SimPOTrainer") name = "simpo";
  if (name.empty()) return NoMapping(golden, "trainer");

  const LossBatch& batch = pairs.batch;
  ATTUNE_ASSIGN_OR_RETURN(const Loss* loss, LossNamed(name));
  const at::Tensor losses = loss->function(batch, options);
  // The original logs what the loss compares: a reward without beta where it is a mean.
  const auto reward = [&](const ResponseColumns& side) {
    if (name == "simpo") return MeanLogps(side);
    const at::Tensor log_ratios = LogRatios(side);
    return name == "ipo" ? log_ratios / side.lengths : options.beta * log_ratios;
  };
  json ours;
  ours["losses"] = JsonOf(losses);
  ours["chosen_rewards"] = JsonOf(reward(batch.chosen));
  ours["rejected_rewards"] = JsonOf(reward(batch.rejected));
  ours["grad_of_sum"] = TokenGradients(losses, pairs);
  return ours;
}

// Chosen are the policy's samples, rejected the reference's.
absl::StatusOr<json> TrlXpo(const GoldenCase& golden) {
  TokenPairs pairs = ReadTokenPairs(golden.inputs);
  pairs.batch.target = TensorOf(golden.inputs.at("chosen_mask_model_preferred"));
  LossOptions options;
  options.beta = NumberOr(golden.hparams, "beta", options.beta);
  options.xpo_alpha = NumberOr(golden.hparams, "alpha", options.xpo_alpha);
  const std::string type = TextOr(golden.hparams, "loss_type", "sigmoid");
  if (type != "sigmoid" && type != "ipo") return NoMapping(golden, "loss_type");
  ATTUNE_ASSIGN_OR_RETURN(const Loss* loss, LossNamed(type == "ipo" ? "xpo_ipo" : "xpo"));
  const at::Tensor value = Evaluate({{{loss, 1.0}}, options}, pairs.batch).loss;
  LossOptions no_optimism = options;
  no_optimism.xpo_alpha = 0;
  json ours;
  ours["loss"] = JsonOf(value);
  ours["dpo_losses"] = JsonOf(loss->function(pairs.batch, no_optimism));
  ours["xpo_losses"] = JsonOf(options.xpo_alpha * pairs.batch.rejected.logps);
  ours["grad_of_mean_loss"] = {
      {"policy_on_model_sample", JsonOf(Gradient(value, pairs.chosen.policy))},
      {"policy_on_ref_sample", JsonOf(Gradient(value, pairs.rejected.policy))}};
  return ours;
}

namespace {

// Whatever the file calls it, the only output is the logits of the mixture.
json NashMixture(const GoldenCase& golden) {
  const at::Tensor mixture = MixtureLogps(TensorOf(golden.inputs.at("policy_logits")),
                                          TensorOf(golden.inputs.at("reference_logits")),
                                          NumberOr(golden.hparams, "mixture_coef", 0.5));
  json ours;
  for (const auto& [key, value] : golden.outputs.items()) ours[key] = JsonOf(mixture);
  return ours;
}

}  // namespace

absl::StatusOr<json> TrlNashMd(const GoldenCase& golden) {
  if (Has(golden.hparams, "mixture_coef")) return NashMixture(golden);
  const PaddedResponses samples = ReadPadded(golden.inputs.at("policy_chosen_token_logps"),
                                             golden.inputs.at("reference_chosen_token_logps"));
  LossBatch batch;
  batch.chosen = samples.columns;
  batch.win_probability = TensorOf(golden.inputs.at("probability"));
  LossOptions options;
  options.beta = NumberOr(golden.hparams, "beta", options.beta);
  ATTUNE_ASSIGN_OR_RETURN(const Loss* loss, LossNamed("nash_md"));
  const at::Tensor value = Evaluate({{{loss, 1.0}}, options}, batch).loss;
  LossOptions no_kl = options;
  no_kl.beta = 0;
  json ours;
  ours["loss"] = JsonOf(value);
  ours["score"] = JsonOf(-loss->function(batch, no_kl));
  ours["kl_div"] = JsonOf(LogRatios(batch.chosen));
  ours["grad_of_mean_loss"]["policy_token_logps"] = JsonOf(Gradient(value, samples.policy));
  return ours;
}

namespace {

// What the trainer logs. `scores` are of all rows, the first and the second samples of B prompts.
json OnlineDpoStats(const GoldenCase& golden, const ResponseColumns& samples,
                    const at::Tensor& scores, const at::Tensor& has_end, const LossBatch& batch,
                    const Rewards& rewards, double beta) {
  const auto mean = [](const at::Tensor& values) {
    return json::array({JsonOf(values.to(at::kDouble).mean())});
  };
  const int64_t prompts = scores.numel() / 2;
  const at::Tensor gaps = scores.slice(0, 0, prompts) - scores.slice(0, prompts);
  const at::Tensor kl = LogRatios(samples);
  const at::Tensor margins = rewards.chosen - rewards.rejected;
  return {{"objective/scores_margin", mean(gaps.abs())},
          {"objective/scores", mean(scores)},
          {"val/contain_eos_token", mean(has_end)},
          {"logps/chosen", mean(batch.chosen.logps)},
          {"logps/rejected", mean(batch.rejected.logps)},
          {"objective/kl", mean(kl)},
          {"objective/non_score_reward", mean(-beta * kl)},
          {"objective/rlhf_reward", mean(scores - beta * kl)},
          {"objective/entropy", mean(-samples.logps)},
          {"rewards/chosen", mean(rewards.chosen)},
          {"rewards/rejected", mean(rewards.rejected)},
          {"rewards/margins", mean(margins)},
          {"rewards/accuracies", mean(margins > 0)},
          {"beta", json::array({beta})}};
}

}  // namespace

absl::StatusOr<json> TrlOnlineDpo(const GoldenCase& golden) {
  const json& inputs = golden.inputs;
  const at::Tensor policy = Leaf(inputs.at("policy_token_logps"));
  const MaskedTokens tokens = TokensWhere(TensorOf(inputs.at("completion_mask")));
  const ResponseColumns samples = ColumnsOf(
      {tokens.Select(policy), tokens.Select(TensorOf(inputs.at("reference_token_logps"))), {}},
      tokens.sequences);
  const at::Tensor has_end =
      (TensorOf(inputs.at("completion_ids")) == inputs.at("eos_token_id").get<double>()).any(1);
  const at::Tensor scores =
      TensorOf(inputs.at("rewards")) -
      NumberOr(golden.hparams, "missing_eos_penalty", 0) * has_end.logical_not().to(at::kDouble);

  const int64_t prompts = scores.numel() / 2;
  const at::Tensor first = at::arange(prompts);
  const at::Tensor second_wins = scores.slice(0, 0, prompts) < scores.slice(0, prompts);
  const at::Tensor winner = first + prompts * second_wins.to(at::kLong);
  LossBatch batch;
  batch.chosen = SelectRows(samples, winner);
  batch.rejected = SelectRows(samples, 2 * first + prompts - winner);
  LossOptions options;
  options.beta = NumberOr(golden.hparams, "beta", options.beta);
  const std::string type = TextOr(golden.hparams, "loss_type", "sigmoid");
  if (type != "sigmoid" && type != "ipo") return NoMapping(golden, "loss_type");
  ATTUNE_ASSIGN_OR_RETURN(const Loss* loss, LossNamed(type == "ipo" ? "ipo_sum" : "sigmoid"));
  const ObjectiveValue value = Evaluate({{{loss, 1.0}}, options}, batch);
  json ours;
  ours["loss"] = JsonOf(value.loss);
  ours["grad_policy_token_logps"] = JsonOf(Gradient(value.loss, policy));
  ours["stats"] =
      OnlineDpoStats(golden, samples, scores, has_end, batch, value.rewards, options.beta);
  return ours;
}

}  // namespace attune
