#include "model/tokenizer/utf8.h"

#include "gtest/gtest.h"

namespace attune {
namespace {

TEST(Utf8Test, CodePointsOfEveryLengthComeBack) {
  for (char32_t c : {U'\0', U'a', U'\x7F', U'\x80', U'é', U'\x7FF', U'\x800', U'中', U'\xFFFF',
                     U'\x10000', U'😀', U'\x10FFFF'}) {
    std::string text = "x";
    AppendCodePoint(c, &text);
    text += "y";
    size_t offset = 1;
    EXPECT_EQ(NextCodePoint(text, &offset), c);
    EXPECT_EQ(offset, 1 + Utf8Length(c));
    EXPECT_EQ(PreviousCodePoint(text, offset), c);
    EXPECT_TRUE(IsValidUtf8(text));
  }
}

TEST(Utf8Test, RepairsEachMaximalInvalidPartOnce) {
  const std::string r = "\xEF\xBF\xBD";
  EXPECT_EQ(ToValidUtf8("a\x80z"), "a" + r + "z");  // stray continuation
  EXPECT_EQ(ToValidUtf8("\xE4\xB8"), r);            // cut short
  EXPECT_EQ(ToValidUtf8("\xE4\xB8z"), r + "z");
  EXPECT_EQ(ToValidUtf8("\xF0\x9F\x98\xE4\xB8\xAD"), r + "中");
  EXPECT_EQ(ToValidUtf8("\xC0\xAF"), r + r);                  // overlong
  EXPECT_EQ(ToValidUtf8("\xED\xA0\x80"), r + r + r);          // a surrogate
  EXPECT_EQ(ToValidUtf8("\xF4\x90\x80\x80"), r + r + r + r);  // over U+10FFFF
  EXPECT_EQ(ToValidUtf8("\xFF\xFE"), r + r);
}

TEST(Utf8Test, TellsValidFromInvalid) {
  EXPECT_TRUE(IsValidUtf8(""));
  EXPECT_TRUE(IsValidUtf8("é中😀"));
  EXPECT_FALSE(IsValidUtf8("a\xE4\xB8"));
  EXPECT_FALSE(IsValidUtf8("\xED\xBF\xBF"));
}

TEST(Utf8Test, KnowsHowMuchOfACharacterIsMissing) {
  EXPECT_EQ(UnfinishedUtf8Bytes(""), 0u);
  EXPECT_EQ(UnfinishedUtf8Bytes("aé"), 0u);
  EXPECT_EQ(UnfinishedUtf8Bytes("a\xC3"), 1u);
  EXPECT_EQ(UnfinishedUtf8Bytes("\xF0\x9F\x98"), 3u);
  EXPECT_EQ(UnfinishedUtf8Bytes("\xF0\x9F\x98\x80"), 0u);
  EXPECT_EQ(UnfinishedUtf8Bytes("\xFF"), 0u);              // begins nothing
  EXPECT_EQ(UnfinishedUtf8Bytes("\xE0\x80"), 0u);          // overlong: cannot be completed
  EXPECT_EQ(UnfinishedUtf8Bytes("\xC3\xA9\xA9\xA9"), 0u);  // stray continuations
}

}  // namespace
}  // namespace attune
