#include "model/tokenizer/text_pattern.h"

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tokenizer/json_fixture.h"

namespace attune {
namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

std::vector<TextSpan> Find(const std::string& json, absl::string_view text) {
  const JsonFixture fixture(json);
  const auto pattern = TextPattern::Parse(fixture.json());
  EXPECT_OK(pattern);
  return pattern.ok() ? pattern->FindAll(text) : std::vector<TextSpan>{};
}

TEST(TextPatternTest, StringsAreLiteral) {
  EXPECT_EQ(Find(R"({"String": "a."})", "a.aba.a."),
            (std::vector<TextSpan>{{0, 2}, {4, 6}, {6, 8}}));
  EXPECT_EQ(Find(R"({"Regex": "a."})", "a.ab"), (std::vector<TextSpan>{{0, 2}, {2, 4}}));
}

TEST(TextPatternTest, TheEmptyStringIsBetweenAllCharacters) {
  EXPECT_EQ(Find(R"({"String": ""})", "é"), (std::vector<TextSpan>{{0, 0}, {2, 2}}));
}

TEST(TextPatternTest, RefusesOtherShapes) {
  for (const char* json : {R"({})", R"("a")", R"({"String": "a", "Regex": "b"})",
                           R"({"String": 1})", R"({"Regex": "("})"}) {
    const JsonFixture fixture(json);
    EXPECT_THAT(TextPattern::Parse(fixture.json()), StatusIs(kInvalid, "component")) << json;
  }
}

TEST(TextPatternTest, ReplacementsCountHowMuchTheyMakeATextLonger) {
  double growth = 1;
  const auto parse = [&growth](const std::string& pattern, const std::string& content) {
    const JsonFixture fixture(R"({"pattern": )" + pattern + R"(, "content": ")" + content + "\"}");
    return TextReplacement::Parse(fixture.json(), &growth).status();
  };
  EXPECT_OK(parse(R"({"String": "ab"})", "abcdef"));
  EXPECT_EQ(growth, 3);
  EXPECT_OK(parse(R"({"String": "ab"})", ""));  // shorter: no credit
  EXPECT_EQ(growth, 3);
  EXPECT_OK(parse(R"({"Regex": "x*"})", "a"));  // may match between characters
  EXPECT_EQ(growth, 6);
  EXPECT_THAT(parse(R"({"String": "a"})", std::string(2000, 'b')),
              StatusIs(kInvalid, "component: could make a text 12000 times longer"));
}

TEST(TextPatternTest, ReplacesSpans) {
  EXPECT_EQ(ReplaceSpans("abcd", {{0, 1}, {2, 2}, {3, 4}}, "--"), "--b--c--");
  EXPECT_EQ(ReplaceSpans("abcd", {}, "--"), "abcd");
}

}  // namespace
}  // namespace attune
