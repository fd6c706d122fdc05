#include "model/strict_json.h"

#include <string>

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST(StrictJsonTest, ParsesADocument) {
  ASSERT_OK_AND_ASSIGN(const nlohmann::json json,
                       ParseStrictJson(R"( {"a": [1, {"a": 2.5}], "b": {"a": null}} )"));
  EXPECT_EQ(2.5, json["a"][1]["a"]);
}

TEST(StrictJsonTest, NamesTheByteOfASyntaxError) {
  EXPECT_THAT(ParseStrictJson(R"({"a":!})"), StatusIs(kInvalid, "syntax error at byte 5"));
  EXPECT_THAT(ParseStrictJson(R"({"a":!})", 8), StatusIs(kInvalid, "syntax error at byte 13"));
  EXPECT_THAT(ParseStrictJson("{"), StatusIs(kInvalid, "syntax error at byte 1"));
  EXPECT_THAT(ParseStrictJson(""), StatusIs(kInvalid, "syntax error at byte 0"));
  EXPECT_THAT(ParseStrictJson("{} x"), StatusIs(kInvalid, "syntax error at byte 3"));
  EXPECT_THAT(ParseStrictJson("[\"\xff\"]"), StatusIs(kInvalid, "syntax error at byte 2"));
}

TEST(StrictJsonTest, RefusesANameTwiceInOneObject) {
  EXPECT_THAT(ParseStrictJson(R"({"x": {"a": 1, "b": 2, "a": 1}})"),
              StatusIs(kInvalid, "the name \"a\" stands twice"));
  EXPECT_THAT(ParseStrictJson(R"({"a": [{"b": 1}, {"b": 1}], "b": 1})"), IsOk());
}

TEST(StrictJsonTest, RefusesDeepNesting) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_THAT(ParseStrictJson(nested(kJsonDepthMax)), IsOk());
  EXPECT_THAT(ParseStrictJson(nested(kJsonDepthMax + 1)), StatusIs(kInvalid, "deeper than 127"));
  EXPECT_THAT(ParseStrictJson(std::string(1 << 20, '[')), StatusIs(kInvalid, "deeper than 127"));
}

}  // namespace
}  // namespace attune
