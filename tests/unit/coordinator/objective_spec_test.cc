#include "coordinator/objective_spec.h"

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/presets.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"

namespace attune {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

// Problems of a job in text form, after presets and defaults.
std::vector<std::string> Problems(const std::string& text) {
  v1::JobSpec spec;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &spec)) << text;
  Violations violations;
  CheckObjective(WithPresetAndDefaults(spec), &violations);
  std::vector<std::string> problems;
  for (const FieldViolation& violation : violations) {
    problems.push_back(absl::StrCat(violation.field, ": ", violation.description));
  }
  return problems;
}

std::vector<std::string> ObjectiveProblems(const std::string& objective) {
  return Problems(absl::StrCat("objective { ", objective, " }"));
}

TEST(ObjectiveSpecTest, EveryLossIsAcceptedWithWhatItNeeds) {
  for (int i = 1; i < v1::LossType_ARRAYSIZE; ++i) {
    const auto loss = static_cast<v1::LossType>(i);
    const LossNeeds needs = *FindLossNeeds(EnumName(loss));
    std::string text = absl::StrCat("objective { loss_type: ", v1::LossType_Name(loss),
                                    loss == v1::LOSS_TYPE_EXO_PAIR ? " label_smoothing: 0.1" : "",
                                    " } pairing { strategy: PAIRING_STRATEGY_");
    text += needs.groups                     ? "GROUP"
            : needs.opponent                 ? "ONLINE"
            : loss == v1::LOSS_TYPE_SPIN     ? "TEACHER_WINS"
                                             : "BEST_WORST";
    if (needs.gold) text += " include_gold: true";
    text += " } ";
    if (needs.opponent) {
      text += absl::StrCat("sampling { opponent: OPPONENT_",
                           loss == v1::LOSS_TYPE_NASH_MD ? "MIXTURE" : "INITIAL", " } ");
    }
    if (needs.rewards) text += "sampling { num_generations: 0 } ";
    if (needs.other_adapter) text += "training { lora {} } ";
    if (needs.margins) text += "auxiliary_oracles { oracle { kind: ORACLE_KIND_LENGTH } } ";
    EXPECT_THAT(Problems(text), IsEmpty()) << text;
  }
}

TEST(ObjectiveSpecTest, LossesNeedWhatTheirFormulasRead) {
  EXPECT_THAT(ObjectiveProblems("loss_type: LOSS_TYPE_EXO_PAIR"),
              ElementsAre("objective.label_smoothing: is 0; must be above 0 for exo_pair, for "
                          "example 0.001"));
  EXPECT_THAT(ObjectiveProblems("loss_type: LOSS_TYPE_ADPO"),
              ElementsAre("pairing.strategy: must be group for adpo"));
  EXPECT_THAT(Problems("pairing { strategy: PAIRING_STRATEGY_GROUP }"),
              ElementsAre("pairing.strategy: is group; objective.loss_type has no loss of groups"));
  EXPECT_THAT(ObjectiveProblems("loss_type: LOSS_TYPE_SPIN"),
              ElementsAre(HasSubstr("pairing.strategy: must be teacher_wins for spin")));
  EXPECT_THAT(ObjectiveProblems("loss_type: [LOSS_TYPE_CPO, LOSS_TYPE_SFT_GOLD]"),
              ElementsAre("pairing.include_gold: must be true for sft_gold"));
  EXPECT_THAT(ObjectiveProblems("loss_type: LOSS_TYPE_MODPO"),
              ElementsAre("auxiliary_oracles: is required for modpo"));
  EXPECT_THAT(Problems("auxiliary_oracles { oracle { kind: ORACLE_KIND_LENGTH } }"),
              ElementsAre(StartsWith("auxiliary_oracles: is given, but objective.loss_type has")));
  EXPECT_THAT(ObjectiveProblems("loss_type: LOSS_TYPE_XPO"),
              ElementsAre("sampling.opponent: is none; must be initial for xpo",
                          StartsWith("pairing.strategy: must be online for xpo")));
  EXPECT_THAT(ObjectiveProblems("loss_type: LOSS_TYPE_NASH_MD"),
              Contains("sampling.opponent: is none; must be mixture for nash_md"));
}

