#include "worker/objectives/losses.h"

#include <vector>

#include <ATen/ATen.h>

#include "common/check.h"
#include "worker/objectives/listwise_losses.h"
#include "worker/objectives/loss_terms.h"
#include "worker/objectives/multi_term_losses.h"
#include "worker/objectives/pairwise_losses.h"
#include "worker/objectives/reference_free_losses.h"
#include "worker/objectives/reward_model_losses.h"
#include "worker/objectives/unpaired_losses.h"

namespace attune {
namespace {

struct NamedFunctions {
  const char* name;
  LossFunction function;
  RewardFunction rewards = nullptr;
};

const NamedFunctions kFunctions[] = {
    // Pairs with a reference.
    {"sigmoid", SigmoidLoss},
    {"dno", DnoLoss},
    {"spin", SigmoidLoss},
    {"sigmoid_norm", SigmoidNormLoss},
    {"hinge", HingeLoss},
    {"ipo", IpoLoss},
    {"ipo_sum", IpoSumLoss},
    {"robust", RobustLoss},
    {"exo_pair", ExoPairLoss},
    {"nca_pair", NcaPairLoss},
    {"bco_pair", BcoPairLoss},
    {"sppo_hard", SppoHardLoss},
    {"sppo", SppoLoss},
    {"sppo_single", SppoSingleLoss},
    {"aot", AotLoss},
    {"apo_zero", ApoZeroLoss},
    {"apo_down", ApoDownLoss},
    {"discopop", DiscopopLoss},
    {"dpop", DpopLoss},
    {"r_dpo", RDpoLoss},
    {"xpo", XpoLoss},
    {"xpo_ipo", XpoIpoLoss},
    {"tdpo1", Tdpo1Loss, TdpoRewards},
    {"tdpo2", Tdpo2Loss, TdpoRewards},
    // Pairs without one.
    {"simpo", SimpoLoss, MeanLogpRewards},
    {"simpo_hinge", SimpoHingeLoss, MeanLogpRewards},
    {"alphapo", AlphaPoLoss, AlphaPoRewards},
    {"cpo", CpoLoss},
    {"cpo_hinge", CpoHingeLoss},
    {"cpo_ipo", CpoIpoLoss, MeanLogpRewards},
    {"slic", SlicLoss},
    {"orpo", OrpoLoss, MeanLogpRewards},
    {"sft", SftLoss},
    {"sft_gold", SftGoldLoss},
    // Single responses, desirable or not.
    {"kto", KtoLoss},
    {"apo_zero_unpaired", ApoZeroUnpairedLoss},
    {"bco", BcoLoss},
    {"ddo", DdoLoss},
    {"aot_unpaired", AotUnpairedLoss},
    // Groups, and the pair forms of the same papers.
    {"infonca", InfoNcaLoss},
    {"nca", NcaLoss},
    {"exo", ExoLoss},
    {"exo_pref", ExoPrefLoss},
    {"adpo", AdpoLoss},
    {"adpo_pairwise", DnoLoss},
    {"adpo_plackett_luce", AdpoPlackettLuceLoss},
    {"irpo", IrpoLoss, IrpoRewards},
    {"lipo_lambda", LipoLambdaLoss},
    // Terms beyond a pair.
    {"modpo", ModpoLoss, ModpoRewards},
    {"modpo_hinge", ModpoHingeLoss, ModpoRewards},
    {"mcm_dpo", McmDpoLoss},
    {"realign", RealignLoss},
    {"nash_md", NashMdLoss},
    {"ofs_dpo", OfsDpoLoss},
    // Models that score responses.
    {"reward_model", BradleyTerryLoss, HeadRewards},
};

void CheckResponses(const LossNeeds& needs, const ResponseColumns& responses) {
  if (needs.rewards) {
    ATTUNE_CHECK(responses.rewards.defined());
    return;
  }
  ATTUNE_CHECK(responses.logps.defined());
  ATTUNE_CHECK(!needs.reference || responses.reference_logps.defined());
  ATTUNE_CHECK(!needs.lengths || responses.lengths.defined());
  ATTUNE_CHECK(!needs.vocabulary || responses.sequence_kl.defined());
  ATTUNE_CHECK(!needs.self_weighted || responses.self_weighted_logps.defined());
  ATTUNE_CHECK(!needs.other_adapter || responses.other_logps.defined());
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
  const bool paired = needs.rewards || batch.rejected.logps.defined();
  if (paired) CheckResponses(needs, batch.rejected);
  ATTUNE_CHECK(!needs.win_rates ||
               (batch.chosen_win_rate.defined() && batch.rejected_win_rate.defined()));
  ATTUNE_CHECK(!needs.win_probability || batch.win_probability.defined());
  ATTUNE_CHECK(!needs.margins ||
               (batch.chosen_margin.defined() && batch.rejected_margin.defined()));
  if (needs.gold) CheckResponses({.lengths = needs.lengths}, batch.gold);
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

const std::vector<Loss>& AllLosses() {
  static const auto* const losses = [] {
    auto* all = new std::vector<Loss>;
    for (const NamedFunctions& loss : kFunctions) {
      const LossNeeds* needs = FindLossNeeds(loss.name);
      ATTUNE_CHECK(needs != nullptr);
      all->push_back({loss.name, loss.function, *needs, loss.rewards});
    }
    return all;
  }();
  return *losses;
}

const Loss* FindLoss(absl::string_view name) {
  for (const Loss& loss : AllLosses()) {
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
