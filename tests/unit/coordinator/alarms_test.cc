#include "coordinator/alarms.h"

#include <cmath>
#include <functional>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attune {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// A healthy third round of a job with held-out prompts; tests break one thing each.
class AlarmsTest : public testing::Test {
 protected:
  AlarmsTest() {
    spec_.mutable_evaluation()->set_holdout_prompts(64);
    spec_.mutable_evaluation()->set_gate_win_rate(0.5);
    spec_.mutable_objective()->add_loss_type(v1::LOSS_TYPE_SIGMOID);
    for (uint32_t round : {0, 1, 2}) before_.push_back(Healthy(round));
    record_ = Healthy(3);
  }

  static v1::RoundRecord Healthy(uint32_t round) {
    v1::RoundRecord record;
    record.set_round(round);
    record.set_best_round(round);
    record.mutable_policy()->set_round(round == 0 ? 0 : round - 1);
    record.set_responses(640);
    for (uint32_t i = 0; i < 128; ++i) record.add_prompt_indices(i);
    v1::Diagnosis& diagnosis = *record.mutable_diagnosis();
    diagnosis.set_entropy(1.2);
    diagnosis.set_mean_length(80);
    diagnosis.set_chosen_length(82);
    diagnosis.set_length_bias(0.2);
    diagnosis.set_tie_rate(0.3);
    diagnosis.set_defect_rate(0.02);
    diagnosis.set_cycle_rate(0.03);
    diagnosis.set_triples(1280);
    diagnosis.set_swap_consistency(0.8);
    diagnosis.set_swaps(500);
    diagnosis.mutable_probe()->set_pairs(128);
    diagnosis.mutable_probe()->set_chosen_change(-2);
    diagnosis.mutable_probe()->set_rejected_change(-9);
    diagnosis.mutable_calibration()->set_pairs(50);
    diagnosis.mutable_calibration()->set_agreement(1);
    for (int step = 0; step < 8; ++step) {
      auto& values = *record.add_steps()->mutable_values();
      values["loss"] = 0.69 - 0.02 * step;
      values["rewards/margins"] = 0.1 * step;
      values["grad_norm"] = 3;
    }
    v1::Evaluation& evaluation = *record.mutable_evaluation();
    evaluation.set_prompts(64);
    evaluation.set_entropy(1.2);
    evaluation.set_mean_length(80);
    evaluation.set_kl(4);
    for (uint32_t other = 0; other < round; ++other) {
      v1::HeadToHead& result = *evaluation.add_against();
      result.set_round(other);
      result.set_win_rate(0.55);
      result.set_win_rate_high(0.65);
    }
    return record;
  }

  std::vector<v1::Alarm> At(v1::RoundPhase phase) {
    record_.set_phase(phase);
    return AlarmsOf(spec_, before_, record_);
  }

  std::vector<std::string> Kinds(v1::RoundPhase phase) {
    std::vector<std::string> kinds;
    for (const v1::Alarm& alarm : At(phase)) {
      kinds.push_back(AlarmLabel(alarm.kind()));
      EXPECT_FALSE(alarm.message().empty());
    }
    return kinds;
  }

  v1::Diagnosis& diagnosis() { return *record_.mutable_diagnosis(); }

  v1::JobSpec spec_;
  std::vector<v1::RoundRecord> before_;
  v1::RoundRecord record_;
};

TEST_F(AlarmsTest, AHealthyRoundRaisesNone) {
  for (int phase = v1::ROUND_PHASE_PROMPTS; phase <= v1::ROUND_PHASE_PUBLISHED; ++phase) {
    EXPECT_THAT(Kinds(static_cast<v1::RoundPhase>(phase)), IsEmpty()) << phase;
  }
  record_ = Healthy(0);
  before_.clear();
  EXPECT_THAT(Kinds(v1::ROUND_PHASE_PUBLISHED), IsEmpty());
}

