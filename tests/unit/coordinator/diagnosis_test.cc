#include "coordinator/diagnosis.h"

#include <cmath>
#include <limits>
#include <vector>

#include "gtest/gtest.h"

namespace attune {
namespace {

v1::Response MakeResponse(uint32_t prompt, int tokens, float logp,
                          v1::Provenance provenance = v1::PROVENANCE_STUDENT) {
  v1::Response response;
  response.set_prompt_index(prompt);
  response.set_provenance(provenance);
  for (int t = 0; t < tokens; ++t) {
    response.add_token_ids(t);
    response.add_logps(logp);
  }
  return response;
}

v1::Judgment MakeJudgment(uint32_t prompt, const std::vector<double>& scores) {
  v1::Judgment judgment;
  judgment.set_prompt_index(prompt);
  judgment.mutable_scores()->Assign(scores.begin(), scores.end());
  return judgment;
}

v1::Pair MakePair(int chosen, int rejected, double margin, double ches) {
  v1::Pair pair;
  *pair.mutable_chosen() = MakeResponse(0, chosen, 0);
  *pair.mutable_rejected() = MakeResponse(0, rejected, 0);
  pair.set_chosen_score(margin + 1);
  pair.set_rejected_score(1);
  pair.set_ches(ches);
  return pair;
}

TEST(DiagnosisTest, SamplesOfThePolicyHaveEntropyAndLength) {
  const std::vector<v1::Response> responses = {MakeResponse(0, 3, -1), MakeResponse(0, 1, -3),
                                               MakeResponse(0, 50, -9, v1::PROVENANCE_GOLD),
                                               MakeResponse(1, 50, -9, v1::PROVENANCE_OPPONENT)};
  v1::Diagnosis diagnosis;
  DiagnoseSamples({}, responses, &diagnosis);
  EXPECT_DOUBLE_EQ(diagnosis.entropy(), 1.5);
  EXPECT_DOUBLE_EQ(diagnosis.mean_length(), 2);
  EXPECT_DOUBLE_EQ(diagnosis.kl(), 0);
}

TEST(DiagnosisTest, KlIsPerResponse) {
  std::vector<v1::Response> responses = {MakeResponse(0, 2, -1), MakeResponse(0, 4, -1)};
  for (v1::Response& response : responses) {
    for (int t = 0; t < response.token_ids_size(); ++t) response.add_initial_logps(-1.5);
  }
  v1::Diagnosis diagnosis;
  DiagnoseSamples({}, responses, &diagnosis);
  EXPECT_DOUBLE_EQ(diagnosis.kl(), 1.5);
}

TEST(DiagnosisTest, TheGapIsOfTheResponsesThatAnotherSamplerReportedOn) {
  std::vector<v1::Response> responses(4, MakeResponse(0, 2, -1));
  responses[0].mutable_sampler()->set_gap(0.5);
  responses[0].add_sampling_logps(-1);
  responses[1].mutable_sampler()->set_staleness(3);  // that reported nothing
  responses[2].mutable_sampler()->set_gap(0.25);
  responses[2].mutable_sampler()->set_staleness(1);
  responses[2].add_sampling_logps(-1);
  responses[3].add_sampling_logps(-1);  // the policy's own
  v1::Diagnosis diagnosis;
  DiagnoseSamples({}, responses, &diagnosis);
  EXPECT_DOUBLE_EQ(diagnosis.sampler_gap(), 0.375);
  EXPECT_EQ(diagnosis.sampler_staleness(), 3u);
}

TEST(DiagnosisTest, DefectsAreThoseTheJobNames) {
  std::vector<v1::Response> responses(4, MakeResponse(0, 1, -1));
  responses[2].set_finish_reason(v1::FINISH_REASON_LENGTH);
  v1::DefectSpec defects;
  v1::Diagnosis diagnosis;
  DiagnoseSamples(defects, responses, &diagnosis);
  EXPECT_DOUBLE_EQ(diagnosis.defect_rate(), 0);
  defects.set_over_length(true);
  DiagnoseSamples(defects, responses, &diagnosis);
  EXPECT_DOUBLE_EQ(diagnosis.defect_rate(), 0.25);
}

// Scores follow length within each prompt, though the prompt of long responses has low scores.
TEST(DiagnosisTest, LengthBiasIsThatWithinPrompts) {
  const std::vector<v1::Response> responses = {MakeResponse(7, 10, 0), MakeResponse(7, 20, 0),
                                               MakeResponse(3, 110, 0), MakeResponse(3, 120, 0)};
  v1::Diagnosis diagnosis;
  DiagnoseJudgments(responses, std::vector{MakeJudgment(7, {5, 6}), MakeJudgment(3, {-6, -5})},
                    &diagnosis);
  EXPECT_NEAR(diagnosis.length_bias(), 1, 1e-12);
  DiagnoseJudgments(responses, std::vector{MakeJudgment(7, {5, 6}), MakeJudgment(3, {-5, -6})},
                    &diagnosis);
  EXPECT_NEAR(diagnosis.length_bias(), 0, 1e-12);
}

TEST(DiagnosisTest, CountsTiesAmongAllPairsOfCandidates) {
  std::vector<v1::Response> responses(3, MakeResponse(0, 1, 0));
  responses.resize(5, MakeResponse(1, 1, 0));
  v1::Diagnosis diagnosis;
  DiagnoseJudgments(responses, std::vector{MakeJudgment(0, {2, 2, 1}), MakeJudgment(1, {4, 4})},
                    &diagnosis);
  EXPECT_DOUBLE_EQ(diagnosis.tie_rate(), 0.5);
  EXPECT_EQ(diagnosis.triples(), 0u);  // an oracle of scores
}

TEST(DiagnosisTest, CountsCyclesAndSwapsOfPreferences) {
  std::vector<v1::Response> responses(3, MakeResponse(0, 1, 0));
  responses.resize(6, MakeResponse(1, 1, 0));
  std::vector<v1::Judgment> judgments = {MakeJudgment(0, {0.5, 0.5, 0.5}),
                                         MakeJudgment(1, {1, 0.5, 0})};
  for (double p : {0.5, 0.9, 0.1, 0.1, 0.5, 0.9, 0.9, 0.1, 0.5}) judgments[0].add_preferences(p);
  for (double p : {0.5, 1.0, 1.0, 0.0, 0.5, 0.5, 0.0, 0.5, 0.5}) judgments[1].add_preferences(p);
  judgments[0].set_swaps(3);
  judgments[0].set_swaps_agreed(1);
  judgments[1].set_swaps(1);
  judgments[1].set_swaps_agreed(1);
  v1::Diagnosis diagnosis;
  DiagnoseJudgments(responses, judgments, &diagnosis);
  EXPECT_EQ(diagnosis.triples(), 2u);
  EXPECT_DOUBLE_EQ(diagnosis.cycle_rate(), 0.5);
  EXPECT_DOUBLE_EQ(diagnosis.tie_rate(), 1.0 / 6);  // by preference, not by score
  EXPECT_EQ(diagnosis.swaps(), 4u);
  EXPECT_DOUBLE_EQ(diagnosis.swap_consistency(), 0.5);
}

TEST(DiagnosisTest, PromptsWithoutAJudgmentCountNowhere) {
  const std::vector<v1::Response> responses = {MakeResponse(0, 1, 0), MakeResponse(0, 2, 0),
                                               MakeResponse(1, 1, 0), MakeResponse(1, 2, 0),
                                               MakeResponse(2, 1, 0), MakeResponse(2, 2, 0)};
  v1::Judgment failed;
  failed.set_prompt_index(1);
  failed.set_failure("no answer");
  v1::Diagnosis diagnosis;
  DiagnoseJudgments(responses, std::vector{MakeJudgment(0, {}), failed, MakeJudgment(2, {1, 1})},
                    &diagnosis);
  EXPECT_DOUBLE_EQ(diagnosis.tie_rate(), 1);
  EXPECT_EQ(diagnosis.unjudged(), 1u);  // prompt 0 was left out, that of prompt 1 failed
}

TEST(DiagnosisTest, PairsHaveLengthsMarginsAndChes) {
  std::vector<v1::Pair> pairs;
  for (int i = 1; i <= 11; ++i) pairs.push_back(MakePair(4, i <= 2 ? 2 : 6, 0.5, -i));
  pairs.push_back(MakePair(4, 4, 2, std::numeric_limits<double>::infinity()));
  v1::Diagnosis diagnosis;
  DiagnosePairs(pairs, &diagnosis);
  EXPECT_DOUBLE_EQ(diagnosis.chosen_length(), 4);
  EXPECT_DOUBLE_EQ(diagnosis.rejected_length(), (2 * 2 + 9 * 6 + 4) / 12.0);
  EXPECT_DOUBLE_EQ(diagnosis.chosen_longer(), 2.0 / 12);
  EXPECT_DOUBLE_EQ(diagnosis.mean_margin(), (11 * 0.5 + 2) / 12);
  EXPECT_DOUBLE_EQ(diagnosis.mean_ches(), -6);
  EXPECT_DOUBLE_EQ(diagnosis.high_ches(), -2);
}

TEST(DiagnosisTest, NothingIsZero) {
  v1::Diagnosis diagnosis;
  DiagnoseSamples({}, {}, &diagnosis);
  DiagnoseJudgments({}, {}, &diagnosis);
  DiagnosePairs({}, &diagnosis);
  EXPECT_EQ(diagnosis.SerializeAsString(), "");
}

}  // namespace
}  // namespace attune
