#include "tests/golden/logits_cases.h"

#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "absl/strings/match.h"
#include "common/status_macros.h"
#include "tests/golden/pair_inputs.h"
#include "tests/golden/token_inputs.h"
#include "worker/objectives/loss_terms.h"
#include "worker/objectives/losses.h"

namespace attune {
namespace {

using nlohmann::json;

// The first half of the rows chosen, the second rejected.
LossBatch Halves(const ResponseColumns& responses) {
  const int64_t rows = responses.lengths.numel();
  LossBatch batch;
  batch.chosen = Rows(responses, 0, rows / 2);
  batch.rejected = Rows(responses, rows / 2, rows);
  return batch;
}

// [S] tokens that both responses of a pair have, in the rows of both.
at::Tensor SharedLengths(const ResponseColumns& responses) {
  const LossBatch batch = Halves(responses);
  return at::minimum(batch.chosen.lengths, batch.rejected.lengths).repeat({2});
}

ResponseColumns LdDpoColumns(const LogitsInputs& inputs, double alpha, bool weigh_reference) {
  const TokenSequences& tokens = inputs.tokens.sequences;
  return ColumnsOf({inputs.policy.logps, inputs.reference.logps, {}}, tokens,
                   LdDpoTokenWeights(tokens, SharedLengths(inputs.responses), alpha),
                   weigh_reference);
}

}  // namespace

absl::StatusOr<json> BatchLogps(const GoldenCase& golden) {
  const LogitsInputs inputs = ReadLogits(golden.inputs);
  const bool mean = FlagOr(golden.hparams, "average_log_prob", false);
  ResponseColumns reference = inputs.responses;
  reference.logps = reference.reference_logps;
  const at::Tensor logps = mean ? MeanLogps(inputs.responses) : inputs.responses.logps;
  json ours;
  ours["policy_logps"] = JsonOf(logps);
  ours["reference_logps"] = JsonOf(mean ? MeanLogps(reference) : reference.logps);
  ours["grad_of_sum_policy_logits"] = JsonOf(Gradient(logps, inputs.policy_logits));
  return ours;
}

absl::StatusOr<json> LdDpo(const GoldenCase& golden) {
  const LogitsInputs inputs = ReadLogits(golden.inputs);
  const ResponseColumns responses = LdDpoColumns(inputs, NumberOr(golden.hparams, "ld_alpha", 1),
                                                 FlagOr(golden.hparams, "ld_on_reference", false));
  LossOptions options;
  options.beta = NumberOr(golden.hparams, "beta", options.beta);
  ATTUNE_ASSIGN_OR_RETURN(const Loss* loss, LossNamed("sigmoid"));
  const at::Tensor losses = loss->function(Halves(responses), options);
  json ours;
  ours["policy_logps"] = JsonOf(responses.logps);
  ours["reference_logps"] = JsonOf(responses.reference_logps);
  ours["valid_length"] = JsonOf(responses.lengths);
  ours["losses"] = JsonOf(losses);
  ours["grad_of_sum_policy_logits"] = JsonOf(Gradient(losses, inputs.policy_logits));
  return ours;
}

absl::StatusOr<json> Tdpo(const GoldenCase& golden) {
  const LogitsInputs inputs = ReadLogits(golden.inputs);
  const LossBatch batch = Halves(inputs.responses);
  LossOptions options;
  options.beta = NumberOr(golden.hparams, "beta", options.beta);
  options.tdpo_alpha = NumberOr(golden.hparams, "alpha", options.tdpo_alpha);
  const bool second = FlagOr(golden.hparams, "if_tdpo2", true);
  ATTUNE_ASSIGN_OR_RETURN(const Loss* loss, LossNamed(second ? "tdpo2" : "tdpo1"));
  const at::Tensor losses = loss->function(batch, options);
  const Rewards rewards = Evaluate({{{loss, 1.0}}, options}, batch).rewards;
  json ours;
  ours["logps_margin"] = JsonOf(LogRatios(inputs.responses));
  ours["position_kl"] = JsonOf(inputs.responses.sequence_kl);
  ours["policy_logps"] = JsonOf(inputs.responses.logps);
  ours["losses"] = JsonOf(losses);
  ours["chosen_rewards"] = JsonOf(rewards.chosen);
  ours["rejected_rewards"] = JsonOf(rewards.rejected);
  ours["grad_of_sum_policy_logits"] = JsonOf(Gradient(losses, inputs.policy_logits));
  return ours;
}

namespace {

struct TrlTerm {
  const Loss* loss;
  double weight;
};

absl::StatusOr<std::vector<TrlTerm>> ReadTerms(const json& hparams) {
  const json& types = hparams.at("loss_type");
  const json& weights = Has(hparams, "loss_weights") ? hparams.at("loss_weights") : json();
  std::vector<TrlTerm> terms;
  for (size_t k = 0; k < types.size(); ++k) {
    ATTUNE_ASSIGN_OR_RETURN(const Loss* loss, LossNamed(types[k].get<std::string>()));
    terms.push_back({loss, weights.is_array() ? weights.at(k).get<double>() : 1.0});
  }
  return terms;
}

absl::StatusOr<LossOptions> ReadTrlOptions(const GoldenCase& golden) {
  const json& hparams = golden.hparams;
  LossOptions options;
  options.beta = NumberOr(hparams, "beta", options.beta);
  options.label_smoothing = NumberOr(hparams, "label_smoothing", 0);
  options.discopop_tau = NumberOr(hparams, "discopop_tau", options.discopop_tau);
  options.f_alpha = 1 - NumberOr(hparams, "f_alpha_divergence_coef", 0.5);
  const std::string divergence = TextOr(hparams, "f_divergence_type", "reverse_kl");
  if (divergence == "forward_kl") {
    options.f_divergence = FDivergence::kForwardKl;
  } else if (divergence == "js_divergence") {
    options.f_divergence = FDivergence::kJensenShannon;
  } else if (divergence == "alpha_divergence") {
    options.f_divergence = FDivergence::kAlpha;
  } else if (divergence != "reverse_kl") {
    return NoMapping(golden, "f_divergence_type");
  }
  return options;
}

// What the terms of a sum see: sft is of all tokens as they are, whatever LD-DPO weighs.
struct TrlBatch {
  LossBatch pairs;
  LossBatch unweighted;
};

// One term after the other, because the original does not smooth the labels of all of them.
at::Tensor SumOfTerms(const std::vector<TrlTerm>& terms, const LossOptions& options,
                      const TrlBatch& batch) {
  at::Tensor total = at::zeros({}, at::kDouble);
  for (const TrlTerm& term : terms) {
    const std::string name = term.loss->name;
    LossOptions own = options;
    if (name == "sigmoid" || name == "sigmoid_norm") own.label_smoothing = 0;
    const LossBatch& seen = name == "sft" ? batch.unweighted : batch.pairs;
    total = total + Evaluate({{{term.loss, term.weight}}, own}, seen).loss;
  }
  return total;
}

LossBatch OnePair(const LossBatch& batch, int64_t pair) {
  LossBatch one;
  one.chosen = Rows(batch.chosen, pair, pair + 1);
  one.rejected = Rows(batch.rejected, pair, pair + 1);
  if (batch.weights.defined()) one.weights = batch.weights.slice(0, pair, pair + 1);
  return one;
}

}  // namespace

absl::StatusOr<json> TrlHeadDpo(const GoldenCase& golden) {
  const LogitsInputs inputs = ReadLogits(golden.inputs);
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<TrlTerm> terms, ReadTerms(golden.hparams));
  ATTUNE_ASSIGN_OR_RETURN(const LossOptions options, ReadTrlOptions(golden));
  LossBatch batch = Halves(inputs.responses);
  if (Has(golden.hparams, "ld_alpha")) {
    batch = Halves(LdDpoColumns(inputs, NumberOr(golden.hparams, "ld_alpha", 1), true));
  }
  if (FlagOr(golden.hparams, "use_weighting", false)) {
    const at::Tensor weights =
        WpoLogWeights(inputs.policy.logps, inputs.policy.log_sum_squares, inputs.tokens.sequences);
    const int64_t pairs = batch.chosen.lengths.numel();
    batch.weights = WpoWeights(weights.slice(0, 0, pairs), weights.slice(0, pairs), false);
  }
  LossBatch unweighted = Halves(inputs.responses);
  unweighted.weights = batch.weights;
  const at::Tensor loss = SumOfTerms(terms, options, {batch, unweighted});
  const Rewards rewards = Evaluate({{{terms[0].loss, 1.0}}, options}, batch).rewards;
  json ours;
  ours["loss"] = JsonOf(loss);
  ours["chosen_rewards"] = JsonOf(rewards.chosen);
  ours["rejected_rewards"] = JsonOf(rewards.rejected);
  ours["chosen_logps"] = JsonOf(batch.chosen.logps);
  ours["rejected_logps"] = JsonOf(batch.rejected.logps);
  ours["grad_policy_logits"] = JsonOf(Gradient(loss, inputs.policy_logits));
  for (int64_t i = 0; i < batch.chosen.lengths.numel(); ++i) {
    ours["loss_per_pair_run_alone"].push_back(
        JsonOf(SumOfTerms(terms, options, {OnePair(batch, i), OnePair(unweighted, i)})));
  }
  return ours;
}

