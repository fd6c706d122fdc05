#include "oracle/tool_calibrate.h"

#include <sstream>
#include <string>

#include "common/files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tiny_model.h"
#include "tests/unit/oracle/fake_judge.h"

namespace attune {
namespace {

using testing::HasSubstr;

// Forty pairs: in the first thirty the better one has one word, the other two; then it is the other
// way round. Texts tell what they are: "good...", "bad...".
LabelledRows Rows() {
  const ScratchDirectory directory;
  std::string lines;
  for (int i = 0; i < 40; ++i) {
    const std::string number = std::to_string(i);
    lines += ToolJson{{"prompt", "p" + number},
                      {"chosen", "good" + number + (i < 30 ? "" : " long")},
                      {"rejected", "bad" + number + (i < 30 ? " long" : "")}}
                 .dump() +
             "\n";
  }
  EXPECT_OK(WriteFile(directory.File("pairs.jsonl"), lines));
  return LoadLabelledRows(directory.File("pairs.jsonl"), LengthCounter::Load("").value()).value();
}

double Good(const std::string& text) { return text[0] == 'g' ? 1 : 0; }
double Words(const std::string& text) { return text.find(' ') == std::string::npos ? 1 : 2; }

ToolJson Calibrated(const NamedJudge& judge) {
  const absl::StatusOr<ToolJson> report = Calibrate({&judge, 1}, Rows(), 0.5);
  EXPECT_OK(report);
  return (*report)["oracles"][0];
}

TEST(ToolCalibrateTest, AGoodOracleHasNoBias) {
  const ToolJson oracle =
      Calibrated(ScoringOracle("o", [](const std::string& text, int) { return Good(text); }));
  EXPECT_EQ(1, oracle["accuracy"]["rate"]);
  EXPECT_EQ(1, oracle["position"]["same_answer"]["rate"]);
  EXPECT_EQ(0.5, oracle["position"]["prefers_first"]["rate"]);
  EXPECT_TRUE(oracle["position"]["own_swaps_agreed"].is_null());
  EXPECT_EQ(0.25, oracle["length"]["longer_preferred"]["rate"]);
  EXPECT_EQ(0.25, oracle["length"]["longer_labelled"]["rate"]);
  EXPECT_EQ(0, oracle["noise"]["flip_rate"]["rate"]);
  EXPECT_EQ(0, oracle["noise"]["label_smoothing"]);
  EXPECT_EQ(80, oracle["calls"]["calls"]);
  EXPECT_EQ(40, oracle["calls"]["cost"]);
}

TEST(ToolCalibrateTest, PositionBiasIsSeen) {
  const ToolJson oracle =
      Calibrated(ScoringOracle("o", [](const std::string&, int place) { return -place; }));
  EXPECT_EQ(0.5, oracle["accuracy"]["rate"]);
  EXPECT_EQ(0, oracle["position"]["same_answer"]["rate"]);
  EXPECT_EQ(1, oracle["position"]["prefers_first"]["rate"]);
  EXPECT_TRUE(oracle["noise"]["flip_rate"].is_null());
  EXPECT_TRUE(oracle["noise"]["label_smoothing"].is_null());
}

TEST(ToolCalibrateTest, LengthBiasIsSeen) {
  const ToolJson oracle =
      Calibrated(ScoringOracle("o", [](const std::string& text, int) { return Words(text); }));
  EXPECT_EQ(0.25, oracle["accuracy"]["rate"]);
  EXPECT_NEAR(1, oracle["length"]["score_correlation"].get<double>(), 1e-12);
  EXPECT_EQ(1, oracle["length"]["longer_preferred"]["rate"]);
  EXPECT_EQ(0, oracle["length"]["accuracy_winner_shorter"]["rate"]);
  EXPECT_EQ(30, oracle["length"]["accuracy_winner_shorter"]["of"]);
  EXPECT_EQ(1, oracle["length"]["accuracy_winner_longer"]["rate"]);
  // Worse than chance: no smoothing helps.
  EXPECT_EQ(0.75, oracle["noise"]["flip_rate"]["rate"]);
  EXPECT_TRUE(oracle["noise"]["label_smoothing"].is_null());
}

TEST(ToolCalibrateTest, TheFlipRateIsThatOfTheErrors) {
  // Wrong about the ten prompts p0-p9.
  const ToolJson oracle = Calibrated(ScoringOracle("o", [](const std::string& text, int) {
    const bool flipped = text.find_first_of("0123456789") == text.find_last_of("0123456789");
    return flipped ? -Good(text) : Good(text);
  }));
  EXPECT_EQ(0.25, oracle["noise"]["flip_rate"]["rate"]);
  EXPECT_EQ(0.25, oracle["noise"]["label_smoothing"]);
  EXPECT_LT(oracle["noise"]["flip_rate"]["low"], 0.25);
}

TEST(ToolCalibrateTest, FailuresAndTheOraclesOwnSwapsAreCounted) {
  const ToolJson oracle =
      Calibrated(FakeOracle("o", [](const v1::Candidates& item) -> absl::StatusOr<Verdict> {
        if (item.prompt_index() < 4) return absl::UnavailableError("away");
        return Verdict{.scores = {0, 0}, .preferences = {}, .swaps = 2, .swaps_agreed = 1};
      }));
  EXPECT_EQ(4, oracle["failed"]);
  EXPECT_EQ(36, oracle["ties"]);
  EXPECT_EQ(0, oracle["accuracy"]["rate"]);
  EXPECT_EQ(36, oracle["accuracy"]["of"]);
  EXPECT_EQ(8, oracle["calls"]["failed"]);
  EXPECT_EQ(0.5, oracle["position"]["own_swaps_agreed"]["rate"]);
  EXPECT_EQ(144, oracle["position"]["own_swaps_agreed"]["of"]);
}

TEST(ToolCalibrateTest, AnOracleThatIsAwayIsAnError) {
  const NamedJudge judge = FakeOracle("gone", [](const v1::Candidates&) {
    return absl::StatusOr<Verdict>(absl::UnavailableError("connection refused"));
  });
  const absl::StatusOr<ToolJson> report = Calibrate({&judge, 1}, Rows(), std::nullopt);
  EXPECT_THAT(report, StatusIs(absl::StatusCode::kUnavailable, "gone"));
  EXPECT_THAT(report, StatusIs(absl::StatusCode::kUnavailable, "connection refused"));
}

TEST(ToolCalibrateTest, FilesAreComparedAsText) {
  const ScratchDirectory directory;
  ASSERT_OK(WriteFile(directory.File("short.yaml"), "kind: length\n"));
  ASSERT_OK(WriteFile(directory.File("good.yaml"), "kind: regex\npattern: good\n"));
  ASSERT_OK(WriteFile(directory.File("p.jsonl"),
                      R"({"prompt": "p", "chosen": "good one", "rejected": "bad"})"));
  const PairsCommand command = {
      .oracles = {directory.File("short.yaml"), directory.File("good.yaml")},
      .pairs = directory.File("p.jsonl")};
  std::ostringstream out;
  ASSERT_OK(RunCalibrate(command, std::nullopt, out));
  EXPECT_THAT(out.str(), HasSubstr("short (length/1): 1 pairs, 0 failed, 0 ties"));
  EXPECT_THAT(out.str(), HasSubstr("good (regex/1)"));
  EXPECT_THAT(out.str(), HasSubstr("KAPPA"));
}

}  // namespace
}  // namespace attune
