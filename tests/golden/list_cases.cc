#include "tests/golden/list_cases.h"

#include <string>

#include <ATen/ATen.h>

#include "common/status_macros.h"
#include "tests/golden/pair_inputs.h"
#include "tests/golden/token_inputs.h"
#include "worker/objectives/listwise_losses.h"
#include "worker/objectives/losses.h"

namespace attune {
namespace {

using nlohmann::json;

absl::StatusOr<json> NcaPairs(const GoldenCase& golden, const LossOptions& options) {
  const std::string type = TextOr(golden.hparams, "loss_type", "InfoNCA");
  std::string name;
  if (type == "InfoNCA") name = "sigmoid";
  if (type == "NCA") name = "nca_pair";
  if (type == "biasedNCA") name = "bco_pair";
  if (name.empty()) return NoMapping(golden, "loss_type");
  return PairOutputs(ReadPairs(golden), name, options);
}

// The schema leaves open whether the gradient of losses that are not reduced is that of their sum
// or of their mean: the one that is nearer to what was recorded.
json SumOrMeanGradient(const GoldenCase& golden, const at::Tensor& losses,
                       const at::Tensor& policy) {
  const at::Tensor of_sum = Gradient(losses, policy);
  const at::Tensor of_mean = of_sum / static_cast<double>(losses.numel());
  if (!Has(golden.outputs, "grad_policy_logps")) return JsonOf(of_sum);
  const at::Tensor wanted = TensorOf(golden.outputs.at("grad_policy_logps"));
  const auto distance = [&](const at::Tensor& ours) {
    return (ours - wanted).abs().max().item<double>();
  };
  return JsonOf(distance(of_sum) < distance(of_mean) ? of_sum : of_mean);
}

}  // namespace

absl::StatusOr<json> Nca(const GoldenCase& golden) {
  LossOptions options;
  options.beta = NumberOr(golden.hparams, "beta", options.beta);
  if (!Has(golden.inputs, "scores")) return NcaPairs(golden, options);
  options.score_temperature = NumberOr(golden.hparams, "temperature_alpha", 1);
  const std::string type = TextOr(golden.hparams, "loss_type", "InfoNCA");
  if (type != "NCA" && type != "InfoNCA") return NoMapping(golden, "loss_type");
  const at::Tensor policy = Leaf(golden.inputs.at("policy_logps"));  // [K, lists]
  at::Tensor scores = TensorOf(golden.inputs.at("scores"));
  scores[0] += 0.01;  // by the released code, so that the first wins ties
  LossBatch batch;
  batch.groups.logps = policy.t();
  batch.groups.reference_logps = TensorOf(golden.inputs.at("reference_logps")).t();
  batch.groups.scores = scores.t();
  ATTUNE_ASSIGN_OR_RETURN(const Loss* loss, LossNamed(type == "NCA" ? "nca" : "infonca"));
  const at::Tensor mean = Evaluate({{{loss, 1.0}}, options}, batch).loss;
  const at::Tensor losses = loss->function(batch, options);
  // The losses of lists, or what the original made of them.
  const bool reduced = !golden.outputs.at("losses").is_array();
  json ours;
  ours["losses"] = JsonOf(reduced ? mean : losses);
  ours["loss"] = ours["loss_mean"] = JsonOf(mean);
  ours["grad_policy_logps"] = JsonOf(Gradient(mean, policy));
  if (!reduced) ours["grad_policy_logps"] = SumOrMeanGradient(golden, losses, policy);
  return ours;
}

namespace {

// The items of one list.
struct ItemList {
  at::Tensor policy;  // leaf, [N]
  LossBatch batch;
};

ItemList ReadItems(const json& inputs, size_t index) {
  ItemList list;
  list.policy = Leaf(inputs.at("policy_item_logps").at(index));
  GroupColumns& groups = list.batch.groups;
  groups.logps = list.policy.unsqueeze(0);
  groups.reference_logps = TensorOf(inputs.at("reference_item_logps").at(index)).unsqueeze(0);
  groups.lengths = at::ones_like(groups.reference_logps);  // they are means
  const at::Tensor items = TensorOf(inputs.at("relevance_rank").at(index));
  groups.relevance = items.select(1, 0).unsqueeze(0);
  groups.ranks = items.select(1, 1).unsqueeze(0);
  return list;
}

// The released loss is sum w logsig(-(s_i - s_j)), which rises with better lists: LiPO's with the
// signs of log-ratios and loss turned round. Its gain is 2 relevance / max relevance - 1.
void ReverseForLipo(GroupColumns& groups) {
  groups.logps = -groups.logps;
  groups.reference_logps = -groups.reference_logps;
  const double most = groups.relevance.max().item<double>();
  const at::Tensor relevance = most > 0 ? groups.relevance / most : groups.relevance;
  groups.relevance = at::log2(1 + 2 * relevance);
}

}  // namespace

absl::StatusOr<json> Irpo(const GoldenCase& golden) {
  const std::string function = TextOr(golden.hparams, "function", "");
  const bool lipo = function == "lipo_lambda_loss";
  if (!lipo && function != "rdpo_loss") return NoMapping(golden, "function");
  LossOptions options;
  options.beta = NumberOr(golden.hparams, "beta", 0.1);
  const double ablation = NumberOr(golden.hparams, "ablation", 0);
  if (ablation == 1) options.list_gain = ListGain::kDiscount;
  if (ablation == 2) options.list_gain = ListGain::kReciprocalRank;
  ATTUNE_ASSIGN_OR_RETURN(const Loss* loss, LossNamed(lipo ? "lipo_lambda" : "irpo"));
  json ours;
  double total = 0;
  for (size_t i = 0; i < golden.inputs.at("policy_item_logps").size(); ++i) {
    ItemList list = ReadItems(golden.inputs, i);
    if (lipo) ReverseForLipo(list.batch.groups);
    const at::Tensor mean = Evaluate({{{loss, 1.0}}, options}, list.batch).loss;
    const at::Tensor value = lipo ? -mean : mean;
    total += value.item<double>();
    ours["sample_losses"].push_back(JsonOf(value));
    ours["grad_policy_item_logps"].push_back(JsonOf(Gradient(value, list.policy)));
  }
  ours["total_loss"] = total;
  return ours;
}

namespace {

AdaptiveTauOptions ReadTauOptions(const json& hparams) {
  AdaptiveTauOptions options;
  options.tau = NumberOr(hparams, "tau", options.tau);
  options.entropy_weight = NumberOr(hparams, "adaptive_tau_alpha", options.entropy_weight);
  options.error_weight = NumberOr(hparams, "adaptive_tau_beta", options.error_weight);
  options.min = NumberOr(hparams, "adaptive_tau_min", options.min);
  options.max = NumberOr(hparams, "adaptive_tau_max", options.max);
  return options;
}

// Rows `kept` of every column.
void SelectGroups(GroupColumns& groups, const at::Tensor& kept) {
  for (at::Tensor* column : {&groups.logps, &groups.reference_logps, &groups.lengths,
                             &groups.scores, &groups.anchor_kl, &groups.tau}) {
    if (column->defined()) *column = column->index_select(0, kept);
  }
}

}  // namespace

absl::StatusOr<json> AdpoTrl(const GoldenCase& golden) {
  const json& inputs = golden.inputs;
  const json& hparams = golden.hparams;
  const at::Tensor policy = Leaf(inputs.at("current_token_logps"));
  const bool has_anchor =
      Has(inputs, "anchor_token_logps") && inputs.at("anchor_token_logps").is_array();
  const at::Tensor anchor =  // without one, the policy as it is
      has_anchor ? TensorOf(inputs.at("anchor_token_logps")) : policy.detach();
  const MaskedTokens tokens = TokensWhere(TensorOf(inputs.at("completion_mask")));
  const at::Tensor policy_tokens = tokens.Select(policy);
  const at::Tensor anchor_tokens = tokens.Select(anchor);
  const ResponseColumns responses = ColumnsOf({policy_tokens, anchor_tokens, {}}, tokens.sequences);
  const int64_t size = inputs.at("group_size").get<int64_t>();
  const auto grouped = [&](const at::Tensor& column) { return column.reshape({-1, size}); };
  const at::Tensor rewards = grouped(TensorOf(inputs.at("rewards")));

  LossOptions options;
  options.anchor_tau = NumberOr(hparams, "tau", options.anchor_tau);
  options.anchor_kl = NumberOr(hparams, "beta_anchor_kl", 0);
  options.score_temperature = NumberOr(hparams, "beta_reward", options.score_temperature);
  LossBatch batch;
  GroupColumns& groups = batch.groups;
  groups.logps = grouped(responses.logps);
  groups.reference_logps = grouped(responses.reference_logps);
  groups.lengths = grouped(responses.lengths);
  groups.scores = grouped(TensorOf(inputs.at("advantages")));
  groups.anchor_kl = grouped(AnchorKl(policy_tokens, anchor_tokens, tokens.sequences));
  json ours;
  ours["tau_mean"] = nullptr;
  if (FlagOr(hparams, "use_adaptive_tau", false)) {
    const at::Tensor entropies = tokens.Select(TensorOf(inputs.at("token_entropies")));
    groups.tau =
        AdaptiveTau(grouped(SumBySequence(entropies, tokens.sequences) / responses.lengths),
                    inputs.at("vocab_size").get<int64_t>(), rewards, ReadTauOptions(hparams));
    ours["tau_mean"] = JsonOf(groups.tau.mean());
  }
  if (FlagOr(hparams, "drop_all_failed_prompts", false)) {
    SelectGroups(groups, at::nonzero(GroupsWithSuccess(rewards)).squeeze(1));
  }
  ATTUNE_ASSIGN_OR_RETURN(const Loss* loss, LossNamed("adpo"));
  const at::Tensor value = Evaluate({{{loss, 1.0}}, options}, batch).loss;
  ours["loss"] = JsonOf(value);
  ours["grad_current_token_logps"] = JsonOf(Gradient(value, policy));
  return ours;
}

absl::StatusOr<json> AdpoPlackettLuce(const GoldenCase& golden) {
  const json& hparams = golden.hparams;
  const at::Tensor scores = Leaf(golden.inputs.at("anchored_scores"));
  LossBatch batch;
  batch.groups.logps = scores;
  batch.groups.reference_logps = at::zeros_like(scores.detach());
  batch.groups.scores = TensorOf(golden.inputs.at("advantages"));
  LossOptions options;
  options.anchor_tau = NumberOr(hparams, "temperature", 1);
  options.label_smoothing = NumberOr(hparams, "label_smoothing", 0);
  options.list_top_k = static_cast<int64_t>(NumberOr(hparams, "top_k", 0));
  const bool poly = FlagOr(hparams, "use_poly_loss", false);
  options.list_poly = poly ? NumberOr(hparams, "epsilon", 1) : 0;
  ATTUNE_ASSIGN_OR_RETURN(const Loss* loss, LossNamed("adpo_plackett_luce"));
  const at::Tensor value = Evaluate({{{loss, 1.0}}, options}, batch).loss;
  return json{{"loss", JsonOf(value)}, {"grad", JsonOf(Gradient(value, scores))}};
}

}  // namespace attune