TEST(ObjectiveSpecTest, AdaptersAreForLossesOfPolicies) {
  EXPECT_THAT(ObjectiveProblems("loss_type: LOSS_TYPE_OFS_DPO"),
              ElementsAre(StartsWith("training.lora: is required for ofs_dpo")));
  EXPECT_THAT(Problems("training { lora {} } objective { loss_type: [LOSS_TYPE_OFS_DPO, "
                       "LOSS_TYPE_SFT] }"),
              ElementsAre(HasSubstr("adds ofs_dpo to losses of another kind; a loss of two")));
  EXPECT_THAT(Problems("algorithm: ALGORITHM_REWARD_MODEL training { lora {} }"),
              ElementsAre(StartsWith("training.lora: is given, but a reward model")));
  const std::string ofs = "training { lora {} } objective { loss_type: LOSS_TYPE_OFS_DPO ";
  EXPECT_THAT(Problems(ofs + "domain_memory: 8 }"),
              ElementsAre("objective.domain_memory: is 8; must be 0 unless curriculum.mixing is "
                          "sequential"));
  EXPECT_THAT(Problems(ofs + "domain_memory: 8 } curriculum { mixing: DOMAIN_MIXING_SEQUENTIAL }"),
              IsEmpty());
  EXPECT_THAT(Problems(ofs + "slow_lr_ratio: 1.5 label_smoothing: 0.1 }"),
              ElementsAre(StartsWith("objective.slow_lr_ratio: is 1.5"),
                          StartsWith("objective.label_smoothing: is 0.1")));
  EXPECT_THAT(ObjectiveProblems("fast_slow_alpha: 0.2"),
              ElementsAre("objective.fast_slow_alpha: is given, but objective.loss_type has none "
                          "of ofs_dpo"));
}

TEST(ObjectiveSpecTest, ARewardModelStandsAloneAndSamplesNothing) {
  const auto problems = [](const std::string& objective, const char* samples = "0") {
    return Problems(absl::StrCat("sampling { num_generations: ", samples,
                                 " } objective { loss_type: LOSS_TYPE_REWARD_MODEL ", objective,
                                 " }"));
  };
  EXPECT_THAT(problems("center_rewards_coefficient: 0.01 score_margin: true"), IsEmpty());
  EXPECT_THAT(problems("", "4"),
              ElementsAre(StartsWith("sampling.num_generations: is 4; must be 0 for reward")));
  EXPECT_THAT(problems("reference: REFERENCE_INITIAL"),
              ElementsAre("objective.reference: must be none for reward_model"));
  EXPECT_THAT(problems("loss_type: LOSS_TYPE_SFT"),
              ElementsAre("objective.loss_type: adds reward_model to losses of another kind; a "
                          "reward model has no other loss"));
  EXPECT_THAT(problems("center_rewards_coefficient: -1"),
              ElementsAre(StartsWith("objective.center_rewards_coefficient: is -1")));
  EXPECT_THAT(problems("label_smoothing: 0.1 ld_alpha: 0.5 use_weighting: true"),
              ElementsAre(StartsWith("objective.label_smoothing: is 0.1; must be 0"),
                          StartsWith("objective.ld_alpha: must be 1"),
                          StartsWith("objective.use_weighting: must be false")));
  EXPECT_THAT(ObjectiveProblems("score_margin: true"),
              ElementsAre("objective.score_margin: is given, but objective.loss_type is not "
                          "reward_model"));
  EXPECT_THAT(ObjectiveProblems("center_rewards_coefficient: 0.1"),
              ElementsAre(StartsWith("objective.center_rewards_coefficient: is given, but")));
}

TEST(ObjectiveSpecTest, ALossThatComparesPoliciesNeedsAReference) {
  const auto none = [](const char* loss) {
    return ObjectiveProblems(absl::StrCat("reference: REFERENCE_NONE loss_type: ", loss));
  };
  EXPECT_THAT(none("LOSS_TYPE_SIGMOID"), IsEmpty());  // reference-free DPO
  EXPECT_THAT(none("LOSS_TYPE_TDPO2"),
              ElementsAre("objective.reference: is none; tdpo2 compares with a reference policy"));
  EXPECT_THAT(none("LOSS_TYPE_KTO"), Contains(HasSubstr("kto compares with a reference policy")));
  EXPECT_THAT(ObjectiveProblems("reference: REFERENCE_MODEL"),
              ElementsAre(HasSubstr("objective.reference_model: is required")));
  EXPECT_THAT(ObjectiveProblems("reference_model: 'a'"),
              ElementsAre("objective.reference_model: is given, but objective.reference is not "
                          "model"));
  EXPECT_THAT(ObjectiveProblems("ref_model_mixup_alpha: 0.5"),
              ElementsAre(HasSubstr("is given, but objective.reference is not mixed")));
  EXPECT_THAT(ObjectiveProblems("reference: REFERENCE_MIXED ref_model_mixup_alpha: 0"),
              ElementsAre("objective.ref_model_mixup_alpha: is 0; must be above 0 and at most 1"));
}

TEST(ObjectiveSpecTest, UpdatesOfOnePairCannotBeCoupled) {
  const std::string one =
      "training { per_device_train_batch_size: 1 gradient_accumulation_steps: 1 } ";
  for (const char* loss : {"AOT", "AOT_UNPAIRED", "KTO"}) {
    EXPECT_THAT(Problems(absl::StrCat(one, "objective { loss_type: LOSS_TYPE_", loss, " }")),
                ElementsAre(StartsWith("training.per_device_train_batch_size: makes updates of 1 "
                                       "pair")));
  }
  EXPECT_THAT(Problems(one), IsEmpty());
}

