#include "coordinator/calibration.h"

#include <initializer_list>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

using testing::ElementsAre;

// Rows of three responses labelled 2, 1, 1: two pairs each.
Dataset Labelled(uint32_t rows) {
  Dataset dataset;
  for (uint32_t row = 0; row < rows; ++row) {
    v1::Prompt& prompt = dataset.prompts.emplace_back();
    prompt.set_index(row);
    prompt.set_text("which?");
    for (const double score : {2.0, 1.0, 1.0}) {
      v1::GivenResponse& response = *prompt.add_given();
      response.set_text("two words");
      response.set_score(score);
    }
  }
  return dataset;
}

v1::Judgment Scored(std::initializer_list<double> scores) {
  v1::Judgment judgment;
  for (double score : scores) judgment.add_scores(score);
  return judgment;
}

TEST(CalibrationTest, EveryRowHasAPairAndThereAreNotTooMany) {
  EXPECT_OK(CheckCalibration(Labelled(kCalibrationRowsMax)));
  EXPECT_THAT(CheckCalibration(Labelled(kCalibrationRowsMax + 1)),
              StatusIs(absl::StatusCode::kInvalidArgument, "has 1001 rows; at most 1000"));
  Dataset tied = Labelled(2);
  tied.prompts[1].mutable_given(0)->set_score(1);
  EXPECT_THAT(CheckCalibration(tied),
              StatusIs(absl::StatusCode::kInvalidArgument, "row 2 has no two responses"));
}

TEST(CalibrationTest, AsksAboutEveryLabelledResponse) {
  v1::OracleSpec spec;
  spec.set_kind(v1::ORACLE_KIND_LENGTH);
  const v1::JudgeRequest request = CalibrationRequest(spec, Labelled(2));
  ASSERT_EQ(request.items_size(), 2);
  EXPECT_EQ(request.items(1).prompt_index(), 1u);
  EXPECT_EQ(request.items(1).responses_size(), 3);
  EXPECT_THAT(request.items(1).response_tokens(), ElementsAre(2, 2, 2));
}

TEST(CalibrationTest, CountsPairsWithDifferentLabels) {
  const auto result =
      Calibrate(Labelled(2), {Scored({5, 3, 9}), Scored({1, 1, 0})}, nullptr);
  EXPECT_EQ(result.pairs(), 4u);
  EXPECT_THAT(result.answers(), ElementsAre(1, -1, 0, 1));
  EXPECT_EQ(result.accuracy(), 2.5 / 4);
  EXPECT_LT(result.accuracy_low(), result.accuracy());
  EXPECT_EQ(result.agreement(), 1);
}

TEST(CalibrationTest, ProbabilitiesComeBeforeScores) {
  v1::Judgment judgment = Scored({0, 1, 1});
  for (double p : {0.5, 0.9, 0.2, 0.1, 0.5, 0.5, 0.8, 0.5, 0.5}) judgment.add_preferences(p);
  EXPECT_THAT(Calibrate(Labelled(1), {judgment}, nullptr).answers(), ElementsAre(1, -1));
}

TEST(CalibrationTest, AgreementIsWithTheStartAndWithoutFailures) {
  v1::Judgment failed;
  failed.set_failure("away");
  const v1::Calibration start = Calibrate(
      Labelled(3), {Scored({5, 3, 9}), Scored({2, 1, 0}), failed}, nullptr);
  EXPECT_EQ(start.pairs(), 4u);
  EXPECT_THAT(start.answers(), ElementsAre(1, -1, 1, 1, -2, -2));
  const v1::Calibration later = Calibrate(
      Labelled(3), {Scored({5, 3, 2}), failed, Scored({2, 1, 1})}, &start);
  EXPECT_EQ(later.agreement(), 0.5);
}

}  // namespace
}  // namespace attune
