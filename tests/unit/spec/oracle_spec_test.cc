#include "spec/oracle_spec.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"

namespace attune {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

v1::OracleSpec Parse(const char* text) {
  v1::OracleSpec spec;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &spec));
  FillOracleDefaults(&spec);
  return spec;
}

// "field description" of every problem.
std::vector<std::string> Problems(const v1::OracleSpec& spec) {
  Violations violations;
  CheckOracle("oracle.", spec, &violations);
  std::vector<std::string> problems;
  for (const auto& [field, description] : violations) problems.push_back(field + " " + description);
  return problems;
}
std::vector<std::string> Problems(const char* text) { return Problems(Parse(text)); }

TEST(OracleSpecTest, EveryKindIsAcceptedWithItsFields) {
  for (const char* text :
       {"kind: ORACLE_KIND_LEXICON path: 'l'", "kind: ORACLE_KIND_LENGTH",
        "kind: ORACLE_KIND_REGEX pattern: 'a'", "kind: ORACLE_KIND_NUMERIC",
        "kind: ORACLE_KIND_EXACT_MATCH", "kind: ORACLE_KIND_JSON", "kind: ORACLE_KIND_DATASET",
        "kind: ORACLE_KIND_SUM parts { oracle { kind: ORACLE_KIND_JSON } weight: -2 }",
        "kind: ORACLE_KIND_PRODUCT parts { oracle { kind: ORACLE_KIND_JSON } }",
        "kind: ORACLE_KIND_BRADLEY_TERRY parts { oracle { kind: ORACLE_KIND_JSON } }",
        "kind: ORACLE_KIND_REWARD_MODEL path: 'm'", "kind: ORACLE_KIND_TABLE path: 't'",
        "kind: ORACLE_KIND_LLM_JUDGE path: 'm'",
        "kind: ORACLE_KIND_LLM_JUDGE endpoint: 'http://h/v1' llm_judge { model: 'm' "
        "mode: LLM_JUDGE_MODE_RATING }",
        "kind: ORACLE_KIND_IMPLICIT_REWARD path: 'm' reference_path: 'r'",
        "kind: ORACLE_KIND_R3 path: 'm'", "kind: ORACLE_KIND_REMOTE endpoint: 'h:1'",
        "kind: ORACLE_KIND_HTTP endpoint: 'http://h:1/get_reward'"}) {
    EXPECT_THAT(Problems(text), IsEmpty()) << text;
  }
}

TEST(OracleSpecTest, FieldsOfOtherKindsAreRefused) {
  EXPECT_THAT(Problems("kind: ORACLE_KIND_LENGTH path: 'l' pattern: 'a' endpoint: 'h:1'"),
              ElementsAre(HasSubstr("oracle.path is given, but only kind lexicon, table"),
                          HasSubstr("oracle.pattern is given, but only kind regex has it"),
                          HasSubstr("oracle.endpoint is given, but only kind remote")));
}

TEST(OracleSpecTest, RequiredFieldsAreNamedWithTheirMeaning) {
  EXPECT_THAT(Problems(""), ElementsAre(HasSubstr("oracle.kind is required")));
  EXPECT_THAT(Problems("kind: ORACLE_KIND_LEXICON"),
              ElementsAre(HasSubstr("oracle.path is required for kind lexicon: a file of words")));
  EXPECT_THAT(Problems("kind: ORACLE_KIND_IMPLICIT_REWARD"),
              ElementsAre(HasSubstr("oracle.path"), HasSubstr("oracle.reference_path")));
  EXPECT_THAT(Problems("kind: ORACLE_KIND_SUM"), ElementsAre(HasSubstr("must have 1 to 16")));
}

TEST(OracleSpecTest, EndpointsAreOfTheirProtocol) {
  EXPECT_THAT(Problems("kind: ORACLE_KIND_HTTP endpoint: 'h:1'"),
              ElementsAre(HasSubstr("must begin with http://")));
  EXPECT_THAT(Problems("kind: ORACLE_KIND_REMOTE endpoint: 'http://h:1'"),
              ElementsAre(HasSubstr("must be host:port")));
  EXPECT_THAT(Problems("kind: ORACLE_KIND_LLM_JUDGE path: 'm' endpoint: 'http://h/v1' "
                       "llm_judge { model: 'm' }"),
              ElementsAre(HasSubstr("the judge is at one of them")));
}

