#include "model/jinja/lexer.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune::jinja {
namespace {

using absl::StatusCode;

// The tokens, one letter for the kind of each.
std::string Tokens(const std::string& source) {
  static constexpr char kKinds[] = "T{}<>NSIFOE";
  const auto tokens = Tokenize(source);
  if (!tokens.ok()) return std::string(tokens.status().message());
  std::string out;
  for (const Token& token : *tokens) {
    absl::StrAppend(&out, out.empty() ? "" : " ",
                    std::string(1, kKinds[static_cast<int>(token.kind)]), token.text);
  }
  return out;
}

TEST(JinjaLexerTest, SplitsTextAndTags) {
  EXPECT_EQ(Tokens("a{{ b|c(1, 2.5e3, 'd') }}e{% if x == y %}"),
            "Ta { Nb O| Nc O( I1 O, F2.5e3 O, Sd O) } Te < Nif Nx O== Ny > E");
}

TEST(JinjaLexerTest, LoneBracesAreText) { EXPECT_EQ(Tokens("{ {a} }} %} {"), "T{ {a} }} %} { E"); }

TEST(JinjaLexerTest, ClosingBracesInsideBracketsDoNotEndTheTag) {
  EXPECT_EQ(Tokens("{{ {'a':{'b':1}}}}"), "{ O{ Sa O: O{ Sb O: I1 O} O} } E");
}

TEST(JinjaLexerTest, SignsStripWhiteSpace) {
  EXPECT_EQ(Tokens("a \n {{- b -}} \n c"), "Ta { Nb } Tc E");
  EXPECT_EQ(Tokens("a {%- b -%}\n\n c"), "Ta < Nb > Tc E");
  EXPECT_EQ(Tokens("a {#- b -#}\n\n c"), "Ta Tc E");
}

TEST(JinjaLexerTest, TagsOnTheirOwnLineLeaveNoLine) {
  EXPECT_EQ(Tokens("a\n  {% b %}\nc\n"), "Ta\n < Nb > Tc E");
  EXPECT_EQ(Tokens("a\n  {%+ b +%}\nc"), "Ta\n   < Nb > T\nc E");
  EXPECT_EQ(Tokens("a\n  {{ b }}\nc"), "Ta\n   { Nb } T\nc E");
}

TEST(JinjaLexerTest, RawTextIsText) {
  EXPECT_EQ(Tokens("{% raw %}{{ x }}{% endraw %}y"), "T{{ x }} Ty E");
}

TEST(JinjaLexerTest, LinesEndInOneWayAndTheLastLineEndIsDropped) {
  EXPECT_EQ(Tokens("a\r\nb\rc\n\n"), "Ta\nb\nc\n E");
}

TEST(JinjaLexerTest, EscapesInStringsArePythons) {
  EXPECT_EQ(Tokens(R"({{ 'a\'\n\x41\u00e9\101\q' }})"),
            "{ Sa'\nA\xc3\xa9"
            "A\\q } E");
}

TEST(JinjaLexerTest, ProblemsAreNamedWithTheirLine) {
  EXPECT_THAT(Tokenize("a\n{{ x"), StatusIs(StatusCode::kInvalidArgument, "line 2: the tag has"));
  EXPECT_THAT(Tokenize("\n\n{{ ! }}"), StatusIs(StatusCode::kInvalidArgument, "line 3: '!'"));
  EXPECT_THAT(Tokenize("{{ '\\ud800' }}"), StatusIs(StatusCode::kInvalidArgument, "escape"));
  EXPECT_THAT(Tokenize("{{ (] }}"), StatusIs(StatusCode::kInvalidArgument, "']' is too much"));
  EXPECT_THAT(Tokenize("{{ 0x1f }}"), StatusIs(StatusCode::kInvalidArgument, "0x..."));
  EXPECT_THAT(Tokenize("{# x"), StatusIs(StatusCode::kInvalidArgument, "comment has no end"));
  EXPECT_THAT(Tokenize("{% raw %}"), StatusIs(StatusCode::kInvalidArgument, "endraw"));
}

}  // namespace
}  // namespace attune::jinja
