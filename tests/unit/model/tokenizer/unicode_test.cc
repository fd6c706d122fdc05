#include "model/tokenizer/unicode.h"

#include "gtest/gtest.h"

namespace attune {
namespace {

TEST(UnicodeTest, ClassifiesAsTheLibrary) {
  EXPECT_TRUE(IsWhitespace(U'\x85'));
  EXPECT_TRUE(IsWhitespace(U'\x3000'));
  EXPECT_FALSE(IsWhitespace(U'\x180E'));
  EXPECT_FALSE(IsWhitespace(U'\x200B'));

  EXPECT_TRUE(IsNumeric(U'7'));
  EXPECT_TRUE(IsNumeric(U'½'));
  EXPECT_TRUE(IsNumeric(U'Ⅷ'));
  EXPECT_TRUE(IsNumeric(char32_t{0x1E4F0}));  // Unicode 15
  EXPECT_FALSE(IsNumeric(U'a'));

  EXPECT_TRUE(IsPunctuation(U'$'));  // ASCII symbols count
  EXPECT_TRUE(IsPunctuation(U'…'));
  EXPECT_TRUE(IsPunctuation(U'。'));
  EXPECT_FALSE(IsPunctuation(U'€'));
  EXPECT_FALSE(IsPunctuation(char32_t{0x2E5D}));  // too new for the library

  EXPECT_TRUE(IsMark(U'\x301'));
  EXPECT_FALSE(IsMark(U'é'));

  EXPECT_TRUE(IsWordCharacter(U'_'));
  EXPECT_TRUE(IsWordCharacter(U'中'));
  EXPECT_TRUE(IsWordCharacter(U'\x200D'));
  EXPECT_TRUE(IsWordCharacter(U'Ⓐ'));
  EXPECT_FALSE(IsWordCharacter(U'²'));
  EXPECT_FALSE(IsWordCharacter(U'-'));
}

TEST(UnicodeTest, LowercasesCharacterByCharacter) {
  EXPECT_EQ(ToLowercase("ΑΣ İ ẞ Ǆ"), "ασ i\u0307 ß ǆ");
}

TEST(UnicodeTest, NormalFormsDiffer) {
  const std::string text = "é\u0323 ﬁ 각 Å";
  EXPECT_EQ(Normalized(text, NormalForm::kNfc), "ẹ\u0301 ﬁ 각 Å");
  EXPECT_EQ(Normalized(text, NormalForm::kNfd), "e\u0323\u0301 ﬁ \u1100\u1161\u11A8 A\u030A");
  EXPECT_EQ(Normalized(text, NormalForm::kNfkc), "ẹ\u0301 fi 각 Å");
  EXPECT_EQ(Normalized(text, NormalForm::kNfkd), "e\u0323\u0301 fi \u1100\u1161\u11A8 A\u030A");
}

TEST(UnicodeTest, LeavesWhatIsTooNewForTheLibrary) {
  EXPECT_EQ(Normalized("㋿", NormalForm::kNfkc), "㋿");  // the era of 2019
}

TEST(UnicodeTest, SortsLongRunsOfMarks) {
  std::string marks, sorted_marks;
  for (int i = 0; i < 20000; ++i) marks += "\u0301\u0323";
  for (int i = 0; i < 20000; ++i) sorted_marks += "\u0323";
  for (int i = 0; i < 20000; ++i) sorted_marks += "\u0301";
  EXPECT_EQ(Normalized("q" + marks, NormalForm::kNfd), "q" + sorted_marks);
}

TEST(UnicodeTest, NamesNewerCodePointsByCategory) {
  const auto within = [](const std::vector<CodePointRange>& ranges, char32_t c) {
    for (const CodePointRange& range : ranges) {
      if (c >= range.first && c <= range.last) return true;
    }
    return false;
  };
  EXPECT_TRUE(within(NewerCodePoints("L"), 0x31350));
  EXPECT_TRUE(within(NewerCodePoints("Lo"), 0x31350));
  EXPECT_FALSE(within(NewerCodePoints("Lu"), 0x31350));
  EXPECT_TRUE(within(NewerCodePoints("S"), 0x1FAE8));
}

}  // namespace
}  // namespace attune
