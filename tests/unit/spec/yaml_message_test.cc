#include "spec/yaml_message.h"

#include <string>

#include "absl/strings/str_join.h"
#include "attune/v1/oracle_spec.pb.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

std::string ToText(const Violations& violations) {
  return absl::StrJoin(violations, "\n", [](std::string* out, const FieldViolation& violation) {
    absl::StrAppend(out, violation.field, ": ", violation.description);
  });
}

// Job files (tests/unit/client/job_file_test.cc) show the other kinds of values and problems.
TEST(YamlMessageTest, ReadsListsOfTextsAndOfBlocks) {
  v1::OracleSpec spec;
  Violations violations;
  ASSERT_OK(ParseYamlMessage(R"(
kind: sum
parts:
- {oracle: {kind: json}, weight: -2}
- oracle: {kind: llm_judge, llm_judge: {mode: rating, ratings: [no, "yes", 3]}}
)",
                             &spec, &violations));
  EXPECT_EQ("", ToText(violations));
  ASSERT_EQ(2, spec.parts_size());
  EXPECT_EQ(-2, spec.parts(0).weight());
  const v1::LlmJudgeSpec& judge = spec.parts(1).oracle().llm_judge();
  EXPECT_EQ(v1::LLM_JUDGE_MODE_RATING, judge.mode());
  EXPECT_EQ("no yes 3", absl::StrJoin(judge.ratings(), " "));
}

TEST(YamlMessageTest, TellsAllProblemsAndKeepsTheRest) {
  v1::OracleSpec spec;
  Violations violations;
  ASSERT_OK(ParseYamlMessage("kind: lexicn\npath: l.tsv\nparts: [{oracle: 3}]\npatern: x\n", &spec,
                             &violations));
  EXPECT_EQ("l.tsv", spec.path());
  ASSERT_EQ(3u, violations.size());
  EXPECT_EQ("kind", violations[0].field);
  EXPECT_NE(std::string::npos, violations[0].description.find("did you mean \"lexicon\"?"));
  EXPECT_EQ("parts[0].oracle", violations[1].field);
  EXPECT_EQ("patern", violations[2].field);
}

TEST(YamlMessageTest, MergesProblemsWithoutThoseThatOnlyFollow) {
  const Violations file = {{"model", "must be a map"}, {"rounds", "is x"}};
  const Violations found = {
      {"model.path", "is required"}, {"rounds", "is 0"}, {"models", "y"}, {"seed", "z"}};
  EXPECT_EQ("model: must be a map\nrounds: is x\nmodels: y\nseed: z",
            ToText(MergeViolations(file, found)));
}

TEST(YamlMessageTest, OfAListOnlyWhatFollowsIsLeftOut) {
  const Violations file = {{"parts[0].oracle.kind", "is lexicn"}, {"weights[1]", "is x"}};
  const Violations found = {{"parts[0].oracle.kind", "is required"},
                            {"parts[1].oracle.kind", "is required"},
                            {"weights", "has 1 number"},
                            {"weights[0]", "is 7"}};
  EXPECT_EQ("parts[0].oracle.kind: is lexicn\nweights[1]: is x\nparts[1].oracle.kind: is required",
            ToText(MergeViolations(file, found)));
}

}  // namespace
}  // namespace attune
