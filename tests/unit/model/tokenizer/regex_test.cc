#include "model/tokenizer/regex.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// The matches of `pattern` in `text`, separated by bars.
std::string Matches(absl::string_view pattern, absl::string_view text) {
  const auto regex = Regex::Compile(pattern);
  if (!regex.ok()) return std::string(regex.status().message());
  std::vector<absl::string_view> found;
  for (const TextSpan& span : (*regex)->FindAll(text)) {
    found.push_back(text.substr(span.begin, span.size()));
  }
  return absl::StrJoin(found, "|");
}

TEST(RegexTest, FindsGpt2Words) {
  EXPECT_EQ(Matches(R"('s|'t| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
                    "It's 12  naïve  ones!\n"),
            "It|'s| 12| | naïve| | ones|!|\n");
}

TEST(RegexTest, SkipsEmptyMatchesBehindAMatch) {
  const auto regex = Regex::Compile("x*");
  ASSERT_OK(regex);
  EXPECT_EQ((*regex)->FindAll("axxé"), (std::vector<TextSpan>{{0, 0}, {1, 3}, {5, 5}}));
  EXPECT_EQ((*regex)->FindAll(""), (std::vector<TextSpan>{{0, 0}}));
}

TEST(RegexTest, WhitespaceIsTheUnicodeProperty) {
  EXPECT_EQ(Matches(R"(\s)", "\u180E\u3000\u0085"), "\u3000|\u0085");
  EXPECT_EQ(Matches(R"([^\S\n]+)", "a \t\n b"), " \t| ");
  EXPECT_EQ(Matches(R"(\S+)", "a b\u00A0c"), "a|b|c");
}

TEST(RegexTest, EscapesMeanWhatTheyMeanInOniguruma) {
  EXPECT_EQ(Matches(R"(\h+)", "xyfa9 Z"), "fa9");  // hexadecimal digits
  EXPECT_EQ(Matches(R"(\v)", "\n\v\r"), "\v");     // the one control character
  EXPECT_EQ(Matches(R"(\w+)", "a² é_\u0301-"), "a²|é_\u0301");
  EXPECT_EQ(Matches(R"(\u00e9|\x{4e2d}|\x41)", "Aé中"), "A|é|中");
  EXPECT_EQ(Matches(R"(\bfoo\b)", "foo food éfoo foo"), "foo|foo");
  EXPECT_EQ(Matches(R"(\d+\B)", "12 34x"), "1|34");
  EXPECT_EQ(Matches(R"(\/\-\_\é)", "/-_é"), "/-_é");
}

TEST(RegexTest, IntervalsMeanWhatTheyMeanInOniguruma) {
  EXPECT_EQ(Matches(R"(\p{N}{1,3})", "1234567"), "123|456|7");
  EXPECT_EQ(Matches(R"(\p{N}{1,3}+)", "1234567"), "1234567");  // repeated, not possessive
  EXPECT_EQ(Matches(R"((?:a|b){1,2}+)", "abba"), "abba");
  EXPECT_EQ(Matches("a{,2}b", "aaab b"), "aab|b");
  EXPECT_EQ(Matches("a{2}?b", "aab b"), "aab|b");  // an optional pair
  EXPECT_EQ(Matches("a{x}", "a{x}"), "a{x}");
  EXPECT_EQ(Matches("a++b", "aab"), "aab");
}

TEST(RegexTest, OptionsMeanWhatTheyMeanInOniguruma) {
  EXPECT_EQ(Matches("(?i:'s|'ll)", "'S 's 'LL"), "'S|'s|'LL");
  EXPECT_EQ(Matches("(?m:.)+", "a\nb"), "a\nb");
  EXPECT_EQ(Matches(".+", "a\nb"), "a|b");
  EXPECT_EQ(Matches("^a|b$", "a\na b\nb"), "a|a|b|b");
  EXPECT_EQ(Matches("x(?i)a|b", "xa xB b"), "xa|xB");  // the rest is one group
}

TEST(RegexTest, SetsCanBeNestedAndIntersected) {
  EXPECT_EQ(Matches("[a-z&&[^aeiou]]+", "education"), "d|c|t|n");
  EXPECT_EQ(Matches("[^a-c[x-z]]+", "abcdwxyz"), "dw");
  EXPECT_EQ(Matches(R"( ?[^(\s|[.,!?])]+)", "ab (cd) e|f. x"), "ab|cd| e|f| x");  // BLOOM
  EXPECT_EQ(Matches("[[:alpha:][:digit:]]+", "ab1-é"), "ab1|é");
  EXPECT_EQ(Matches("[[:^alpha:]]+", "ab12"), "12");
  EXPECT_EQ(Matches(R"([\P{L}x]+)", "a1x-"), "1x-");
  EXPECT_EQ(Matches(R"([!\"#\[\]\\-]+)", R"(a"]\-b)"), R"("]\-)");
  EXPECT_EQ(Matches("[+-]", "a-b+"), "-|+");
}

TEST(RegexTest, PropertiesAreThoseOfTheLibrary) {
  EXPECT_EQ(Matches(R"(\p{L}+)", "a\U00031350\u1C89"), "a\U00031350\u1C89");  // Unicode 15, 16
  EXPECT_EQ(Matches(R"(\p{S}+)", "\U0001FAE8"), "\U0001FAE8");
  EXPECT_EQ(Matches(R"(\p{Han}+)", "中\u3001文"), "中|文");  // the comma is shared
  EXPECT_EQ(Matches(R"(\p{^L}+)", "ab12"), "12");
  EXPECT_EQ(Matches(R"(\p{Uppercase_Letter}\p{Lowercase})", "aBcD"), "Bc");
}

TEST(RegexTest, RefusesWhatItCannotTranslate) {
  for (const char* pattern : {"(", "a)", "[a", "[]a]", "a|*", "(?x:a)", "(?~a)", R"(\O)", R"(\X)",
                              R"(\p{Nonsense})", R"(\pL)", R"([a-\d])", "[z-a]", R"(\x{110000})",
                              R"(\u12)", "[[:nonsense:]]", "\\", "(?<name"}) {
    EXPECT_THAT(Regex::Compile(pattern), StatusIs(kInvalid, "is not supported")) << pattern;
  }
  EXPECT_THAT(Regex::Compile("\xFF"), StatusIs(kInvalid, "UTF-8"));
  EXPECT_THAT(Regex::Compile(std::string(1000, '[') + "a" + std::string(1000, ']')),
              StatusIs(kInvalid, "nested too deep"));
}

TEST(RegexTest, LongMatchesDoNotExhaustTheStack) {
  const std::string text(1 << 20, 'a');
  EXPECT_EQ(Matches("(?:a|b)+", text).size(), text.size());
  EXPECT_EQ(Matches(R"(\s+(?!\S))", std::string(1 << 20, ' ') + "x").size(), (1u << 20) - 1);
}

}  // namespace
}  // namespace attune