TEST(OracleSpecTest, LimitsOfPartsAreToldWithTheirPath) {
  EXPECT_THAT(Problems("kind: ORACLE_KIND_SUM parts { oracle { kind: ORACLE_KIND_REGEX } } "
                       "parts { oracle { kind: ORACLE_KIND_JSON flip_rate: 0.5 } weight: 2e6 }"),
              ElementsAre(HasSubstr("oracle.parts[0].oracle.pattern is required"),
                          HasSubstr("oracle.parts[1].weight"),
                          HasSubstr("oracle.parts[1].oracle.flip_rate")));
}

TEST(OracleSpecTest, PartsAreNotNestedForEver) {
  v1::OracleSpec spec = Parse("kind: ORACLE_KIND_JSON");
  for (int depth = 0; depth < 5; ++depth) {
    v1::OracleSpec outer = Parse("kind: ORACLE_KIND_PRODUCT");
    *outer.add_parts()->mutable_oracle() = spec;
    spec = outer;
  }
  EXPECT_THAT(Problems(spec), ElementsAre(HasSubstr("is nested more than 3 deep")));
}

TEST(OracleSpecTest, AJudgesTemplateHoldsWhatIsJudged) {
  EXPECT_THAT(Problems("kind: ORACLE_KIND_LLM_JUDGE path: 'm' llm_judge { "
                       "prompt_template: '{prompt} {response_a}' }"),
              ElementsAre(HasSubstr("has no {response_b}")));
  EXPECT_THAT(Problems("kind: ORACLE_KIND_LLM_JUDGE path: 'm' llm_judge { ratings: 'good' }"),
              ElementsAre(HasSubstr("only mode rating")));
}

TEST(OracleSpecTest, CallsHaveDefaultsAndLimits) {
  const v1::OracleSpec spec = Parse("kind: ORACLE_KIND_REMOTE endpoint: 'h:1'");
  EXPECT_EQ(spec.calls().max_attempts(), 4u);
  EXPECT_EQ(spec.calls().timeout_seconds(), 60);
  EXPECT_THAT(Problems("kind: ORACLE_KIND_REMOTE endpoint: 'h:1' calls { max_attempts: 0 }"),
              ElementsAre(HasSubstr("oracle.calls.max_attempts is 0; must be between 1 and 20")));
}

TEST(OracleSpecTest, PathsOfPartsAreVisited) {
  v1::OracleSpec spec = Parse("kind: ORACLE_KIND_SUM parts { oracle { kind: ORACLE_KIND_LEXICON "
                              "path: 'l' } }");
  std::vector<std::string> fields;
  VisitOraclePaths("oracle.", &spec, [&](const std::string& field, std::string* path) {
    if (path->empty()) return;
    fields.push_back(field);
    *path = "/absolute";
  });
  EXPECT_THAT(fields, ElementsAre("oracle.parts[0].oracle.path"));
  EXPECT_EQ(spec.parts(0).oracle().path(), "/absolute");
}

TEST(OracleSpecTest, KindsAreFoundInParts) {
  const v1::OracleSpec spec = Parse("kind: ORACLE_KIND_SUM parts { oracle { "
                                    "kind: ORACLE_KIND_NUMERIC } }");
  EXPECT_TRUE(HasOracleKind(spec, v1::ORACLE_KIND_NUMERIC));
  EXPECT_FALSE(HasOracleKind(spec, v1::ORACLE_KIND_R3));
  EXPECT_TRUE(NeedsGold(spec));
  EXPECT_FALSE(AsksOutside(spec));
}

TEST(OracleSpecTest, OnlyEndpointsAreOutside) {
  EXPECT_TRUE(AsksOutside(Parse("kind: ORACLE_KIND_REMOTE endpoint: 'h:1'")));
  EXPECT_FALSE(AsksOutside(Parse("kind: ORACLE_KIND_LLM_JUDGE path: 'm'")));
}

}  // namespace
}  // namespace attune
