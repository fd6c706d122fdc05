#include "oracle/judge.h"

#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

using absl::StatusCode;
using testing::DoubleEq;
using testing::ElementsAre;

TEST(JudgeTest, ScoresOfProbabilitiesAreMeansOverTheOthers) {
  const Verdict verdict = VerdictOfPreferences({0.5, 0.9, 0.2,    //
                                                0.1, 0.5, 0.6,    //
                                                0.8, 0.4, 0.5}, 3);
  EXPECT_THAT(verdict.scores, ElementsAre(DoubleEq(0.55), DoubleEq(0.35), DoubleEq(0.6)));
  EXPECT_OK(CheckVerdict(verdict, 3));
  EXPECT_THAT(VerdictOfPreferences({0.5}, 1).scores, ElementsAre(0.5));
}

TEST(JudgeTest, AVerdictMustBeCompleteAndFinite) {
  EXPECT_THAT(CheckVerdict({.scores = {1, 2}}, 3),
              StatusIs(StatusCode::kInternal, "2 scores for 3 responses"));
  EXPECT_THAT(CheckVerdict({.scores = {1, std::nan("")}}, 2),
              StatusIs(StatusCode::kInternal, "not finite"));
  EXPECT_THAT(CheckVerdict({.scores = {1, 2}, .preferences = {0.5, 1, 0}}, 2),
              StatusIs(StatusCode::kInternal, "3 probabilities for 2 responses"));
}

TEST(JudgeTest, ProbabilitiesOfTheTwoOrdersAddUpToOne) {
  EXPECT_OK(CheckVerdict({.scores = {1, 2}, .preferences = {0.5, 0.3, 0.7, 0.5}}, 2));
  EXPECT_THAT(CheckVerdict({.scores = {1, 2}, .preferences = {0.5, 0.3, 0.6, 0.5}}, 2),
              StatusIs(StatusCode::kInternal, "0.3 and 0.6"));
  EXPECT_THAT(CheckVerdict({.scores = {1, 2}, .preferences = {0.5, 1.3, -0.3, 0.5}}, 2),
              StatusIs(StatusCode::kInternal, "a probability of 1.3"));
  EXPECT_THAT(CheckVerdict({.scores = {1}, .preferences = {1}}, 1),
              StatusIs(StatusCode::kInternal, "1 and 1"));
}

}  // namespace
}  // namespace attune
