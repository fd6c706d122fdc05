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
