#include "oracle/judge.h"

#include <memory>
#include <string>

#include "common/digest.h"
#include "common/files.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

using absl::StatusCode;

class JudgeTest : public testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<const Judge>> Make(v1::OracleKind kind,
                                                    const std::string& path = "",
                                                    const std::string& pattern = "") {
    v1::OracleSpec spec;
    spec.set_kind(kind);
    spec.set_path(path);
    spec.set_pattern(pattern);
    return MakeJudge(spec, lexicons_);
  }

  LexiconCache lexicons_;
};

TEST_F(JudgeTest, LengthIsMinusTheDistanceToTheTarget) {
  v1::OracleSpec spec;
  spec.set_kind(v1::ORACLE_KIND_LENGTH);
  spec.set_target_length(10);
  ASSERT_OK_AND_ASSIGN(const auto judge, MakeJudge(spec, lexicons_));
  EXPECT_EQ(*judge->Score("any text", 4), -6.0);
  EXPECT_EQ(*judge->Score("any text", 13), -3.0);
  EXPECT_EQ(*judge->Score("any text", 10), 0.0);
  EXPECT_EQ(judge->oracle(), "length/1");
  EXPECT_EQ(judge->digest(), Sha256Hex("10"));
}

TEST_F(JudgeTest, LengthWithoutATargetPrefersTheShorter) {
  ASSERT_OK_AND_ASSIGN(const auto judge, Make(v1::ORACLE_KIND_LENGTH));
  EXPECT_EQ(*judge->Score("", 7), -7.0);
}

TEST_F(JudgeTest, RegexIsTheNumberOfMatches) {
  ASSERT_OK_AND_ASSIGN(const auto judge, Make(v1::ORACLE_KIND_REGEX, "", "[aeiou]"));
  EXPECT_EQ(*judge->Score("a story", 3), 2.0);
  EXPECT_EQ(judge->oracle(), "regex/1");
  EXPECT_EQ(judge->digest(), Sha256Hex("[aeiou]"));
}

TEST_F(JudgeTest, LexiconIsTheSumOfValences) {
  ASSERT_OK_AND_ASSIGN(const std::string directory, MakeTemporaryDirectory("attune-judge"));
  const std::string path = JoinPath(directory, "l.tsv");
  ASSERT_OK(WriteFile(path, "happy\t2.5\n"));
  ASSERT_OK_AND_ASSIGN(const auto judge, Make(v1::ORACLE_KIND_LEXICON, path));
  EXPECT_EQ(*judge->Score("Happy, happy end.", 5), 5.0);
  EXPECT_EQ(judge->oracle(), "lexicon/1");
  EXPECT_EQ(judge->digest(), Sha256Hex("happy\t2.5\n"));
  EXPECT_OK(RemoveAll(directory));
}

TEST_F(JudgeTest, RefusesFieldsThatAreMissingOrDoNotBelong) {
  EXPECT_THAT(Make(v1::ORACLE_KIND_LEXICON),
              StatusIs(StatusCode::kInvalidArgument, "oracle.path is required"));
  EXPECT_THAT(Make(v1::ORACLE_KIND_REGEX),
              StatusIs(StatusCode::kInvalidArgument, "oracle.pattern is required"));
  EXPECT_THAT(Make(v1::ORACLE_KIND_LENGTH, "l.tsv"),
              StatusIs(StatusCode::kInvalidArgument, "oracle.path = \"l.tsv\" does not belong"));
  EXPECT_THAT(Make(v1::ORACLE_KIND_LENGTH, "", "a"),
              StatusIs(StatusCode::kInvalidArgument, "oracle.pattern = \"a\" does not belong"));
  EXPECT_THAT(Make(v1::ORACLE_KIND_REGEX, "", "("),
              StatusIs(StatusCode::kInvalidArgument, "oracle.pattern: the pattern \"(\""));
}

TEST_F(JudgeTest, RefusesAnUnknownKindAndATargetBeyondTheLimit) {
  EXPECT_THAT(Make(v1::ORACLE_KIND_UNSPECIFIED),
              StatusIs(StatusCode::kInvalidArgument, "oracle.kind 0"));
  EXPECT_THAT(Make(static_cast<v1::OracleKind>(77)),
              StatusIs(StatusCode::kInvalidArgument, "oracle.kind 77"));
  v1::OracleSpec spec;
  spec.set_kind(v1::ORACLE_KIND_LENGTH);
  spec.set_target_length(32769);
  EXPECT_THAT(MakeJudge(spec, lexicons_),
              StatusIs(StatusCode::kInvalidArgument, "32769, the limit is 32768"));
}

}  // namespace
}  // namespace attune