TEST_F(AlarmsTest, ALossThatStaysAtLn2) {
  for (v1::StepMetrics& step : *record_.mutable_steps()) {
    (*step.mutable_values())["loss"] = std::log(2.0) - 5e-4;
  }
  EXPECT_THAT(Kinds(v1::ROUND_PHASE_TRAINED), ElementsAre("loss_at_ln2"));
  EXPECT_THAT(At(v1::ROUND_PHASE_TRAINED)[0].message(), HasSubstr("learning rate"));
  for (v1::StepMetrics& step : *record_.mutable_steps()) {
    (*step.mutable_values())["grad_norm"] = 0;
  }
  EXPECT_THAT(At(v1::ROUND_PHASE_TRAINED)[0].message(), HasSubstr("the same tokens"));
  spec_.mutable_objective()->set_loss_type(0, v1::LOSS_TYPE_IPO);  // ln 2 means nothing there
  EXPECT_THAT(Kinds(v1::ROUND_PHASE_TRAINED), IsEmpty());
}

TEST_F(AlarmsTest, ARoundOfFewUpdatesMayStayAtLn2) {
  record_.clear_steps();
  for (int step = 0; step < 3; ++step) {
    (*record_.add_steps()->mutable_values())["loss"] = std::log(2.0);
  }
  EXPECT_THAT(Kinds(v1::ROUND_PHASE_TRAINED), IsEmpty());
}

TEST_F(AlarmsTest, DisplacementIsJudgedByTheLengthOfResponses) {
  diagnosis().mutable_probe()->set_chosen_change(-8.1);  // 82 tokens: -8.2
  EXPECT_THAT(Kinds(v1::ROUND_PHASE_TRAINED), IsEmpty());
  diagnosis().mutable_probe()->set_chosen_change(-8.3);
  EXPECT_THAT(Kinds(v1::ROUND_PHASE_TRAINED), ElementsAre("displacement"));
  const v1::Alarm alarm = At(v1::ROUND_PHASE_TRAINED)[0];
  EXPECT_DOUBLE_EQ(alarm.value(), -8.3);
  EXPECT_DOUBLE_EQ(alarm.limit(), -8.2);
  EXPECT_THAT(alarm.message(), HasSubstr("ches_percentile"));
  diagnosis().set_chosen_length(2);
  diagnosis().mutable_probe()->set_chosen_change(-0.9);  // short responses: -1
  EXPECT_THAT(Kinds(v1::ROUND_PHASE_TRAINED), IsEmpty());
}

TEST_F(AlarmsTest, SaturatedMargins) {
  for (int step = 6; step < 8; ++step) {
    (*record_.mutable_steps(step)->mutable_values())["rewards/margins"] = 6;
  }
  EXPECT_THAT(Kinds(v1::ROUND_PHASE_TRAINED), ElementsAre("saturated"));
}

TEST_F(AlarmsTest, ResponsesThatGrowOrShrinkInOneRound) {
  for (double length : {121.0, 53.0}) {
    record_.mutable_evaluation()->set_mean_length(length);
    EXPECT_THAT(Kinds(v1::ROUND_PHASE_PUBLISHED), ElementsAre("length_growth")) << length;
  }
  for (double length : {119.0, 54.0}) {
    record_.mutable_evaluation()->set_mean_length(length);
    EXPECT_THAT(Kinds(v1::ROUND_PHASE_PUBLISHED), IsEmpty()) << length;
  }
}

TEST_F(AlarmsTest, GrowthThatCreepsIsFoundAgainstTheInitialPolicy) {
  before_[2].mutable_evaluation()->set_mean_length(150);
  record_.mutable_evaluation()->set_mean_length(161);
  EXPECT_THAT(Kinds(v1::ROUND_PHASE_PUBLISHED), ElementsAre("length_growth"));
  spec_.mutable_oracle()->set_kind(v1::ORACLE_KIND_LENGTH);  // which asks for it
  EXPECT_THAT(Kinds(v1::ROUND_PHASE_PUBLISHED), IsEmpty());
}

TEST_F(AlarmsTest, WithoutHeldOutPromptsTheSamplesTellOfThePolicy) {
  spec_.mutable_evaluation()->set_holdout_prompts(0);
  EXPECT_THAT(Kinds(v1::ROUND_PHASE_SAMPLED), IsEmpty());
  diagnosis().set_mean_length(130);
  diagnosis().set_entropy(0.3);
  diagnosis().set_kl(60);
  EXPECT_THAT(Kinds(v1::ROUND_PHASE_SAMPLED), ElementsAre("length_growth", "entropy", "kl"));
  spec_.mutable_evaluation()->set_holdout_prompts(64);
  EXPECT_THAT(Kinds(v1::ROUND_PHASE_SAMPLED), IsEmpty());
}

