#include "coordinator/objective_spec.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/check.h"
#include "google/protobuf/message.h"

namespace attune {
namespace {

using google::protobuf::FieldDescriptor;

constexpr int kLossesMax = 8;
constexpr int kViews = 2;  // mcm_dpo: both responses after the corrupted prompt

// A number that only some losses have.
struct LossOption {
  const char* field;
  Limits limits;
  double fallback;
  std::vector<v1::LossType> losses;
};

const std::vector<LossOption>& LossOptionTable() {
  const auto above_zero = [](double high) { return Limits{0, high, End::kExcluded}; };
  static const auto* const table = new std::vector<LossOption>{
      {"discopop_tau", above_zero(1), 0.05, {v1::LOSS_TYPE_DISCOPOP}},
      {"simpo_gamma",
       {0, 1000},
       0.5,
       {v1::LOSS_TYPE_SIMPO, v1::LOSS_TYPE_SIMPO_HINGE, v1::LOSS_TYPE_ALPHAPO}},
      {"alphapo_alpha", {-10, 10}, 0, {v1::LOSS_TYPE_ALPHAPO}},
      {"dpop_lambda", {0, 1e6}, 50, {v1::LOSS_TYPE_DPOP}},
      {"r_dpo_lambda", {0, 1000}, 0.01, {v1::LOSS_TYPE_R_DPO}},
      {"desirable_weight", {0, 1e6}, 1, {v1::LOSS_TYPE_KTO, v1::LOSS_TYPE_APO_ZERO_UNPAIRED}},
      {"undesirable_weight", {0, 1e6}, 1, {v1::LOSS_TYPE_KTO, v1::LOSS_TYPE_APO_ZERO_UNPAIRED}},
      {"ddo_alpha", {0, 1e6}, 1, {v1::LOSS_TYPE_DDO}},
      {"tdpo_alpha", {0, 1000}, 0.5, {v1::LOSS_TYPE_TDPO2}},
      {"xpo_alpha", {0, 1000}, 1e-5, {v1::LOSS_TYPE_XPO, v1::LOSS_TYPE_XPO_IPO}},
      {"modpo_weight", {0.01, 1}, 0.5, {v1::LOSS_TYPE_MODPO, v1::LOSS_TYPE_MODPO_HINGE}},
      {"anchor_tau",
       above_zero(1000),
       1,
       {v1::LOSS_TYPE_ADPO, v1::LOSS_TYPE_ADPO_PLACKETT_LUCE}},
      {"beta_anchor_kl", {0, 1000}, 0, {v1::LOSS_TYPE_ADPO}},
      {"score_temperature",
       above_zero(1e6),
       0.5,
       {v1::LOSS_TYPE_INFONCA, v1::LOSS_TYPE_NCA, v1::LOSS_TYPE_EXO, v1::LOSS_TYPE_ADPO}},
      {"fast_slow_alpha", {0, 1000}, 0.1, {v1::LOSS_TYPE_OFS_DPO}},
      {"slow_lr_ratio", above_zero(1), 0.5, {v1::LOSS_TYPE_OFS_DPO}},
      {"domain_memory", {0, 4096}, 0, {v1::LOSS_TYPE_OFS_DPO}},
      {"center_rewards_coefficient", {0, 1000}, 0, {v1::LOSS_TYPE_REWARD_MODEL}},
      {"list_top_k", {0, 64}, 0, {v1::LOSS_TYPE_ADPO_PLACKETT_LUCE}},
      {"list_poly", {0, 1000}, 0, {v1::LOSS_TYPE_ADPO_PLACKETT_LUCE}},
  };
  return *table;
}

bool HasAny(const v1::ObjectiveSpec& objective, const std::vector<v1::LossType>& losses) {
  return std::find_first_of(objective.loss_type().begin(), objective.loss_type().end(),
                            losses.begin(), losses.end()) != objective.loss_type().end();
}

const FieldDescriptor* FieldOf(const v1::ObjectiveSpec& objective, const char* name) {
  return objective.GetDescriptor()->FindFieldByName(name);
}

double OptionValue(const v1::ObjectiveSpec& objective, const FieldDescriptor* field) {
  const auto& reflection = *objective.GetReflection();
  return field->cpp_type() == FieldDescriptor::CPPTYPE_UINT32
             ? reflection.GetUInt32(objective, field)
             : reflection.GetDouble(objective, field);
}

void SetOption(const FieldDescriptor* field, double value, v1::ObjectiveSpec* objective) {
  const auto& reflection = *objective->GetReflection();
  if (field->cpp_type() == FieldDescriptor::CPPTYPE_UINT32) {
    reflection.SetUInt32(objective, field, static_cast<uint32_t>(value));
  } else {
    reflection.SetDouble(objective, field, value);
  }
}

std::string Names(const std::vector<v1::LossType>& losses) {
  return absl::StrJoin(losses, ", ", [](std::string* out, v1::LossType loss) {
    absl::StrAppend(out, EnumName(loss));
  });
}

// Losses of the objective that need something.
std::vector<v1::LossType> LossesWith(const v1::ObjectiveSpec& objective, bool LossNeeds::*need) {
  std::vector<v1::LossType> losses;
  for (int loss : objective.loss_type()) {
    const LossNeeds* needs = FindLossNeeds(EnumName(static_cast<v1::LossType>(loss)));
    if (needs->*need) losses.push_back(static_cast<v1::LossType>(loss));
  }
  return losses;
}

std::string Needing(const v1::ObjectiveSpec& objective, bool LossNeeds::*need) {
  return Names(LossesWith(objective, need));
}

// Whether the names can be looked up at all.
bool CheckLosses(const v1::ObjectiveSpec& objective, Block* block) {
  const auto& losses = objective.loss_type();
  if (losses.empty() || losses.size() > kLossesMax) {
    block->Add("loss_type", absl::StrCat("has ", losses.size(), " losses; must have 1 to ",
                                         kLossesMax, " of ",
                                         absl::StrJoin(EnumNames<v1::LossType>(), ", ")));
    return false;
  }
  for (int i = 0; i < losses.size(); ++i) {
    if (losses.Get(i) == 0 || !v1::LossType_IsValid(losses.Get(i))) {
      block->Add("loss_type", absl::StrCat("has ", losses.Get(i), "; must be of ",
                                           absl::StrJoin(EnumNames<v1::LossType>(), ", ")));
      return false;
    }
    if (std::find(losses.begin(), losses.begin() + i, losses.Get(i)) != losses.begin() + i) {
      block->Add("loss_type", absl::StrCat("has ", EnumName(objective.loss_type(i)), " twice"));
    }
  }
  double sum = 0;
  for (double weight : objective.loss_weights()) {
    block->Range("loss_weights", weight, {0, 1e6});
    sum += weight;
  }
  if (objective.loss_weights_size() != losses.size() || sum == 0) {
    block->Add("loss_weights", absl::StrCat("has ", objective.loss_weights_size(),
                                            " weights; must have one for each of the ",
                                            losses.size(), " losses, not all 0"));
  }
  return true;
}

void CheckOptions(const v1::ObjectiveSpec& objective, Block* block) {
  for (const LossOption& option : LossOptionTable()) {
    const FieldDescriptor* field = FieldOf(objective, option.field);
    if (!objective.GetReflection()->HasField(objective, field)) continue;
    if (HasAny(objective, option.losses)) {
      block->Range(option.field, OptionValue(objective, field), option.limits);
    } else {
      block->Add(option.field, absl::StrCat("is given, but objective.loss_type has none of ",
                                            Names(option.losses)));
    }
  }
  if (objective.has_score_margin() && !HasAny(objective, {v1::LOSS_TYPE_REWARD_MODEL})) {
    block->Add("score_margin", "is given, but objective.loss_type is not reward_model");
  }
  const bool views = NeedsOf(objective).views;
  if (!views && objective.view_weights_size() > 0) {
    block->Add("view_weights", "is given, but objective.loss_type has no mcm_dpo");
  } else if (views && objective.view_weights_size() != kViews) {
    block->Add("view_weights", absl::StrCat("has ", objective.view_weights_size(),
                                            " weights; must have ", kViews));
  }
  for (double weight : objective.view_weights()) block->Range("view_weights", weight, {0, 1000});
}

void CheckLabels(const v1::ObjectiveSpec& objective, const LossNeeds& needs, Block* block) {
  const double smoothing = objective.label_smoothing();
  block->Range("label_smoothing", smoothing, {0, 0.5, End::kIncluded, End::kExcluded});
  if (smoothing > 0 && !needs.smoothing) {
    block->Add("label_smoothing",
               absl::StrCat("is ", Number(smoothing),
                            "; must be 0, no loss of objective.loss_type has it"));
  }
  if (smoothing == 0 && HasAny(objective, {v1::LOSS_TYPE_EXO_PAIR})) {
    block->Add("label_smoothing", "is 0; must be above 0 for exo_pair, for example 0.001");
  }
  CheckEnum("f_divergence_type", objective.f_divergence_type(), block);
  const bool other = objective.f_divergence_type() != v1::F_DIVERGENCE_TYPE_REVERSE_KL;
  if (other && !needs.divergence) {
    block->Add("f_divergence_type", "must be reverse_kl, no loss of objective.loss_type has it");
  }
  const bool alpha = objective.f_divergence_type() == v1::F_DIVERGENCE_TYPE_ALPHA_DIVERGENCE;
  if (alpha) {
    block->Range("f_alpha_divergence_coef", objective.f_alpha_divergence_coef(),
                 {0, 1, End::kExcluded, End::kExcluded});
  } else if (objective.has_f_alpha_divergence_coef()) {
    block->Add("f_alpha_divergence_coef",
               "is given, but objective.f_divergence_type is not alpha_divergence");
  }
}

// Weights of tokens and of pairs.
void CheckWeighting(const v1::ObjectiveSpec& objective, const LossNeeds& needs, Block* block) {
  block->Range("ld_alpha", objective.ld_alpha(), {0, 1});
  const bool ld = objective.ld_alpha() != 1;
  if (ld && objective.sampo()) {
    block->Add("sampo", "is true; must be false when objective.ld_alpha is below 1");
  }
  const bool sums_alone = !needs.groups && !needs.vocabulary && !needs.self_weighted &&
                          !needs.lengths && !needs.views && !needs.corrupted &&
                          !needs.mismatched && !needs.rewards;
  const char* const why = "objective.loss_type has a loss of groups, of lengths or of anything but "
                          "the two sums of a pair";
  if (ld && !sums_alone) block->Add("ld_alpha", absl::StrCat("must be 1, ", why));
  if (objective.sampo() && !sums_alone) block->Add("sampo", absl::StrCat("must be false, ", why));
  if (objective.use_weighting() &&
      (needs.groups || needs.unpaired || needs.couples_batch || needs.rewards)) {
    block->Add("use_weighting", "must be false, objective.loss_type has a loss that is not one of "
                                "single pairs");
  }
}

void CheckReference(const v1::ObjectiveSpec& objective, const LossNeeds& needs, Block* block) {
  CheckEnum("reference", objective.reference(), block);
  for (const auto need :
       {&LossNeeds::vocabulary, &LossNeeds::self_weighted, &LossNeeds::mismatched}) {
    if (objective.reference() == v1::REFERENCE_NONE && needs.*need) {
      block->Add("reference", absl::StrCat("is none; ", Needing(objective, need),
                                           " compares with a reference policy"));
    }
  }
  const bool model = objective.reference() == v1::REFERENCE_MODEL;
  if (model == objective.reference_model().empty()) {
    block->Add("reference_model", model ? "is required for objective.reference model: a directory"
                                        : "is given, but objective.reference is not model");
  }
  if (objective.reference() == v1::REFERENCE_MIXED) {
    block->Range("ref_model_mixup_alpha", objective.ref_model_mixup_alpha(),
                 {0, 1, End::kExcluded});
    block->Range("ref_model_sync_rounds", objective.ref_model_sync_rounds(), {1, 1000});
    return;
  }
  for (const char* field : {"ref_model_mixup_alpha", "ref_model_sync_rounds"}) {
    if (!objective.GetReflection()->HasField(objective, FieldOf(objective, field))) continue;
    block->Add(field, "is given, but objective.reference is not mixed");
  }
}

// Losses of pairs and losses of groups do not add up, nor do those whose sides mean different
// things.
void CheckMixture(const v1::ObjectiveSpec& objective, Block* block) {
  for (const auto need : {&LossNeeds::groups, &LossNeeds::opponent, &LossNeeds::other_adapter,
                          &LossNeeds::rewards}) {
    const std::vector<v1::LossType> some = LossesWith(objective, need);
    const bool all = some.size() == static_cast<size_t>(objective.loss_type_size());
    if (some.empty() || all) continue;
    const char* const rule =
        need == &LossNeeds::groups          ? "losses of groups go with such losses only"
        : need == &LossNeeds::opponent      ? "losses against an opponent go alone"
        : need == &LossNeeds::other_adapter ? "a loss of two adapters goes alone"
                                            : "a reward model has no other loss";
    block->Add("loss_type",
               absl::StrCat("adds ", Names(some), " to losses of another kind; ", rule));
  }
}

// A model that scores responses writes none, and has no policy to be compared with.
void CheckRewardModel(const v1::JobSpec& spec, Block* block) {
  const uint32_t samples = spec.sampling().num_generations();
  if (samples > 0) {
    block->Add("sampling.num_generations",
               absl::StrCat("is ", samples, "; must be 0 for reward_model, which learns from the "
                            "responses that the dataset gives"));
  }
  if (spec.objective().reference() != v1::REFERENCE_NONE) {
    block->Add("objective.reference", "must be none for reward_model");
  }
}

// Adapters, and what is made of several of them.
void CheckAdapters(const v1::JobSpec& spec, const LossNeeds& needs, Block* block) {
  const bool lora = spec.training().has_lora();
  if (needs.other_adapter && !lora) {
    block->Add("training.lora", "is required for ofs_dpo, which trains two adapters; {} has the "
                                "defaults");
  }
  if (needs.rewards && lora) {
    block->Add("training.lora", "is given, but a reward model is trained whole: its head is new");
  }
  if (spec.objective().domain_memory() > 0 &&
      spec.curriculum().mixing() != v1::DOMAIN_MIXING_SEQUENTIAL) {
    block->Add("objective.domain_memory",
               absl::StrCat("is ", spec.objective().domain_memory(),
                            "; must be 0 unless curriculum.mixing is sequential"));
  }
}

void CheckPairingFits(const v1::JobSpec& spec, const LossNeeds& needs, Block* block) {
  const v1::ObjectiveSpec& objective = spec.objective();
  const bool group = spec.pairing().strategy() == v1::PAIRING_STRATEGY_GROUP;
  if (needs.groups != group) {
    block->Add("pairing.strategy",
               group ? "is group; objective.loss_type has no loss of groups"
                     : absl::StrCat("must be group for ", Needing(objective, &LossNeeds::groups)));
  }
  const size_t unpaired = LossesWith(objective, &LossNeeds::unpaired).size();
  if (spec.pairing().strategy() == v1::PAIRING_STRATEGY_UNPAIRED &&
      unpaired != static_cast<size_t>(objective.loss_type_size())) {
    block->Add("pairing.strategy",
               "is unpaired, but objective.loss_type has a loss that compares pairs; use kto, bco, "
               "apo_zero_unpaired or ddo");
  }
  if (HasAny(objective, {v1::LOSS_TYPE_SPIN}) &&
      spec.pairing().strategy() != v1::PAIRING_STRATEGY_TEACHER_WINS) {
    block->Add("pairing.strategy", "must be teacher_wins for spin, whose chosen response is gold");
  }
  if (needs.gold && !spec.pairing().include_gold()) {
    block->Add("pairing.include_gold", "must be true for sft_gold");
  }
  if (needs.opponent) {
    const bool nash = HasAny(objective, {v1::LOSS_TYPE_NASH_MD});
    const v1::Opponent opponent = nash ? v1::OPPONENT_MIXTURE : v1::OPPONENT_INITIAL;
    const std::string losses = Needing(objective, &LossNeeds::opponent);
    if (spec.sampling().opponent() != opponent) {
      block->Add("sampling.opponent", absl::StrCat("is ", EnumName(spec.sampling().opponent()),
                                                   "; must be ", EnumName(opponent), " for ",
                                                   losses));
    }
    if (spec.pairing().strategy() != v1::PAIRING_STRATEGY_ONLINE) {
      block->Add("pairing.strategy", absl::StrCat("must be online for ", losses,
                                                  ", whose pair is a response of the policy and "
                                                  "one of its opponent"));
    }
  }
  if (needs.margins == spec.auxiliary_oracles().empty()) {
    block->Add("auxiliary_oracles",
               needs.margins ? absl::StrCat("is required for ",
                                            Needing(objective, &LossNeeds::margins))
                             : "is given, but objective.loss_type has neither modpo nor "
                               "modpo_hinge");
  }
}

void CheckUpdateSize(const v1::JobSpec& spec, const LossNeeds& needs, Block* block) {
  const uint64_t pairs = uint64_t{spec.training().per_device_train_batch_size()} *
                         spec.training().gradient_accumulation_steps();
  const bool sorted = HasAny(spec.objective(), {v1::LOSS_TYPE_AOT, v1::LOSS_TYPE_AOT_UNPAIRED});
  if (pairs != 1 || !(sorted || needs.mismatched)) return;
  block->Add("training.per_device_train_batch_size",
             absl::StrCat("makes updates of 1 pair with training.gradient_accumulation_steps 1; ",
                          sorted ? "aot sorts the pairs of an update"
                                 : "kto estimates a KL over the pairs of an update",
                          ": give it more"));
}

}  // namespace

LossNeeds NeedsOf(const v1::ObjectiveSpec& objective) {
  LossNeeds all;
  for (int loss : objective.loss_type()) {
    if (loss == 0 || !v1::LossType_IsValid(loss)) continue;
    const LossNeeds* needs = FindLossNeeds(EnumName(static_cast<v1::LossType>(loss)));
    ATTUNE_CHECK(needs != nullptr);
    all = Union(all, *needs);
  }
  return all;
}

void FillObjectiveDefaults(bool reference_given, v1::ObjectiveSpec* objective) {
  const LossNeeds needs = NeedsOf(*objective);
  if (objective->loss_weights().empty()) {
    objective->mutable_loss_weights()->Resize(objective->loss_type_size(), 1.0);
  }
  for (const LossOption& option : LossOptionTable()) {
    const FieldDescriptor* field = FieldOf(*objective, option.field);
    const bool given = objective->GetReflection()->HasField(*objective, field);
    if (!given && HasAny(*objective, option.losses)) SetOption(field, option.fallback, objective);
  }
  if (needs.views && objective->view_weights().empty()) {
    for (double weight : {0.5, 0.2}) objective->add_view_weights(weight);
  }
  if (needs.rewards && !objective->has_score_margin()) objective->set_score_margin(false);
  if (objective->f_divergence_type() == v1::F_DIVERGENCE_TYPE_ALPHA_DIVERGENCE &&
      !objective->has_f_alpha_divergence_coef()) {
    objective->set_f_alpha_divergence_coef(0.5);
  }
  if (!needs.reference && !reference_given) objective->set_reference(v1::REFERENCE_NONE);
  if (objective->reference() == v1::REFERENCE_MIXED) {
    if (!objective->has_ref_model_mixup_alpha()) objective->set_ref_model_mixup_alpha(0.6);
    if (!objective->has_ref_model_sync_rounds()) objective->set_ref_model_sync_rounds(1);
  }
}

void CheckObjective(const v1::JobSpec& spec, Violations* violations) {
  const v1::ObjectiveSpec& objective = spec.objective();
  Block block("objective.", violations);
  block.Range("beta", objective.beta(), {0, 1000, End::kExcluded});
  if (!CheckLosses(objective, &block)) return;
  const LossNeeds needs = NeedsOf(objective);
  CheckOptions(objective, &block);
  CheckLabels(objective, needs, &block);
  CheckWeighting(objective, needs, &block);
  CheckReference(objective, needs, &block);
  CheckMixture(objective, &block);
  Block job("", violations);
  CheckPairingFits(spec, needs, &job);
  CheckAdapters(spec, needs, &job);
  if (needs.rewards) CheckRewardModel(spec, &job);
  CheckUpdateSize(spec, needs, &job);
}

}  // namespace attune