absl::StatusOr<json> TrlKto(const GoldenCase& golden) {
  const LogitsInputs inputs = ReadLogits(golden.inputs);
  const at::Tensor desirable = TensorOf(golden.inputs.at("label")) != 0;
  LossBatch batch;
  batch.chosen = SelectRows(inputs.responses, at::nonzero(desirable).squeeze(1));
  batch.rejected = SelectRows(inputs.responses, at::nonzero(desirable == 0).squeeze(1));
  batch.mismatched.logps = TensorOf(golden.inputs.at("KL_policy_logps"));
  batch.mismatched.reference_logps = TensorOf(golden.inputs.at("KL_reference_logps"));
  LossOptions options;
  options.beta = NumberOr(golden.hparams, "beta", options.beta);
  options.desirable_weight = NumberOr(golden.hparams, "desirable_weight", 1);
  options.undesirable_weight = NumberOr(golden.hparams, "undesirable_weight", 1);
  ATTUNE_ASSIGN_OR_RETURN(const Loss* loss, LossNamed(TextOr(golden.hparams, "loss_type", "kto")));
  const at::Tensor value = Evaluate({{{loss, 1.0}}, options}, batch).loss;
  const at::Tensor kl = at::clamp_min(LogRatios(batch.mismatched).mean(), 0);
  json ours;
  ours["loss"] = JsonOf(value);
  ours["kl"] = json::array({loss->needs.mismatched ? JsonOf(kl) : json(0.0)});
  ours["grad_policy_logits"] = JsonOf(Gradient(value, inputs.policy_logits));
  return ours;
}

