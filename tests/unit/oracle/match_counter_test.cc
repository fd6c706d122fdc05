#include "oracle/match_counter.h"

#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

using absl::StatusCode;

absl::StatusOr<uint64_t> Count(const std::string& pattern, absl::string_view text) {
  ATTUNE_ASSIGN_OR_RETURN(const auto counter, MatchCounter::Create(pattern));
  return counter->Count(text);
}

TEST(MatchCounterTest, CountsMatchesThatDoNotOverlap) {
  EXPECT_EQ(*Count("aa", "aaaaa"), 2u);
  EXPECT_EQ(*Count("(?i)happy|joy", "Happy joyful HAPPY"), 3u);
  EXPECT_EQ(*Count("x", "none of it"), 0u);
  EXPECT_EQ(*Count("x", ""), 0u);
  EXPECT_EQ(*Count("ab\\Kc?", "ababc"), 2u);
}

TEST(MatchCounterTest, CountsEmptyMatchesAsPerlAndPythonDo) {
  EXPECT_EQ(*Count("a*", "baaa"), 3u);  // "", "aaa", ""
  EXPECT_EQ(*Count("", "abc"), 4u);
  EXPECT_EQ(*Count("$", "abc"), 1u);
  EXPECT_EQ(*Count("(?m)^", "a\nb\nc"), 3u);
  EXPECT_EQ(*Count("(?=a)", "aba"), 2u);
}

TEST(MatchCounterTest, CountsCharactersNotBytes) {
  EXPECT_EQ(*Count(".", "h\u00e9llo \u4f60\u597d"), 8u);
  EXPECT_EQ(*Count("", "\u4f60\u597d"), 3u);
  EXPECT_EQ(*Count("\u4f60", "\u4f60\u597d\u4f60"), 2u);
}

TEST(MatchCounterTest, RefusesATextThatIsNotUtf8) {
  EXPECT_THAT(Count("a", "a\xff"), StatusIs(StatusCode::kInvalidArgument, "UTF-8 error"));
  EXPECT_THAT(Count("", "abc\xe4\xbd"), StatusIs(StatusCode::kInvalidArgument, "UTF-8 error"));
}

TEST(MatchCounterTest, SaysWhereAPatternDoesNotCompile) {
  EXPECT_THAT(MatchCounter::Create("ab(c"),
              StatusIs(StatusCode::kInvalidArgument, "\"ab(c\" does not compile at byte 4"));
  EXPECT_THAT(MatchCounter::Create("\xff"), StatusIs(StatusCode::kInvalidArgument, "compile"));
  EXPECT_THAT(MatchCounter::Create("a\\Cb"), StatusIs(StatusCode::kInvalidArgument, "compile"));
  EXPECT_THAT(MatchCounter::Create(std::string(MatchCounter::kPatternBytesMax + 1, 'a')),
              StatusIs(StatusCode::kInvalidArgument, "16385 bytes, the limit is 16384"));
}

TEST(MatchCounterTest, GivesUpOnAPatternThatBacktracksForEver) {
  EXPECT_THAT(Count("(a+)+[bc]", std::string(60, 'a')),
              StatusIs(StatusCode::kInvalidArgument, "use a pattern that backtracks less"));
  EXPECT_THAT(Count("(.*)(.*)(.*)(.*)[xy]", std::string(2000, 'a')),
              StatusIs(StatusCode::kInvalidArgument, "match limit"));
  // Cheap enough at each place to stay below the limit of one search, but tried at every place.
  EXPECT_THAT(Count("(?=(a{1,6}){5}[bc]|)", std::string(4000, 'a')),
              StatusIs(StatusCode::kInvalidArgument, "backtracks less"));
}

TEST(MatchCounterTest, CountsInLongTexts) {
  EXPECT_EQ(*Count("\\w+", std::string(200'000, 'a') + " b"), 2u);
  std::string words;
  for (int i = 0; i < 50'000; ++i) words += "ab ";
  EXPECT_EQ(*Count("\\w+", words), 50'000u);
  EXPECT_EQ(*Count("a*?", words), 50'000u * 4 + 1);
}

}  // namespace
}  // namespace attune