TEST(ObjectiveSpecTest, ListsOfLosses) {
  EXPECT_THAT(ObjectiveProblems("loss_type: [LOSS_TYPE_SIGMOID, LOSS_TYPE_SFT] "
                                "loss_weights: [1, 0.1]"),
              IsEmpty());
  EXPECT_THAT(ObjectiveProblems("loss_type: [LOSS_TYPE_SIGMOID, LOSS_TYPE_SFT] loss_weights: 1"),
              ElementsAre("objective.loss_weights: has 1 weights; must have one for each of the 2 "
                          "losses, not all 0"));
  EXPECT_THAT(ObjectiveProblems("loss_type: [LOSS_TYPE_SFT, LOSS_TYPE_SFT]"),
              ElementsAre("objective.loss_type: has sft twice"));
  EXPECT_THAT(ObjectiveProblems("loss_type: LOSS_TYPE_SFT loss_weights: -1"),
              Contains("objective.loss_weights: is -1; must be between 0 and 1000000"));
  EXPECT_THAT(Problems("pairing { strategy: PAIRING_STRATEGY_GROUP } "
                       "objective { loss_type: [LOSS_TYPE_NCA, LOSS_TYPE_SFT] }"),
              ElementsAre(StartsWith("objective.loss_type: adds nca to losses of another kind")));
}

TEST(ObjectiveSpecTest, OptionsBelongToTheirLosses) {
  EXPECT_THAT(ObjectiveProblems("simpo_gamma: 1"),
              ElementsAre("objective.simpo_gamma: is given, but objective.loss_type has none of "
                          "simpo, simpo_hinge, alphapo"));
  EXPECT_THAT(ObjectiveProblems("loss_type: LOSS_TYPE_DISCOPOP discopop_tau: 2"),
              ElementsAre("objective.discopop_tau: is 2; must be above 0 and at most 1"));
  EXPECT_THAT(ObjectiveProblems("loss_type: LOSS_TYPE_DNO label_smoothing: 0.1"),
              ElementsAre(HasSubstr("must be 0, no loss of objective.loss_type has it")));
  EXPECT_THAT(ObjectiveProblems("loss_type: LOSS_TYPE_ROBUST label_smoothing: 0.5"),
              ElementsAre("objective.label_smoothing: is 0.5; must be at least 0 and below 0.5"));
  EXPECT_THAT(ObjectiveProblems("f_divergence_type: F_DIVERGENCE_TYPE_ALPHA_DIVERGENCE "
                                "f_alpha_divergence_coef: 1"),
              ElementsAre("objective.f_alpha_divergence_coef: is 1; must be above 0 and below 1"));
  EXPECT_THAT(ObjectiveProblems("f_alpha_divergence_coef: 0.5"),
              ElementsAre(HasSubstr("is not alpha_divergence")));
  EXPECT_THAT(ObjectiveProblems("loss_type: LOSS_TYPE_CPO "
                                "f_divergence_type: F_DIVERGENCE_TYPE_FORWARD_KL"),
              ElementsAre(HasSubstr("objective.f_divergence_type: must be reverse_kl")));
  EXPECT_THAT(ObjectiveProblems("view_weights: 1"), ElementsAre(HasSubstr("has no mcm_dpo")));
  EXPECT_THAT(ObjectiveProblems("loss_type: LOSS_TYPE_MCM_DPO view_weights: 1"),
              ElementsAre("objective.view_weights: has 1 weights; must have 2"));
}

TEST(ObjectiveSpecTest, WeightsOfTokensAndPairs) {
  EXPECT_THAT(ObjectiveProblems("ld_alpha: 0.5"), IsEmpty());
  EXPECT_THAT(ObjectiveProblems("sampo: true"), IsEmpty());
  EXPECT_THAT(ObjectiveProblems("use_weighting: true"), IsEmpty());
  EXPECT_THAT(ObjectiveProblems("ld_alpha: 2"),
              ElementsAre("objective.ld_alpha: is 2; must be between 0 and 1"));
  EXPECT_THAT(ObjectiveProblems("ld_alpha: 0.5 sampo: true"),
              ElementsAre(HasSubstr("objective.sampo: is true; must be false")));
  EXPECT_THAT(ObjectiveProblems("loss_type: LOSS_TYPE_SIMPO ld_alpha: 0.5"),
              ElementsAre(HasSubstr("objective.ld_alpha: must be 1")));
  EXPECT_THAT(ObjectiveProblems("loss_type: LOSS_TYPE_AOT use_weighting: true"),
              ElementsAre(HasSubstr("objective.use_weighting: must be false")));
}

}  // namespace
}  // namespace attune
