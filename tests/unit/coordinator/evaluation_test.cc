#include "coordinator/evaluation.h"

#include <vector>

#include "common/statistics.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attune {
namespace {

using testing::ElementsAre;

v1::Judgment Scores(uint32_t prompt, const std::vector<double>& scores) {
  v1::Judgment judgment;
  judgment.set_prompt_index(prompt);
  judgment.mutable_scores()->Assign(scores.begin(), scores.end());
  return judgment;
}

v1::Response WithText(uint32_t prompt, const std::string& text, int tokens = 1) {
  v1::Response response;
  response.set_prompt_index(prompt);
  response.set_text(text);
  for (int t = 0; t < tokens; ++t) {
    response.add_token_ids(1);
    response.add_logps(-1);
    response.add_initial_logps(-3);
  }
  return response;
}

std::vector<v1::Response> Responses(int count, int tokens = 1) {
  std::vector<v1::Response> responses;
  for (int i = 0; i < count; ++i) responses.push_back(WithText(i, "a b", tokens));
  return responses;
}

// Four prompts; candidates are the responses of rounds 0 and 1, and the new one.
class AgainstTwoRoundsTest : public testing::Test {
 protected:
  v1::Evaluation Run() const {
    return Evaluate({.prompts = prompts_,
                     .responses = responses_,
                     .earlier = earlier_,
                     .judgments = judgments_,
                     .seed = 3});
  }