namespace {

// exo-pref: pairs of which the one with the higher label is chosen, the second if they are equal.
LossBatch ExoPairs(const ResponseColumns& responses, const at::Tensor& labels) {
  const at::Tensor first = at::arange(0, labels.numel(), 2);
  const at::Tensor second_wins = labels.index_select(0, first + 1) >= labels.index_select(0, first);
  const at::Tensor winner = first + second_wins.to(at::kLong);
  LossBatch batch;
  batch.chosen = SelectRows(responses, winner);
  batch.rejected = SelectRows(responses, 2 * first + 1 - winner);
  return batch;
}

}  // namespace

absl::StatusOr<json> Exo(const GoldenCase& golden) {
  const json& hparams = golden.hparams;
  const std::string function = TextOr(hparams, "function", "");
  const std::string type = TextOr(hparams, "loss_type", "");
  const int64_t n = hparams.at("N").get<int64_t>();
  const bool exact = function == "exact_loss";
  if (!exact && function != "dpo_loss") return NoMapping(golden, "function");
  const bool rewards = absl::StrContains(type, "rw");
  const bool pairs = exact && !rewards && absl::StrContains(type, "pref") && n == 2;
  if (exact && !rewards && !pairs) return NoMapping(golden, "loss_type");

  const LogitsInputs inputs = ReadLogits(golden.inputs);
  const at::Tensor order = TensorOf(golden.inputs.at("row_order")).to(at::kLong);
  const ResponseColumns responses = SelectRows(inputs.responses, order);
  const at::Tensor labels = TensorOf(golden.inputs.at("energy_labels")).reshape({-1});
  LossOptions options;
  options.beta = NumberOr(hparams, "beta_model", 1);
  LossBatch batch;
  if (pairs) {
    batch = ExoPairs(responses, labels);
  } else {
    batch.groups.logps = responses.logps.reshape({-1, n});
    batch.groups.reference_logps = responses.reference_logps.reshape({-1, n});
    // Labels that are no rewards are the target distribution itself.
    batch.groups.scores = (rewards ? labels : labels.log()).reshape({-1, n});
    options.score_temperature = rewards ? NumberOr(hparams, "beta", 1) : 1;
  }
  ATTUNE_ASSIGN_OR_RETURN(const Loss* loss, LossNamed(pairs   ? "exo_pref"
                                                      : exact ? "exo"
                                                              : "infonca"));
  const at::Tensor value = Evaluate({{{loss, 1.0}}, options}, batch).loss;
  json ours;
  ours["loss"] = JsonOf(value);
  // Of the logits in the order of the call.
  ours["grad_policy_logits"] = JsonOf(Gradient(value, inputs.policy_logits).index_select(0, order));
  return ours;
}

absl::StatusOr<json> TrlEntropy(const GoldenCase& golden) {
  const at::Tensor logits = TensorOf(golden.inputs.at("policy_logits"));
  const at::Tensor flat = logits.flatten(0, 1);
  const at::Tensor targets = at::zeros({flat.size(0)}, at::kLong);
  const at::Tensor entropy = VocabularyColumnsOf(flat, targets).entropy;
  return json{{"entropy", JsonOf(entropy.reshape({logits.size(0), logits.size(1)}))}};
}

}  // namespace attune
