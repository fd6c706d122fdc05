#include "oracle/table_judge.h"

#include <string>

#include "common/digest.h"
#include "common/files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "spec/answer_check.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tiny_model.h"
#include "tests/unit/oracle/candidates.h"

namespace attune {
namespace {

using absl::StatusCode;
using testing::AllOf;
using testing::DoubleEq;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr char kRockPaperScissors[] = R"({
  "classes": [{"name": "rock", "pattern": "(?i)\\brock\\b"},
              {"name": "paper", "pattern": "(?i)\\bpaper\\b"},
              {"name": "scissors", "pattern": "(?i)\\bscissors\\b"}],
  "preferences": [[0.5, 0.1, 0.9], [0.9, 0.5, 0.1], [0.1, 0.9, 0.5]]})";

std::string ProblemsOf(const std::string& content) {
  return std::string(ParseTableJudge("t.json", content).status().message());
}

std::string TwoClasses(const std::string& preferences) {
  return R"({"classes": [{"name": "a", "pattern": "a"}, {"name": "b"}], "preferences": )" +
         preferences + "}";
}

TEST(TableJudgeTest, PreferencesMayGoInACircle) {
  ASSERT_OK_AND_ASSIGN(const auto judge, ParseTableJudge("t.json", kRockPaperScissors));
  ASSERT_OK_AND_ASSIGN(const Verdict verdict,
                       judge->Decide(CandidatesOf({"Rock!", "a paper", "scissors", "rock"})));
  EXPECT_THAT(verdict.preferences,
              ElementsAre(0.5, 0.1, 0.9, 0.5,    // rock loses to paper and beats scissors
                          0.9, 0.5, 0.1, 0.9,    // paper
                          0.1, 0.9, 0.5, 0.1,    // scissors
                          0.5, 0.1, 0.9, 0.5));  // rock again
  EXPECT_THAT(verdict.scores,
              ElementsAre(DoubleEq(0.5), DoubleEq(1.9 / 3), DoubleEq(1.1 / 3), DoubleEq(0.5)));
  EXPECT_OK(CheckAnswer(verdict.scores, verdict.preferences, 4));
  EXPECT_EQ(judge->oracle(), "table/1");
  EXPECT_EQ(judge->digest(), Sha256Hex(kRockPaperScissors));
}

TEST(TableJudgeTest, TheFirstClassThatMatchesHolds) {
  ASSERT_OK_AND_ASSIGN(const auto judge, ParseTableJudge("t.json", kRockPaperScissors));
  ASSERT_OK_AND_ASSIGN(const Verdict verdict,
                       judge->Decide(CandidatesOf({"paper, no, rock", "scissors"})));
  EXPECT_THAT(verdict.preferences, ElementsAre(0.5, 0.9, 0.1, 0.5));
}

TEST(TableJudgeTest, AResponseOfNoClassFailsUnlessAClassTakesTheRest) {
  ASSERT_OK_AND_ASSIGN(const auto judge, ParseTableJudge("t.json", kRockPaperScissors));
  EXPECT_THAT(judge->Decide(CandidatesOf({"rock", "rocket"})),
              StatusIs(StatusCode::kInvalidArgument, "response 1: is of no class"));
  ASSERT_OK_AND_ASSIGN(const auto rest,
                       ParseTableJudge("t.json", TwoClasses("[[0.5, 1], [0, 0.5]]")));
  ASSERT_OK_AND_ASSIGN(const Verdict verdict, rest->Decide(CandidatesOf({"b", "a", ""})));
  EXPECT_THAT(verdict.preferences, ElementsAre(0.5, 0, 0.5, 1, 0.5, 1, 0.5, 0, 0.5));
}

TEST(TableJudgeTest, NamesAllThatIsWrongWithTheFile) {
  EXPECT_THAT(ProblemsOf(R"({"classes": [{"name": "a"}, {"name": "a", "pattern": "("},
                             {"pattern": 3, "weight": 1}, 4],
                             "preference": []})"),
              AllOf(HasSubstr("t.json: "), HasSubstr("\"preference\" is no key of a table"),
                    HasSubstr("classes[0] has no pattern and takes every response"),
                    HasSubstr("classes[1] has the name of another class"),
                    HasSubstr("classes[1]: the pattern \"(\" does not compile"),
                    HasSubstr("classes[2] needs a \"name\""),
                    HasSubstr("classes[2].pattern must be a text"),
                    HasSubstr("classes[2] has \"weight\""), HasSubstr("classes[3] must be {"),
                    HasSubstr("\"preferences\" must be a list of 4 rows")));
  EXPECT_THAT(ProblemsOf("{\"classes\": []}"), HasSubstr("a list of 1 to 256 classes"));
  EXPECT_THAT(ProblemsOf("[]"), HasSubstr("must be a JSON object"));
  EXPECT_THAT(ProblemsOf("{\"classes\": "), HasSubstr("t.json: "));
}

TEST(TableJudgeTest, ProbabilitiesOfAPairAddUpToOne) {
  EXPECT_OK(ParseTableJudge("t.json", TwoClasses("[[0.5, 0.3], [0.7, 0.5]]")).status());
  EXPECT_THAT(ProblemsOf(TwoClasses("[[0.5, 0.3], [0.8, 0.5]]")),
              HasSubstr("preferences[1][0] and [0][1] are 0.8 and 0.3; they must add up to 1"));
  EXPECT_THAT(ProblemsOf(TwoClasses("[[0.4, 0.3], [0.7, 0.5]]")),
              AllOf(HasSubstr("preferences[0][0] is 0.4; must be 0.5"), Not(HasSubstr("[1]"))));
  EXPECT_THAT(ProblemsOf(TwoClasses("[[0.5, 1.5], [-0.5, \"x\"]]")),
              AllOf(HasSubstr("preferences[0][1] must be a number from 0 to 1"),
                    HasSubstr("preferences[1][0] must"), HasSubstr("preferences[1][1] must")));
  EXPECT_THAT(ProblemsOf(TwoClasses("[[0.5, 0.5], [0.5]]")),
              HasSubstr("preferences[1] must be a list of 2 numbers"));
}

TEST(TableJudgeTest, ReadsAFile) {
  const ScratchDirectory directory;
  const std::string path = directory.File("t.json");
  EXPECT_THAT(MakeTableJudge(path), StatusIs(StatusCode::kInvalidArgument, "no such file"));
  EXPECT_THAT(MakeTableJudge(directory.path()), StatusIs(StatusCode::kInvalidArgument, "no such"));
  ASSERT_OK(WriteFile(path, kRockPaperScissors));
  EXPECT_OK(MakeTableJudge(path).status());
  ASSERT_OK(WriteFile(path, std::string(kTableBytesMax + 1, ' ')));
  EXPECT_THAT(MakeTableJudge(path), StatusIs(StatusCode::kInvalidArgument, "the limit is"));
}

}  // namespace
}  // namespace attune