  std::vector<v1::Prompt> prompts_ = std::vector<v1::Prompt>(4);
  std::vector<v1::Response> responses_ = Responses(4);
  std::vector<EarlierRound> earlier_ = {{0, Responses(4)}, {1, Responses(4)}};
  std::vector<v1::Judgment> judgments_ = {Scores(0, {1, 3, 2}), Scores(1, {1, 0, 1}),
                                          Scores(2, {3, 0, 0}), Scores(3, {1, 0, 5})};
};

TEST_F(AgainstTwoRoundsTest, CountsWinsWithTiesAsHalves) {
  const v1::Evaluation evaluation = Run();
  EXPECT_DOUBLE_EQ(evaluation.mean_score(), 2);
  ASSERT_EQ(evaluation.against_size(), 2);
  EXPECT_EQ(evaluation.against(0).round(), 0u);
  EXPECT_DOUBLE_EQ(evaluation.against(0).win_rate(), 2.5 / 4);
  EXPECT_EQ(evaluation.against(1).round(), 1u);
  EXPECT_DOUBLE_EQ(evaluation.against(1).win_rate(), 2.5 / 4);
  EXPECT_LE(evaluation.against(1).win_rate_low(), evaluation.against(1).win_rate());
  EXPECT_GE(evaluation.against(1).win_rate_high(), evaluation.against(1).win_rate());
}

TEST_F(AgainstTwoRoundsTest, TheWinRateIsThatAgainstTheInitialPolicy) {
  const v1::Evaluation evaluation = Run();
  const Interval wilson = WilsonInterval(2.5, 4);
  EXPECT_DOUBLE_EQ(evaluation.win_rate(), 2.5 / 4);
  EXPECT_DOUBLE_EQ(evaluation.win_rate_low(), wilson.low);
  EXPECT_DOUBLE_EQ(evaluation.win_rate_high(), wilson.high);
  EXPECT_DOUBLE_EQ(evaluation.length_controlled_win_rate(),
                   evaluation.against(0).length_controlled_win_rate());
}

TEST_F(AgainstTwoRoundsTest, TheOraclesPreferencesGoBeforeScores) {
  for (v1::Judgment& judgment : judgments_) {
    for (double p : {0.5, 0.5, 0.1, 0.5, 0.5, 0.7, 0.9, 0.3, 0.5}) judgment.add_preferences(p);
  }
  const v1::Evaluation evaluation = Run();
  EXPECT_DOUBLE_EQ(evaluation.against(0).win_rate(), 0.9);
  EXPECT_DOUBLE_EQ(evaluation.against(1).win_rate(), 0.3);
  EXPECT_DOUBLE_EQ(evaluation.against(1).win_rate_high(), 0.3);  // the same on every prompt
}

TEST_F(AgainstTwoRoundsTest, APromptWhoseJudgementFailedCountsNowhere) {
  judgments_[3].clear_scores();
  judgments_[3].set_failure("the judge did not answer");
  responses_[3] = WithText(3, "other words here", 100);
  const v1::Evaluation evaluation = Run();
  EXPECT_EQ(evaluation.prompts(), 3u);
  EXPECT_DOUBLE_EQ(evaluation.mean_score(), 1);
  EXPECT_DOUBLE_EQ(evaluation.mean_length(), 1);
  EXPECT_DOUBLE_EQ(evaluation.against(0).win_rate(), 1.5 / 3);
  for (v1::Judgment& judgment : judgments_) judgment.clear_scores();
  EXPECT_EQ(Run().prompts(), 0u);
}

// The longer response wins, and the new ones are longer seven times of ten.
TEST(EvaluationTest, LengthControlledWinRateTakesLengthOut) {
  std::vector<v1::Response> responses, earlier;
  std::vector<v1::Judgment> judgments;
  for (int i = 0; i < 40; ++i) {
    responses.push_back(WithText(i, "a", 10 + i % 10));
    earlier.push_back(WithText(i, "a", 12));
    const int gap = 10 + i % 10 - 12;
    judgments.push_back(Scores(i, {0.0, static_cast<double>(gap)}));
  }
  const std::vector<v1::Prompt> prompts(40);
  const std::vector<EarlierRound> rounds = {{0, earlier}};
  const v1::Evaluation evaluation = Evaluate(
      {.prompts = prompts, .responses = responses, .earlier = rounds, .judgments = judgments});
  EXPECT_DOUBLE_EQ(evaluation.win_rate(), 0.75);
  EXPECT_NEAR(evaluation.length_controlled_win_rate(), 0.5, 0.05);
}

TEST(EvaluationTest, MeasuresKlEntropyLengthAndRepetition) {
  std::vector<v1::Response> responses = {WithText(0, "the dog ran the dog"),
                                         WithText(1, "the dog")};
  responses[1].set_logps(0, -2);
  const std::vector<v1::Judgment> scores = {Scores(0, {0}), Scores(1, {0})};
  const std::vector<v1::Prompt> prompts(2);
  const v1::Evaluation evaluation =
      Evaluate({.prompts = prompts, .responses = responses, .judgments = scores});
  EXPECT_DOUBLE_EQ(evaluation.kl(), 1.5);
  EXPECT_DOUBLE_EQ(evaluation.entropy(), 1.5);
  EXPECT_DOUBLE_EQ(evaluation.mean_length(), 1);
  EXPECT_DOUBLE_EQ(evaluation.distinct_2(), 3.0 / 5);  // the-dog three times, dog-ran, ran-the
  EXPECT_DOUBLE_EQ(evaluation.win_rate(), 0);          // nothing to compare with
}

TEST(EvaluationTest, ScoresDomainsByName) {
  std::vector<v1::Prompt> prompts(4);
  prompts[0].set_domain("maths");
  prompts[1].set_domain("code");
  prompts[3].set_domain("maths");
  const std::vector<v1::Response> responses = Responses(4);
  const std::vector<v1::Judgment> scores = {Scores(0, {1}), Scores(1, {5}), Scores(2, {9}),
                                            Scores(3, {2})};
  const v1::Evaluation evaluation =
      Evaluate({.prompts = prompts, .responses = responses, .judgments = scores});
  ASSERT_EQ(evaluation.domains_size(), 2);
  EXPECT_EQ(evaluation.domains(0).domain(), "code");
  EXPECT_DOUBLE_EQ(evaluation.domains(0).mean_score(), 5);
  EXPECT_EQ(evaluation.domains(1).domain(), "maths");
  EXPECT_DOUBLE_EQ(evaluation.domains(1).mean_score(), 1.5);
  EXPECT_EQ(evaluation.domains(1).prompts(), 2u);
}

TEST(EvaluationTest, CandidatesStandByPromptWithTheNewOneLast) {
  const std::vector<v1::Prompt> prompts(2);
  const std::vector<v1::Response> responses = {WithText(0, "new 0"), WithText(1, "new 1")};
  const std::vector<EarlierRound> earlier = {{0, {WithText(0, "old 0"), WithText(1, "old 1")}}};
  std::vector<std::string> texts;
  for (const v1::Response& response :
       SideBySide({.prompts = prompts, .responses = responses, .earlier = earlier})) {
    texts.push_back(response.text());
    EXPECT_EQ(response.token_ids_size(), 1);
  }
  EXPECT_THAT(texts, ElementsAre("old 0", "new 0", "old 1", "new 1"));
}

TEST(EvaluationTest, ComparesWithTheInitialTheBestAndTheNewestRounds) {
  EXPECT_THAT(ComparedRounds(0, 0), ElementsAre(0));
  EXPECT_THAT(ComparedRounds(3, 1), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(ComparedRounds(20, 2),
              ElementsAre(0, 2, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20));
  EXPECT_THAT(ComparedRounds(20, 20),
              ElementsAre(0, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20));
}

}  // namespace
}  // namespace attune
