#include "spec/answer_check.h"

#include <cmath>
#include <vector>

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

using absl::StatusCode;

absl::Status Check(const std::vector<double>& scores, const std::vector<double>& preferences,
                   size_t candidates) {
  return CheckAnswer(scores, preferences, candidates);
}

TEST(AnswerCheckTest, AnAnswerMustBeCompleteAndFinite) {
  EXPECT_OK(Check({1, 2, -3}, {}, 3));
  EXPECT_THAT(Check({1, 2}, {}, 3), StatusIs(StatusCode::kInternal, "2 scores for 3 responses"));
  EXPECT_THAT(Check({1, std::nan("")}, {}, 2), StatusIs(StatusCode::kInternal, "not finite"));
  EXPECT_THAT(Check({1, 2}, {0.5, 1, 0}, 2),
              StatusIs(StatusCode::kInternal, "3 probabilities for 2 responses"));
}

TEST(AnswerCheckTest, ProbabilitiesOfTheTwoOrdersAddUpToOne) {
  EXPECT_OK(Check({1, 2}, {0.5, 0.3, 0.7, 0.5}, 2));
  EXPECT_THAT(Check({1, 2}, {0.5, 0.3, 0.6, 0.5}, 2),
              StatusIs(StatusCode::kInternal, "0.3 and 0.6"));
  EXPECT_THAT(Check({1, 2}, {0.5, 1.3, -0.3, 0.5}, 2),
              StatusIs(StatusCode::kInternal, "a probability of 1.3"));
  EXPECT_THAT(Check({1}, {1}, 1), StatusIs(StatusCode::kInternal, "1 and 1"));
}

}  // namespace
}  // namespace attune
