#include "model/tokenizer/token_matcher.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace attune {
namespace {

std::string Found(const TokenMatcher& matcher, absl::string_view text) {
  std::string shown;
  for (const TokenMatcher::Match& match : matcher.FindAll(text)) {
    absl::StrAppend(&shown, match.value, "@", match.span.begin, "-", match.span.end, " ");
  }
  return shown;
}

TEST(TokenMatcherTest, TakesTheLeftmostAndThenTheLongest) {
  TokenMatcher matcher;
  matcher.Add("ab", 1);
  matcher.Add("abcd", 2);
  matcher.Add("bc", 3);
  EXPECT_EQ(Found(matcher, "abcd abc bc"), "2@0-4 1@5-7 3@9-11 ");
  EXPECT_EQ(Found(matcher, "aab"), "1@1-3 ");
  EXPECT_EQ(Found(matcher, ""), "");
}

TEST(TokenMatcherTest, TheFirstOfEqualTokensCounts) {
  TokenMatcher matcher;
  matcher.Add("x", 1);
  matcher.Add("x", 2);
  matcher.Add("", 3);
  EXPECT_EQ(Found(matcher, "xyx"), "1@0-1 1@2-3 ");
}

}  // namespace
}  // namespace attune
