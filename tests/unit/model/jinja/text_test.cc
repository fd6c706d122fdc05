#include "model/jinja/text.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attune::jinja {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(JinjaTextTest, StripsWhatPythonCallsSpace) {
  EXPECT_EQ(Strip("\x1c \xc2\xa0\xe3\x80\x80"
                  "a b\n",
                  {}, true, true),
            "a b");
  EXPECT_EQ(Strip("xyaxy", "yx", true, false), "axy");
  EXPECT_EQ(Strip("  ", {}, true, true), "");
}

TEST(JinjaTextTest, Splits) {
  EXPECT_THAT(Split(" a  b ", {}, -1), ElementsAre("a", "b"));
  EXPECT_THAT(Split(" a  b c ", {}, 1), ElementsAre("a", "b c "));
  EXPECT_THAT(Split("a,,b", ",", -1), ElementsAre("a", "", "b"));
  EXPECT_THAT(Split("", ",", -1), ElementsAre(""));
  EXPECT_THAT(Split("", {}, -1), IsEmpty());
  EXPECT_THAT(SplitFromEnd(" a b  c ", {}, 1), ElementsAre(" a b", "c"));
  EXPECT_THAT(SplitFromEnd("a,b,c", ",", 1), ElementsAre("a,b", "c"));
  EXPECT_THAT(SplitLines("a\r\nb\x0b"
                         "c\xe2\x80\xa8",
                         false),
              ElementsAre("a", "b", "c"));
  EXPECT_THAT(SplitLines("a\n\nb", true), ElementsAre("a\n", "\n", "b"));
}

TEST(JinjaTextTest, ChangesCase) {
  EXPECT_EQ(Upper("\xc3\xa9"
                  "a1"),
            "\xc3\x89"
            "A1");
  EXPECT_EQ(Capitalized("hELLO wORLD"), "Hello world");
  EXPECT_EQ(Titled("they're 1a"), "They'Re 1A");
  EXPECT_EQ(TitledWords("they're 1a-b"), "They're 1a-B");
}

TEST(JinjaTextTest, CountsAndReplaces) {
  EXPECT_EQ(CountOf("aaa", "aa"), 1);
  EXPECT_EQ(CountOf("h\xc3\xa9", ""), 3);
  EXPECT_EQ(Replaced("aXbX", "X", "--", 1), "a--bX");
  EXPECT_EQ(Replaced("h\xc3\xa9", "", "-", -1), "-h-\xc3\xa9-");
  EXPECT_EQ(Replaced("ab", "", "-", 1), "-ab");
}

TEST(JinjaTextTest, FindsLongPartsInLinearTime) {
  const std::string part = std::string(20, 'a') + "b" + std::string(20, 'a');
  const std::string text = std::string(30, 'a') + part + "c" + part;
  EXPECT_EQ(Find(text, part), text.find(part));
  EXPECT_EQ(Find(text, part, 31), text.find(part, 31));
  EXPECT_EQ(Find(text, part + "d"), std::string::npos);
  EXPECT_EQ(Find(part, text), std::string::npos);
  const std::string half(1 << 20, 'a');
  EXPECT_EQ(Find(half + half, half + "b"), std::string::npos);  // 10^12 comparisons otherwise
}

TEST(JinjaTextTest, CharactersAreCodePoints) {
  EXPECT_EQ(CharacterCount("h\xc3\xa9\xf0\x9f\x98\x80"), 3);
  EXPECT_THAT(Characters("h\xc3\xa9"), ElementsAre("h", "\xc3\xa9"));
}

}  // namespace
}  // namespace attune::jinja
