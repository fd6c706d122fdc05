#include "worker/objectives/losses.h"

#include <ATen/ATen.h>

#include "common/check.h"
#include "worker/objectives/listwise_losses.h"
#include "worker/objectives/loss_terms.h"
#include "worker/objectives/multi_term_losses.h"
#include "worker/objectives/pairwise_losses.h"
#include "worker/objectives/reference_free_losses.h"
#include "worker/objectives/unpaired_losses.h"

namespace attune {
namespace {

const Loss kLosses[] = {
    // Pairs with a reference.
    {"sigmoid", SigmoidLoss, {.reference = true, .soft_target = true}},
    {"dno", DnoLoss, {.reference = true, .soft_target = true}},
    {"spin", SigmoidLoss, {.reference = true}},
    {"sigmoid_norm", SigmoidNormLoss, {.reference = true, .lengths = true, .soft_target = true}},
    {"hinge", HingeLoss, {.reference = true}},
    {"ipo", IpoLoss, {.reference = true, .lengths = true}},
    {"ipo_sum", IpoSumLoss, {.reference = true}},
    {"robust", RobustLoss, {.reference = true}},
    {"exo_pair", ExoPairLoss, {.reference = true}},
    {"nca_pair", NcaPairLoss, {.reference = true}},
    {"bco_pair", BcoPairLoss, {.reference = true}},
    {"sppo_hard", SppoHardLoss, {.reference = true}},
    {"sppo", SppoLoss, {.reference = true, .win_rates = true}},
    {"sppo_single", SppoSingleLoss, {.reference = true, .win_probability = true}},
    {"aot", AotLoss, {.reference = true, .couples_batch = true}},
    {"apo_zero", ApoZeroLoss, {.reference = true}},
    {"apo_down", ApoDownLoss, {.reference = true}},
    {"discopop", DiscopopLoss, {.reference = true}},
    {"dpop", DpopLoss, {.reference = true}},
    {"r_dpo", RDpoLoss, {.reference = true, .lengths = true}},
    {"xpo", XpoLoss, {.reference = true, .soft_target = true}},
    {"xpo_ipo", XpoIpoLoss, {.reference = true, .soft_target = true}},
    {"tdpo1", Tdpo1Loss, {.reference = true, .vocabulary = true}, TdpoRewards},
    {"tdpo2", Tdpo2Loss, {.reference = true, .vocabulary = true}, TdpoRewards},
    // Pairs without one.
    {"simpo", SimpoLoss, {.lengths = true, .soft_target = true}, MeanLogpRewards},
    {"simpo_hinge", SimpoHingeLoss, {.lengths = true}, MeanLogpRewards},
    {"alphapo", AlphaPoLoss, {.lengths = true, .soft_target = true}, AlphaPoRewards},
    {"cpo", CpoLoss, {.soft_target = true}},
    {"cpo_hinge", CpoHingeLoss, {}},
    {"cpo_ipo", CpoIpoLoss, {.lengths = true}, MeanLogpRewards},
    {"tpo", CpoLoss, {.soft_target = true}},
    {"tpo_l", SimpoLoss, {.lengths = true, .soft_target = true}, MeanLogpRewards},
    {"slic", SlicLoss, {}},
    {"orpo", OrpoLoss, {.lengths = true}, MeanLogpRewards},
    {"sft", SftLoss, {.lengths = true, .couples_batch = true}},
    // Single responses, desirable or not.
    {"kto",
     KtoLoss,
     {.reference = true, .unpaired = true, .mismatched = true, .couples_batch = true}},
    {"apo_zero_unpaired", ApoZeroUnpairedLoss, {.reference = true, .unpaired = true}},
    {"bco", BcoLoss, {.reference = true, .unpaired = true}},
    {"ddo", DdoLoss, {.reference = true, .unpaired = true, .couples_batch = true}},
    {"aot_unpaired", AotUnpairedLoss, {.reference = true, .couples_batch = true}},
    // Groups, and the pair forms of the same papers.
    {"infonca", InfoNcaLoss, {.reference = true, .groups = true, .scores = true}},
    {"nca", NcaLoss, {.reference = true, .groups = true, .scores = true}},
    {"exo", ExoLoss, {.reference = true, .groups = true, .scores = true}},
    {"exo_pref", ExoPrefLoss, {.reference = true}},
    {"adpo",
     AdpoLoss,
     {.reference = true, .lengths = true, .groups = true, .scores = true, .couples_batch = true}},
    {"adpo_pairwise", DnoLoss, {.reference = true, .soft_target = true}},
    {"adpo_plackett_luce",
     AdpoPlackettLuceLoss,
     {.reference = true, .groups = true, .scores = true}},
    {"irpo",
     IrpoLoss,
     {.reference = true, .lengths = true, .groups = true, .relevance = true},
     IrpoRewards},
    {"lipo_lambda", LipoLambdaLoss, {.reference = true, .groups = true, .relevance = true}},
    // Terms beyond a pair.
    {"modpo", ModpoLoss, {.reference = true, .margins = true}, ModpoRewards},
    {"modpo_hinge", ModpoHingeLoss, {.reference = true, .margins = true}, ModpoRewards},
    {"mcm_dpo", McmDpoLoss, {.reference = true, .views = true}},
    {"realign", RealignLoss, {.reference = true, .corrupted = true}},
    {"nash_md", NashMdLoss, {.reference = true, .win_probability = true}},
};

void CheckResponses(const LossNeeds& needs, const ResponseColumns& responses) {
  ATTUNE_CHECK(responses.logps.defined());
  ATTUNE_CHECK(!needs.reference || responses.reference_logps.defined());
  ATTUNE_CHECK(!needs.lengths || responses.lengths.defined());
  ATTUNE_CHECK(!needs.vocabulary || responses.sequence_kl.defined());
}

void CheckColumns(const Loss& loss, const LossBatch& batch) {
  const LossNeeds& needs = loss.needs;
  if (needs.groups) {
    ATTUNE_CHECK(batch.groups.logps.defined());
    ATTUNE_CHECK(!needs.reference || batch.groups.reference_logps.defined());
    ATTUNE_CHECK(!needs.lengths || batch.groups.lengths.defined());
    ATTUNE_CHECK(!needs.scores || batch.groups.scores.defined());
    ATTUNE_CHECK(!needs.relevance ||
                 (batch.groups.relevance.defined() && batch.groups.ranks.defined()));
    return;
  }
  CheckResponses(needs, batch.chosen);
  if (batch.rejected.logps.defined()) CheckResponses(needs, batch.rejected);
  ATTUNE_CHECK(!needs.win_rates ||
               (batch.chosen_win_rate.defined() && batch.rejected_win_rate.defined()));
  ATTUNE_CHECK(!needs.win_probability || batch.win_probability.defined());
  ATTUNE_CHECK(!needs.margins ||
               (batch.chosen_margin.defined() && batch.rejected_margin.defined()));
  const LossNeeds ratios = {.reference = needs.reference};
  if (needs.mismatched) CheckResponses(ratios, batch.mismatched);
  if (needs.corrupted) CheckResponses(ratios, batch.corrupted);
  if (needs.views) {
    for (const ResponseColumns& view : batch.views) CheckResponses(ratios, view);
  }
}

at::Tensor MeanLoss(const Loss& loss, const LossBatch& batch, const LossOptions& options) {
  CheckColumns(loss, batch);
  const at::Tensor losses = loss.function(batch, options);
  if (!batch.weights.defined()) return losses.mean();
  ATTUNE_CHECK(batch.weights.sizes() == losses.sizes());
  return (batch.weights * losses).mean();
}

Rewards RewardsOf(const Loss& loss, const LossBatch& batch, const LossOptions& options) {
  if (loss.rewards != nullptr) return loss.rewards(batch, options);
  const auto rewards = [&](const at::Tensor& logps, const at::Tensor& reference_logps) {
    if (!logps.defined()) return at::Tensor();
    return (options.beta * (loss.needs.reference ? logps - reference_logps : logps)).detach();
  };
  if (loss.needs.groups) {
    return {rewards(batch.groups.logps, batch.groups.reference_logps), at::Tensor()};
  }
  return {rewards(batch.chosen.logps, batch.chosen.reference_logps),
          rewards(batch.rejected.logps, batch.rejected.reference_logps)};
}

}  // namespace

absl::Span<const Loss> AllLosses() { return kLosses; }

const Loss* FindLoss(absl::string_view name) {
  for (const Loss& loss : kLosses) {
    if (name == loss.name) return &loss;
  }
  return nullptr;
}

ObjectiveValue Evaluate(const Objective& objective, const LossBatch& batch) {
  ATTUNE_CHECK(!objective.losses.empty());
  at::Tensor total;
  for (const WeightedLoss& term : objective.losses) {
    const at::Tensor loss = term.weight * MeanLoss(*term.loss, batch, objective.options);
    total = total.defined() ? total + loss : loss;
  }
  return {total, RewardsOf(*objective.losses.front().loss, batch, objective.options)};
}

}  // namespace attune
