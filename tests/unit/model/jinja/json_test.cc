#include "model/jinja/json.h"

#include <string>

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune::jinja {
namespace {

using absl::StatusCode;

std::string RoundTrip(const std::string& json, const JsonStyle& style = {}) {
  Budget budget(100000);
  return WriteJson(ReadJson(json).value(), style, budget).value();
}

TEST(JinjaJsonTest, WritesWhatItReadAsPythonDoes) {
  EXPECT_EQ(RoundTrip(R"({"b":[1,2.0,1e21,true,null],"a":{},"c":[]})"),
            R"({"b": [1, 2.0, 1e+21, true, null], "a": {}, "c": []})");
  EXPECT_EQ(RoundTrip(R"("\u00e9\"\\\/\n\u0001\ud83d\ude00</b>")"),
            "\"\xc3\xa9\\\"\\\\/\\n\\u0001\xf0\x9f\x98\x80</b>\"");
}

TEST(JinjaJsonTest, StylesAreThoseOfJsonDumps) {
  EXPECT_EQ(RoundTrip(R"({"b": "é😀", "a": 1})", {.ensure_ascii = true, .sort_keys = true}),
            R"({"a": 1, "b": "\u00e9\ud83d\ude00"})");
  EXPECT_EQ(RoundTrip(R"({"a": [1, {"b": []}]})", {.indent = "  ", .item_separator = ","}),
            "{\n  \"a\": [\n    1,\n    {\n      \"b\": []\n    }\n  ]\n}");
}

TEST(JinjaJsonTest, TheLastOfEqualKeysCounts) {
  EXPECT_EQ(RoundTrip(R"({"a": 1, "b": 2, "a": 3})"), R"({"a": 3, "b": 2})");
}

TEST(JinjaJsonTest, WhatCannotBeReadIsRefused) {
  EXPECT_THAT(ReadJson("[1,"), StatusIs(StatusCode::kInvalidArgument, "not valid JSON"));
  EXPECT_THAT(ReadJson("[1] x"), StatusIs(StatusCode::kInvalidArgument, "not valid JSON"));
  EXPECT_THAT(ReadJson("[\"\xff\"]"), StatusIs(StatusCode::kInvalidArgument, "not valid JSON"));
  EXPECT_THAT(ReadJson("9223372036854775808"), StatusIs(StatusCode::kInvalidArgument, "64 bits"));
  EXPECT_THAT(ReadJson("123456789012345678901234567890"),
              StatusIs(StatusCode::kInvalidArgument, "64 bits"));
  EXPECT_THAT(ReadJson(std::string(100000, '[')), StatusIs(StatusCode::kInvalidArgument, "100"));
}

TEST(JinjaJsonTest, WhatJsonDoesNotHaveIsNotWritten) {
  Budget budget(100);
  EXPECT_THAT(WriteJson(UndefinedValue("'x' is undefined"), {}, budget),
              StatusIs(StatusCode::kInvalidArgument, "'x' is undefined"));
}

}  // namespace
}  // namespace attune::jinja
