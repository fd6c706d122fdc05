#include "coordinator/round.h"

#include <cmath>

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

v1::PolicyVersion Policy(uint32_t round) {
  v1::PolicyVersion policy;
  policy.set_round(round);
  policy.set_digest("digest-" + std::to_string(round));
  return policy;
}

v1::JobSpec Spec() {
  v1::JobSpec spec;
  spec.mutable_sampling()->set_num_generations(2);
  spec.mutable_evaluation()->set_holdout_prompts(0);
  return spec;
}

v1::RoundRecord WithPrompts() {
  return AdvanceRound(Spec(), NewRound("jobs/j", 1, Policy(0)), PromptsChosen{{5, 3}})->record;
}

std::vector<v1::Response> Responses() {
  std::vector<v1::Response> responses;
  for (uint32_t prompt : {5, 3}) {
    for (uint32_t sample : {0, 1}) {
      v1::Response& response = responses.emplace_back();
      response.set_prompt_index(prompt);
      response.set_sample(sample);
      response.add_token_ids(7);
      response.add_logps(-1);
      *response.mutable_policy() = Policy(0);
    }
  }
  return responses;
}

v1::RoundRecord WithResponses() {
  return AdvanceRound(Spec(), WithPrompts(), ResponsesSampled{Responses()})->record;
}

std::vector<v1::Judgment> Judgments() {
  std::vector<v1::Judgment> judgments(2);
  judgments[0].set_prompt_index(5);
  judgments[1].set_prompt_index(3);
  for (v1::Judgment& judgment : judgments) {
    judgment.add_scores(1);
    judgment.add_scores(2);
  }
  return judgments;
}

TEST(RoundTest, InitialPolicyIsOnlyPublished) {
  const v1::RoundRecord record = NewRound("jobs/j", 0, Policy(0));
  EXPECT_EQ(NextPhase(record), v1::ROUND_PHASE_PUBLISHED);
  EXPECT_EQ(PolicyAfter(record).digest(), "digest-0");
  EXPECT_EQ(AdvanceRound(Spec(), record, PolicyPublished{})->record.phase(),
            v1::ROUND_PHASE_PUBLISHED);
}

TEST(RoundTest, PhasesFollowEachOther) {
  v1::RoundRecord record = WithResponses();
  EXPECT_EQ(record.responses(), 4u);
  EXPECT_EQ(record.response_tokens(), 4u);
  record = AdvanceRound(Spec(), record, ResponsesJudged{Judgments()})->record;
  EXPECT_DOUBLE_EQ(record.mean_score(), 1.5);
  PairingOutput pairs{.pairs = {v1::Pair()}, .digest = "d"};
  pairs.counts.set_kept(1);
  record = AdvanceRound(Spec(), record, PairsBuilt{pairs})->record;
  record = AdvanceRound(Spec(), record,
                        PolicyTrained{.policy = Policy(1), .checkpoint_path = "/c",
                                      .steps = {v1::StepMetrics()}})->record;
  EXPECT_EQ(PolicyAfter(record).digest(), "digest-1");
  const RoundStep last = AdvanceRound(Spec(), record, PolicyPublished{}).value();
  EXPECT_EQ(last.record.phase(), v1::ROUND_PHASE_PUBLISHED);
  EXPECT_TRUE(last.drop_samples);
}

TEST(RoundTest, RefusesAPromptTwice) {
  EXPECT_THAT(AdvanceRound(Spec(), NewRound("jobs/j", 1, Policy(0)), PromptsChosen{{5, 5}}),
              StatusIs(absl::StatusCode::kInternal, "a prompt twice"));
}

TEST(RoundTest, RefusesAMissingResponse) {
  std::vector<v1::Response> responses = Responses();
  responses.erase(responses.begin() + 1);
  EXPECT_THAT(AdvanceRound(Spec(), WithPrompts(), ResponsesSampled{responses}),
              StatusIs(absl::StatusCode::kInternal, "has 1 responses instead of 2"));
}

TEST(RoundTest, RefusesAResponseTwice) {
  std::vector<v1::Response> responses = Responses();
  responses.insert(responses.begin(), responses[0]);
  EXPECT_THAT(AdvanceRound(Spec(), WithPrompts(), ResponsesSampled{responses}),
              StatusIs(absl::StatusCode::kInternal, "out of order"));
}

TEST(RoundTest, RefusesAResponseOfAnotherPolicy) {
  std::vector<v1::Response> responses = Responses();
  *responses[2].mutable_policy() = Policy(4);
  EXPECT_THAT(AdvanceRound(Spec(), WithPrompts(), ResponsesSampled{responses}),
              StatusIs(absl::StatusCode::kInternal, "digest-4 instead of digest-0"));
}

TEST(RoundTest, RefusesAResponseWithoutReferenceLogps) {
  v1::JobSpec spec = Spec();
  spec.mutable_objective()->set_reference(v1::REFERENCE_INITIAL);
  EXPECT_THAT(AdvanceRound(spec, WithPrompts(), ResponsesSampled{Responses()}),
              StatusIs(absl::StatusCode::kInternal, "lacks log-probabilities of the initial"));
}

