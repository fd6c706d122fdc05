#include "oracle/composite_judges.h"

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "spec/answer_check.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/oracle/candidates.h"

namespace attune {
namespace {

using testing::DoubleEq;
using testing::DoubleNear;
using testing::ElementsAre;

// Answers what it was given.
class FixedJudge : public Judge {
 public:
  FixedJudge(absl::StatusOr<Verdict> verdict, const std::string& digest)
      : Judge("fixed/1", digest), verdict_(std::move(verdict)) {}

  absl::StatusOr<Verdict> Decide(const v1::Candidates&) const override { return verdict_; }

 private:
  const absl::StatusOr<Verdict> verdict_;
};

JudgePart Part(std::vector<double> scores, double weight = 1, const std::string& digest = "d") {
  Verdict verdict;
  verdict.scores = std::move(scores);
  return {std::make_shared<const FixedJudge>(verdict, digest), weight};
}

JudgePart PartOf(absl::StatusOr<Verdict> verdict) {
  return {std::make_shared<const FixedJudge>(std::move(verdict), "d"), 1};
}

TEST(CompositeJudgesTest, SumWeighsTheScores) {
  const auto judge = MakeSumJudge({Part({1, 2}), Part({10, -10}, 0.5), Part({1, 1}, -2)});
  ASSERT_OK_AND_ASSIGN(const Verdict verdict, judge->Decide(CandidatesOf({"a", "b"})));
  EXPECT_THAT(verdict.scores, ElementsAre(4, -5));
  EXPECT_TRUE(verdict.preferences.empty());
  EXPECT_EQ(judge->oracle(), "sum/1");
}

TEST(CompositeJudgesTest, ProductLeavesTheWeightsOut) {
  const auto judge = MakeProductJudge({Part({1, 0.5, 0}, 7), Part({3, 4, 5})});
  ASSERT_OK_AND_ASSIGN(const Verdict verdict, judge->Decide(CandidatesOf({"a", "b", "c"})));
  EXPECT_THAT(verdict.scores, ElementsAre(3, 2, 0));
  EXPECT_EQ(judge->oracle(), "product/1");
}

TEST(CompositeJudgesTest, PairwisePartsCountWithTheirScores) {
  const JudgePart pairwise = PartOf(VerdictOfPreferences({0.5, 0.9, 0.1, 0.5}, 2));
  ASSERT_OK_AND_ASSIGN(const Verdict verdict,
                       MakeSumJudge({pairwise, Part({1, 1})})->Decide(CandidatesOf({"a", "b"})));
  EXPECT_THAT(verdict.scores, ElementsAre(DoubleEq(1.9), DoubleEq(1.1)));
  EXPECT_TRUE(verdict.preferences.empty());
}

TEST(CompositeJudgesTest, BradleyTerryIsTheSigmoidOfTheGap) {
  const auto judge = MakeBradleyTerryJudge(Part({1, 3, 3}, 5), 2);
  ASSERT_OK_AND_ASSIGN(const Verdict verdict, judge->Decide(CandidatesOf({"a", "b", "c"})));
  const double p = 1 / (1 + std::exp(1));
  EXPECT_THAT(verdict.preferences,
              ElementsAre(0.5, DoubleNear(p, 1e-15), DoubleNear(p, 1e-15), DoubleNear(1 - p, 1e-15),
                          0.5, 0.5, DoubleNear(1 - p, 1e-15), 0.5, 0.5));
  EXPECT_THAT(verdict.scores, ElementsAre(DoubleNear(p, 1e-15), DoubleNear((1.5 - p) / 2, 1e-15),
                                          DoubleNear((1.5 - p) / 2, 1e-15)));
  EXPECT_OK(CheckAnswer(verdict.scores, verdict.preferences, 3));
  EXPECT_EQ(judge->oracle(), "bradley_terry/1");
}

TEST(CompositeJudgesTest, BradleyTerryTakesTheLargestGaps) {
  const double max = std::numeric_limits<double>::max();
  const auto judge = MakeBradleyTerryJudge(Part({-max, max}), 1e-300);
  ASSERT_OK_AND_ASSIGN(const Verdict verdict, judge->Decide(CandidatesOf({"a", "b"})));
  EXPECT_THAT(verdict.preferences, ElementsAre(0.5, 0, 1, 0.5));
}

TEST(CompositeJudgesTest, APartThatFailsFailsTheVerdict) {
  const auto item = CandidatesOf({"a", "b"});
  const JudgePart bad = PartOf(absl::UnavailableError("is away"));
  for (const auto& judge :
       {MakeSumJudge({Part({1, 2}), bad}), MakeProductJudge({Part({0, 0}), bad})}) {
    EXPECT_THAT(judge->Decide(item),
                StatusIs(absl::StatusCode::kUnavailable, "part 1 (fixed/1): is away"));
  }
  EXPECT_THAT(MakeBradleyTerryJudge(bad, 1)->Decide(item),
              StatusIs(absl::StatusCode::kUnavailable, "part 0"));
}

TEST(CompositeJudgesTest, AnUnusableVerdictOfAPartIsAFailure) {
  const auto item = CandidatesOf({"a", "b"});
  EXPECT_THAT(MakeSumJudge({Part({1})})->Decide(item),
              StatusIs(absl::StatusCode::kInternal, "1 scores for 2 responses"));
  EXPECT_THAT(MakeBradleyTerryJudge(Part({1, std::nan("")}), 1)->Decide(item),
              StatusIs(absl::StatusCode::kInternal, "not finite"));
}

TEST(CompositeJudgesTest, QuestionsInBothOrdersAreCounted) {
  Verdict asked = VerdictOfPreferences({0.5, 1, 0, 0.5}, 2);
  asked.swaps = 3;
  asked.swaps_agreed = 2;
  ASSERT_OK_AND_ASSIGN(
      const Verdict sum,
      MakeSumJudge({PartOf(asked), PartOf(asked)})->Decide(CandidatesOf({"a", "b"})));
  EXPECT_EQ(sum.swaps, 6u);
  EXPECT_EQ(sum.swaps_agreed, 4u);
}

TEST(CompositeJudgesTest, DigestIsOfAllThatDecides) {
  const std::string digest = MakeSumJudge({Part({1})})->digest();
  EXPECT_EQ(MakeSumJudge({Part({2})})->digest(), digest);  // the same part, by its digest
  EXPECT_NE(MakeSumJudge({Part({1}, 2)})->digest(), digest);
  EXPECT_NE(MakeSumJudge({Part({1}, 1, "e")})->digest(), digest);
  EXPECT_NE(MakeSumJudge({Part({1}), Part({1})})->digest(), digest);
  EXPECT_NE(MakeProductJudge({Part({1})})->digest(), digest);
  EXPECT_NE(MakeBradleyTerryJudge(Part({1}), 1)->digest(),
            MakeBradleyTerryJudge(Part({1}), 2)->digest());
  EXPECT_EQ(MakeSumJudge({Part({1}), Part({1}, 1, "")})->digest(), "");
}

}  // namespace
}  // namespace attune
