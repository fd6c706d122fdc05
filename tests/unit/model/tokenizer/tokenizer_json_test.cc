#include "model/tokenizer/tokenizer_json.h"

#include <string>

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tokenizer/json_fixture.h"

namespace attune {
namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST(TokenizerJsonTest, ReadsValues) {
  const JsonFixture fixture(R"({"s": "é", "b": true, "n": 7, "list": [1, 2], "none": null})");
  const TokenizerJson json = fixture.json();
  EXPECT_EQ(*json.Field("s").AsString(), "é");
  EXPECT_EQ(*json.Field("s").AsCharacter(), U'é');
  EXPECT_EQ(*json.Field("b").AsBool(), true);
  EXPECT_EQ(*json.Field("n").AsInteger(7), 7);
  EXPECT_EQ(json.Field("list").Elements()->size(), 2u);
  EXPECT_EQ(*json.Field("none").AsStringOr("fallback"), "fallback");
  EXPECT_EQ(*json.Field("absent").AsBoolOr(true), true);
}

TEST(TokenizerJsonTest, SyntaxErrorsNameTheByte) {
  EXPECT_EQ((*ParseJson(R"({"a": [1, 2]})"))["a"][1], 2);
  EXPECT_THAT(ParseJson("{\"a\": 1,\n \"b\" 2}"),
              StatusIs(kInvalid, "not valid JSON: byte 15: parse error at line 2, column 6"));
  EXPECT_THAT(ParseJson(""), StatusIs(kInvalid, "byte 1: parse error at line 1, column 1"));
  EXPECT_THAT(ParseJson("[1, 2"), StatusIs(kInvalid, "unexpected end of input"));
  EXPECT_THAT(ParseJson("\"\xFF\""), StatusIs(kInvalid, "UTF-8"));
}

// Copies of such a value would run out of stack.
TEST(TokenizerJsonTest, RefusesDeepNesting) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_TRUE(ParseJson(nested(kJsonNestingMax)).ok());
  EXPECT_THAT(ParseJson(nested(kJsonNestingMax + 1)), StatusIs(kInvalid, "deeper than 127"));
  EXPECT_THAT(ParseJson("{\"a\": " + nested(kJsonNestingMax) + "}"),
              StatusIs(kInvalid, "deeper than 127"));
  EXPECT_TRUE(ParseJson("\"\\\"" + std::string(300, '[') + "\"").ok());  // within a string
  EXPECT_THAT(ParseJson(std::string(1000000, '{')), StatusIs(kInvalid, "deeper than 127"));
}

TEST(TokenizerJsonTest, ComplaintsNameThePlaceAndTheValue) {
  const JsonFixture fixture(R"({"a": [{"b": 3.5}], "s": "long", "n": -1})");
  const TokenizerJson json = fixture.json();
  EXPECT_THAT((*json.Field("a").Elements())[0].Field("b").AsString(),
              StatusIs(kInvalid, "component.a[0].b: expected a string, got 3.5"));
  EXPECT_THAT(json.Field("x").AsBool(), StatusIs(kInvalid, "component.x: missing"));
  EXPECT_THAT(json.Field("s").AsCharacter(), StatusIs(kInvalid, "one character"));
  EXPECT_THAT(json.Field("n").AsInteger(9), StatusIs(kInvalid, "from 0 to 9, got -1"));
  EXPECT_THAT(json.Field("s").Elements(), StatusIs(kInvalid, "expected an array"));
  EXPECT_THAT(json.Field("s").Field("deeper").AsString(), StatusIs(kInvalid, "s.deeper: missing"));
}

TEST(TokenizerJsonTest, LongValuesAreCutBetweenCharacters) {
  const JsonFixture fixture("\"" + std::string(38, 'a') + "ééé\"");
  const absl::Status status = fixture.json().AsBool().status();
  EXPECT_THAT(status, StatusIs(kInvalid, std::string(38, 'a') + "..."));
}

}  // namespace
}  // namespace attune
