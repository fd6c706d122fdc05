#include "common/loss_needs.h"

#include <iterator>

namespace attune {
namespace {

constexpr NamedNeeds kNeeds[] = {
    // Pairs with a reference.
    {"sigmoid", {.reference = true, .soft_target = true, .smoothing = true, .divergence = true}},
    {"dno", {.reference = true, .soft_target = true}},
    {"spin", {.reference = true}},
    {"sigmoid_norm",
     {.reference = true,
      .lengths = true,
      .soft_target = true,
      .smoothing = true,
      .divergence = true}},
    {"hinge", {.reference = true, .divergence = true}},
    {"ipo", {.reference = true, .lengths = true, .divergence = true}},
    {"ipo_sum", {.reference = true, .divergence = true}},
    {"robust", {.reference = true, .smoothing = true, .divergence = true}},
    {"exo_pair", {.reference = true, .smoothing = true, .divergence = true}},
    {"nca_pair", {.reference = true, .divergence = true}},
    {"bco_pair", {.reference = true, .divergence = true}},
    {"sppo_hard", {.reference = true, .divergence = true}},
    {"sppo", {.reference = true, .win_rates = true}},
    {"sppo_single", {.reference = true, .win_probability = true}},
    {"aot", {.reference = true, .smoothing = true, .couples_batch = true}},
    {"apo_zero", {.reference = true}},
    {"apo_down", {.reference = true}},
    {"discopop", {.reference = true, .divergence = true}},
    {"dpop", {.reference = true}},
    {"r_dpo", {.reference = true, .lengths = true}},
    {"xpo", {.reference = true, .soft_target = true, .smoothing = true, .opponent = true}},
    {"xpo_ipo", {.reference = true, .soft_target = true, .smoothing = true, .opponent = true}},
    {"tdpo1", {.reference = true, .vocabulary = true}},
    {"tdpo2", {.reference = true, .vocabulary = true}},
    // Pairs without one.
    {"simpo", {.lengths = true, .soft_target = true, .smoothing = true}},
    {"simpo_hinge", {.lengths = true}},
    {"alphapo", {.lengths = true, .soft_target = true, .smoothing = true}},
    {"cpo", {.soft_target = true, .smoothing = true}},
    {"cpo_hinge", {}},
    {"cpo_ipo", {.lengths = true}},
    {"slic", {}},
    {"orpo", {.lengths = true}},
    {"sft", {.lengths = true, .couples_batch = true}},
    {"sft_gold", {.lengths = true, .gold = true, .couples_batch = true}},
    // Single responses, desirable or not.
    {"kto", {.reference = true, .unpaired = true, .mismatched = true, .couples_batch = true}},
    {"apo_zero_unpaired", {.reference = true, .unpaired = true}},
    {"bco", {.reference = true, .unpaired = true, .running_mean = true}},
    {"ddo", {.reference = true, .unpaired = true, .couples_batch = true}},
    {"aot_unpaired", {.reference = true, .smoothing = true, .couples_batch = true}},
    // Groups, and the pair forms of the same papers.
    {"infonca", {.reference = true, .groups = true, .scores = true}},
    {"nca", {.reference = true, .groups = true, .scores = true}},
    {"exo", {.reference = true, .groups = true, .scores = true}},
    {"exo_pref", {.reference = true}},
    {"adpo",
     {.reference = true, .lengths = true, .groups = true, .scores = true, .couples_batch = true}},
    {"adpo_pairwise", {.reference = true, .soft_target = true}},
    {"adpo_plackett_luce", {.reference = true, .groups = true, .scores = true, .smoothing = true}},
    {"irpo", {.reference = true, .lengths = true, .groups = true, .relevance = true}},
    {"lipo_lambda", {.reference = true, .groups = true, .relevance = true}},
    // Terms beyond a pair.
    {"modpo", {.reference = true, .margins = true}},
    {"modpo_hinge", {.reference = true, .margins = true}},
    {"mcm_dpo", {.reference = true, .views = true}},
    {"realign", {.reference = true, .corrupted = true}},
    {"nash_md",
     {.reference = true, .win_probability = true, .self_weighted = true, .opponent = true}},
    {"ofs_dpo", {.reference = true, .other_adapter = true}},
    // Models that score responses.
    {"reward_model", {.rewards = true}},
};

constexpr bool LossNeeds::*kMembers[] = {
    &LossNeeds::reference, &LossNeeds::lengths, &LossNeeds::unpaired, &LossNeeds::groups,
    &LossNeeds::scores, &LossNeeds::relevance, &LossNeeds::soft_target, &LossNeeds::smoothing,
    &LossNeeds::divergence, &LossNeeds::win_rates, &LossNeeds::win_probability,
    &LossNeeds::self_weighted, &LossNeeds::opponent, &LossNeeds::margins, &LossNeeds::gold,
    &LossNeeds::mismatched, &LossNeeds::corrupted, &LossNeeds::views, &LossNeeds::rewards,
    &LossNeeds::other_adapter, &LossNeeds::vocabulary, &LossNeeds::running_mean,
    &LossNeeds::couples_batch};
static_assert(sizeof(LossNeeds) == std::size(kMembers) * sizeof(bool), "a need is not listed");

}  // namespace

LossNeeds Union(const LossNeeds& a, const LossNeeds& b) {
  LossNeeds both;
  for (const auto member : kMembers) both.*member = a.*member || b.*member;
  return both;
}

absl::Span<const NamedNeeds> AllLossNeeds() { return kNeeds; }

const LossNeeds* FindLossNeeds(absl::string_view name) {
  for (const NamedNeeds& loss : kNeeds) {
    if (name == loss.name) return &loss.needs;
  }
  return nullptr;
}

}  // namespace attune
