#include "oracle/text_judges.h"

#include <string>

#include "common/digest.h"
#include "common/files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/oracle/candidates.h"

namespace attune {
namespace {

using absl::StatusCode;
using testing::ElementsAre;

v1::OracleSpec Length(uint32_t target) {
  v1::OracleSpec spec;
  spec.set_kind(v1::ORACLE_KIND_LENGTH);
  spec.set_target_length(target);
  return spec;
}

v1::OracleSpec Pattern(const std::string& pattern) {
  v1::OracleSpec spec;
  spec.set_kind(v1::ORACLE_KIND_REGEX);
  spec.set_pattern(pattern);
  return spec;
}

TEST(TextJudgesTest, LengthIsMinusTheDistanceToTheTarget) {
  const auto judge = MakeLengthJudge(Length(3));
  ASSERT_OK_AND_ASSIGN(const Verdict verdict, judge->Decide(CandidatesOf({"a", "abcdefg", "abc"})));
  EXPECT_THAT(verdict.scores, ElementsAre(-2.0, -4.0, 0.0));
  EXPECT_TRUE(verdict.preferences.empty());
  EXPECT_EQ(judge->oracle(), "length/1");
  EXPECT_EQ(judge->digest(), Sha256Hex("3"));
}

TEST(TextJudgesTest, LengthWithoutATargetPrefersTheShorter) {
  ASSERT_OK_AND_ASSIGN(const Verdict verdict,
                       MakeLengthJudge(Length(0))->Decide(CandidatesOf({"four", "a"})));
  EXPECT_THAT(verdict.scores, ElementsAre(-4.0, -1.0));
}

TEST(TextJudgesTest, RegexIsTheNumberOfMatches) {
  ASSERT_OK_AND_ASSIGN(const auto judge, MakeRegexJudge(Pattern("[aeiou]")));
  ASSERT_OK_AND_ASSIGN(const Verdict verdict, judge->Decide(CandidatesOf({"a story", "hm"})));
  EXPECT_THAT(verdict.scores, ElementsAre(2.0, 0.0));
  EXPECT_EQ(judge->oracle(), "regex/1");
  EXPECT_EQ(judge->digest(), Sha256Hex("[aeiou]"));
}

TEST(TextJudgesTest, RefusesAPatternThatDoesNotCompile) {
  EXPECT_THAT(MakeRegexJudge(Pattern("(")),
              StatusIs(StatusCode::kInvalidArgument, "oracle.pattern: the pattern \"(\""));
}

TEST(TextJudgesTest, LexiconIsTheSumOfValences) {
  ASSERT_OK_AND_ASSIGN(const std::string directory, MakeTemporaryDirectory("attune-judge"));
  v1::OracleSpec spec;
  spec.set_kind(v1::ORACLE_KIND_LEXICON);
  spec.set_path(JoinPath(directory, "l.tsv"));
  ASSERT_OK(WriteFile(spec.path(), "happy\t2.5\n"));
  LexiconCache lexicons;
  ASSERT_OK_AND_ASSIGN(const auto judge, MakeLexiconJudge(spec, lexicons));
  ASSERT_OK_AND_ASSIGN(const Verdict verdict, judge->Decide(CandidatesOf({"Happy, happy end."})));
  EXPECT_THAT(verdict.scores, ElementsAre(5.0));
  EXPECT_EQ(judge->oracle(), "lexicon/1");
  EXPECT_EQ(judge->digest(), Sha256Hex("happy\t2.5\n"));
  EXPECT_OK(RemoveAll(directory));
}

}  // namespace
}  // namespace attune
