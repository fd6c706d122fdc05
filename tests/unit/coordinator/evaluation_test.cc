#include "coordinator/evaluation.h"

#include <vector>

#include "gtest/gtest.h"

namespace attune {
namespace {

v1::Judgment Score(uint32_t prompt, double score) {
  v1::Judgment judgment;
  judgment.set_prompt_index(prompt);
  judgment.add_scores(score);
  return judgment;
}

v1::Response WithText(const std::string& text, float logp, float initial) {
  v1::Response response;
  response.set_text(text);
  response.add_token_ids(1);
  response.add_logps(logp);
  response.add_initial_logps(initial);
  return response;
}

TEST(EvaluationTest, CountsWinsWithTiesAsHalves) {
  const std::vector<v1::Response> responses(4, WithText("a b", -1, -1));
  const std::vector<v1::Judgment> now = {Score(0, 2), Score(1, 1), Score(2, 0), Score(3, 5)};
  const std::vector<v1::Judgment> initial = {Score(0, 1), Score(1, 1), Score(2, 3), Score(3, 1)};
  const v1::Evaluation evaluation = Evaluate(responses, now, initial);
  EXPECT_DOUBLE_EQ(evaluation.win_rate(), 2.5 / 4);
  EXPECT_DOUBLE_EQ(evaluation.mean_score(), 2);
  EXPECT_LT(evaluation.win_rate_low(), evaluation.win_rate());
  EXPECT_GT(evaluation.win_rate_high(), evaluation.win_rate());
}

TEST(EvaluationTest, MeasuresKlLengthAndRepetition) {
  const std::vector<v1::Response> responses = {WithText("the dog ran the dog", -1, -3),
                                               WithText("the dog", -2, -3)};
  const std::vector<v1::Judgment> scores = {Score(0, 0), Score(1, 0)};
  const v1::Evaluation evaluation = Evaluate(responses, scores, {});
  EXPECT_DOUBLE_EQ(evaluation.kl(), 1.5);
  EXPECT_DOUBLE_EQ(evaluation.mean_length(), 1);
  EXPECT_DOUBLE_EQ(evaluation.distinct_2(), 3.0 / 5);  // the-dog three times, dog-ran, ran-the
  EXPECT_DOUBLE_EQ(evaluation.win_rate(), 0);          // nothing to compare with
}

// Wilson 1927; 8 of 10 gives (0.4902, 0.9433), the usual textbook example.
TEST(EvaluationTest, WilsonIntervalMatchesTheTextbook) {
  const Interval interval = WilsonInterval(8, 10);
  EXPECT_NEAR(interval.low, 0.4902, 1e-4);
  EXPECT_NEAR(interval.high, 0.9433, 1e-4);
  EXPECT_DOUBLE_EQ(WilsonInterval(10, 10).high, 1);
}

}  // namespace
}  // namespace attune