TEST(RoundTest, RefusesAResponseWithoutHiddenSumsWherePairsAreFilteredByThem) {
  v1::JobSpec spec = Spec();
  spec.mutable_pairing()->set_ches_percentile(100);
  EXPECT_OK(AdvanceRound(spec, WithPrompts(), ResponsesSampled{Responses()}));
  spec.mutable_pairing()->set_ches_percentile(5);
  std::vector<v1::Response> responses = Responses();
  for (v1::Response& response : responses) response.add_hidden_sum(0.5f);
  EXPECT_OK(AdvanceRound(spec, WithPrompts(), ResponsesSampled{responses}));
  responses[3].add_hidden_sum(0.5f);
  EXPECT_THAT(AdvanceRound(spec, WithPrompts(), ResponsesSampled{responses}),
              StatusIs(absl::StatusCode::kInternal,
                       "response 1 of prompt 3 has a sum of hidden states of 2 numbers instead of "
                       "1"));
  EXPECT_THAT(AdvanceRound(spec, WithPrompts(), ResponsesSampled{Responses()}),
              StatusIs(absl::StatusCode::kInternal, "lacks the sum of its hidden states"));
}

TEST(RoundTest, RefusesAnOpponentThatIsNotTheLastSample) {
  v1::JobSpec spec = Spec();
  std::vector<v1::Response> responses = Responses();
  for (const v1::Opponent opponent : {v1::OPPONENT_INITIAL, v1::OPPONENT_MIXTURE}) {
    spec.mutable_sampling()->set_opponent(opponent);
    responses[1].set_provenance(v1::PROVENANCE_OPPONENT);
    responses[3].set_provenance(v1::PROVENANCE_OPPONENT);
    EXPECT_OK(AdvanceRound(spec, WithPrompts(), ResponsesSampled{responses}));
    responses[3].set_provenance(v1::PROVENANCE_STUDENT);
    EXPECT_THAT(AdvanceRound(spec, WithPrompts(), ResponsesSampled{responses}),
                StatusIs(absl::StatusCode::kInternal,
                         "response 1 of prompt 3 is of PROVENANCE_STUDENT, but is the opponent's"));
  }
  spec.mutable_sampling()->set_opponent(v1::OPPONENT_NONE);
  EXPECT_THAT(AdvanceRound(spec, WithPrompts(), ResponsesSampled{responses}),
              StatusIs(absl::StatusCode::kInternal, "but is not the opponent's"));
}

TEST(RoundTest, RefusesAScoreThatIsNotFinite) {
  std::vector<v1::Judgment> judgments = Judgments();
  judgments[1].set_scores(0, std::nan(""));
  EXPECT_THAT(AdvanceRound(Spec(), WithResponses(), ResponsesJudged{judgments}),
              StatusIs(absl::StatusCode::kInternal, "not finite"));
}

TEST(RoundTest, SaysWhyNoPairIsLeft) {
  v1::RoundRecord record =
      AdvanceRound(Spec(), WithResponses(), ResponsesJudged{Judgments()})->record;
  PairingOutput none;
  none.counts.set_tie(2);
  EXPECT_THAT(AdvanceRound(Spec(), record, PairsBuilt{none}),
              StatusIs(absl::StatusCode::kNotFound, "2 ties"));
}

TEST(RoundTest, CountsTheResponsesOfTheDataset) {
  v1::JobSpec spec = Spec();
  spec.mutable_sampling()->set_num_generations(1);
  std::vector<v1::Response> responses = Responses();
  for (int i : {1, 3}) responses[i].set_provenance(v1::PROVENANCE_GIVEN);
  EXPECT_OK(AdvanceRound(spec, WithPrompts(), ResponsesSampled{responses, {1, 1}}));
  EXPECT_THAT(AdvanceRound(spec, WithPrompts(), ResponsesSampled{responses, {1, 2}}),
              StatusIs(absl::StatusCode::kInternal, "prompt 3 has 2 responses instead of 3"));
  EXPECT_THAT(AdvanceRound(spec, WithPrompts(), ResponsesSampled{responses, {1, 0}}),
              StatusIs(absl::StatusCode::kInternal, "but the dataset does not give it"));
  responses[1].set_provenance(v1::PROVENANCE_STUDENT);
  EXPECT_THAT(AdvanceRound(spec, WithPrompts(), ResponsesSampled{responses, {1, 1}}),
              StatusIs(absl::StatusCode::kInternal, "but the dataset gives it"));
}

TEST(RoundTest, WithTheDatasetAsOracleNoSampleIsEvaluated) {
  v1::JobSpec spec = Spec();
  spec.mutable_evaluation()->set_holdout_prompts(2);
  const v1::RoundRecord record = NewRound("jobs/j", 0, Policy(0));
  EXPECT_THAT(AdvanceRound(spec, record, PolicyPublished{}),
              StatusIs(absl::StatusCode::kInternal, "0 judgments for 2 held-out prompts"));
  spec.mutable_oracle()->set_kind(v1::ORACLE_KIND_DATASET);
  EXPECT_OK(AdvanceRound(spec, record, PolicyPublished{}));
}

}  // namespace
}  // namespace attune
