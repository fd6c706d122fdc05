#include "oracle/verifier_judges.h"

#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "common/files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/testing/status_matchers.h"
#include "tests/unit/oracle/candidates.h"

namespace attune {
namespace {

using absl::StatusCode;
using testing::ElementsAre;

// Whether numeric takes `response` for right, given `gold`.
bool SameNumber(const std::string& response, const std::string& gold) {
  return MakeNumericJudge()->Decide(CandidatesOf({response}, gold)).value().scores[0] == 1;
}

TEST(NumericJudgeTest, AnswersOfGsm8kAreJudgedAsTheirAuthorsDid) {
  ASSERT_OK_AND_ASSIGN(const std::string content,
                       ReadFile(ATTUNE_SOURCE_DIR "/tests/data/gsm8k_excerpt.jsonl"));
  int lines = 0;
  for (absl::string_view line : absl::StrSplit(content, '\n', absl::SkipEmpty())) {
    const nlohmann::json row = nlohmann::json::parse(line.begin(), line.end());
    const auto item =
        CandidatesOf({row["right"].get<std::string>(), row["wrong"].get<std::string>(),
                      row["answer"].get<std::string>()},
                     row["answer"].get<std::string>(), "a question");
    ASSERT_OK_AND_ASSIGN(const Verdict verdict, MakeNumericJudge()->Decide(item));
    EXPECT_THAT(verdict.scores, ElementsAre(1, 0, 1)) << line;
    EXPECT_TRUE(verdict.preferences.empty());
    ++lines;
  }
  EXPECT_EQ(lines, 19);
}

TEST(NumericJudgeTest, OneValueMayBeWrittenInManyWays) {
  for (const char* response :
       {"18", "18.0", "18.", "018", "+18", "$18", "$18.00 a day.", "#### 18", "\\boxed{18}",
        "\\boxed{18}.", "16-3+5=18", "17, 18", "1,2,18", "(18)", "18%", "18,", "1/18", "4 ..18"}) {
    EXPECT_TRUE(SameNumber(response, "#### 18")) << response;
  }
  for (const char* response : {"", "eighteen", "-18", "1,8", "180", "18.01", "0.18", "18 or 19",
                               "18,000", "1 8", "18.000000000000000000001"}) {
    EXPECT_FALSE(SameNumber(response, "#### 18")) << response;
  }
}

TEST(NumericJudgeTest, CommasGroupByThreeAlone) {
  EXPECT_TRUE(SameNumber("It is 1,234,567.50.", "1234567.5"));
  EXPECT_TRUE(SameNumber("1,2345", "2345"));
  EXPECT_TRUE(SameNumber("1234,567", "567"));
  EXPECT_TRUE(SameNumber("1,234,56", "56"));
}

TEST(NumericJudgeTest, AMinusIsASignWhereItCannotBeSubtraction) {
  for (const char* response : {"-3", "is -3", "(-3)", "=-3", "-$3", "$-3", "-3.00"}) {
    EXPECT_TRUE(SameNumber(response, "-3")) << response;
  }
  for (const char* response : {"5-3", "x-3", "(5)-3", "--3", "5 - 3", "- 3", "5-$3"}) {
    EXPECT_TRUE(SameNumber(response, "3")) << response;
  }
  EXPECT_TRUE(SameNumber("-0.0", "0"));
}

TEST(NumericJudgeTest, AnswersMayBeginWithTheirPoint) {
  EXPECT_TRUE(SameNumber(".5", "0.50"));
  EXPECT_TRUE(SameNumber("-.5", "-0.5"));
  EXPECT_TRUE(SameNumber("apples.5", "5"));
  EXPECT_TRUE(SameNumber("1.2.3", "3"));
  EXPECT_TRUE(SameNumber("...", "0") == false);
}

TEST(NumericJudgeTest, NeedsAnAnswerWithANumber) {
  EXPECT_THAT(MakeNumericJudge()->Decide(CandidatesOf({"18"})),
              StatusIs(StatusCode::kInvalidArgument, "has no answer to compare"));
  EXPECT_THAT(MakeNumericJudge()->Decide(CandidatesOf({"18"}, "many")),
              StatusIs(StatusCode::kInvalidArgument, "has no number"));
}

TEST(ExactMatchJudgeTest, OuterWhiteSpaceDoesNotCount) {
  ASSERT_OK_AND_ASSIGN(const Verdict verdict,
                       MakeExactMatchJudge()->Decide(
                           CandidatesOf({" Paris\n", "Paris", "paris", "Pa ris", ""}, "\tParis ")));
  EXPECT_THAT(verdict.scores, ElementsAre(1, 1, 0, 0, 0));
}

TEST(ExactMatchJudgeTest, NeedsAnAnswer) {
  EXPECT_THAT(MakeExactMatchJudge()->Decide(CandidatesOf({""})),
              StatusIs(StatusCode::kInvalidArgument, "has no answer to compare"));
}

TEST(JsonJudgeTest, OneValueAndNothingElse) {
  ASSERT_OK_AND_ASSIGN(const Verdict verdict,
                       MakeJsonJudge()->Decide(CandidatesOf(
                           {"{\"a\": [1, null]}", "\n 3 \t", "\"text\"", "{\"a\": 1,}", "{} {}",
                            "```json\n{}\n```", "", "NaN", "\"\xff\"", std::string("{}\0x", 4)})));
  EXPECT_THAT(verdict.scores, ElementsAre(1, 1, 1, 0, 0, 0, 0, 0, 0, 0));
}

TEST(JsonJudgeTest, DeepNestingIsNoProblem) {
  const std::string deep = std::string(1000000, '[') + std::string(1000000, ']');
  ASSERT_OK_AND_ASSIGN(const Verdict verdict,
                       MakeJsonJudge()->Decide(CandidatesOf({deep, deep + "]"})));
  EXPECT_THAT(verdict.scores, ElementsAre(1, 0));
}

TEST(VerifierJudgesTest, NameThemselves) {
  EXPECT_EQ(MakeNumericJudge()->oracle(), "numeric/1");
  EXPECT_EQ(MakeExactMatchJudge()->oracle(), "exact_match/1");
  EXPECT_EQ(MakeJsonJudge()->oracle(), "json/1");
  EXPECT_NE(MakeJsonJudge()->digest(), MakeNumericJudge()->digest());
}

}  // namespace
}  // namespace attune