TEST_F(AlarmsTest, APolicyThatHardlyVaries) {
  record_.mutable_evaluation()->set_entropy(0.3);
  EXPECT_THAT(Kinds(v1::ROUND_PHASE_PUBLISHED), ElementsAre("entropy"));
}

TEST_F(AlarmsTest, APolicyFarFromTheInitialOne) {
  record_.mutable_evaluation()->set_kl(51);
  EXPECT_THAT(Kinds(v1::ROUND_PHASE_PUBLISHED), ElementsAre("kl"));
  for (v1::RoundRecord& record : before_) record.mutable_evaluation()->set_mean_length(10);
  record_.mutable_evaluation()->set_mean_length(10);
  record_.mutable_evaluation()->set_kl(11);  // more than a nat a token
  EXPECT_THAT(Kinds(v1::ROUND_PHASE_PUBLISHED), ElementsAre("kl"));
}

TEST_F(AlarmsTest, AnOracleThatFollowsLength) {
  diagnosis().set_length_bias(-0.6);
  EXPECT_THAT(Kinds(v1::ROUND_PHASE_JUDGED), ElementsAre("length_bias"));
  EXPECT_DOUBLE_EQ(At(v1::ROUND_PHASE_JUDGED)[0].limit(), -0.5);
  EXPECT_THAT(At(v1::ROUND_PHASE_JUDGED)[0].message(), HasSubstr("shorter"));
  spec_.mutable_oracle()->set_kind(v1::ORACLE_KIND_LENGTH);
  EXPECT_THAT(Kinds(v1::ROUND_PHASE_JUDGED), IsEmpty());
}

TEST_F(AlarmsTest, AnOracleThatFollowsPosition) {
  diagnosis().set_swap_consistency(0.4);
  EXPECT_THAT(Kinds(v1::ROUND_PHASE_JUDGED), ElementsAre("position_bias"));
  diagnosis().set_swaps(10);  // too few to tell
  EXPECT_THAT(Kinds(v1::ROUND_PHASE_JUDGED), IsEmpty());
}

TEST_F(AlarmsTest, PreferencesThatGoRound) {
  diagnosis().set_cycle_rate(0.2);
  EXPECT_THAT(Kinds(v1::ROUND_PHASE_JUDGED), ElementsAre("cycles"));
}

TEST_F(AlarmsTest, CandidatesThatAreTied) {
  diagnosis().set_tie_rate(0.95);
  EXPECT_THAT(Kinds(v1::ROUND_PHASE_JUDGED), ElementsAre("ties"));
}

TEST_F(AlarmsTest, SamplesWithDefects) {
  diagnosis().set_defect_rate(0.25);
  EXPECT_THAT(Kinds(v1::ROUND_PHASE_SAMPLED), ElementsAre("defects"));
}

TEST_F(AlarmsTest, JudgementsThatFailedForGood) {
  record_.add_quarantined()->set_failure("the judge refused");
  EXPECT_THAT(Kinds(v1::ROUND_PHASE_JUDGED), IsEmpty());  // 1 of 128
  record_.add_quarantined();
  EXPECT_THAT(Kinds(v1::ROUND_PHASE_JUDGED), ElementsAre("quarantine"));
  EXPECT_THAT(At(v1::ROUND_PHASE_JUDGED)[0].message(), HasSubstr("the judge refused"));
}

TEST_F(AlarmsTest, AnOracleThatJudgesOtherwiseThanAtTheStart) {
  diagnosis().mutable_calibration()->set_agreement(0.85);
  EXPECT_THAT(Kinds(v1::ROUND_PHASE_PUBLISHED), ElementsAre("oracle_drift"));
}

TEST_F(AlarmsTest, APolicyThatLostToTheBestOne) {
  before_[2].set_best_round(1);
  v1::HeadToHead& result = *record_.mutable_evaluation()->mutable_against(1);
  result.set_win_rate(0.4);
  result.set_win_rate_high(0.49);
  EXPECT_THAT(Kinds(v1::ROUND_PHASE_PUBLISHED), ElementsAre("regression"));
  EXPECT_THAT(At(v1::ROUND_PHASE_PUBLISHED)[0].message(), HasSubstr("round 1, the best"));
  before_[2].set_best_round(2);
  EXPECT_THAT(Kinds(v1::ROUND_PHASE_PUBLISHED), IsEmpty());
}

}  // namespace
}  // namespace attune
