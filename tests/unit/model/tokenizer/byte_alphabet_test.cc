#include "model/tokenizer/byte_alphabet.h"

#include <set>

#include "gtest/gtest.h"

namespace attune {
namespace {

TEST(ByteAlphabetTest, WritesInvisibleBytesAsLetters) {
  EXPECT_EQ(InByteAlphabet("a b\n"), "aĠbĊ");
  EXPECT_EQ(InByteAlphabet(std::string("\0", 1)), "Ā");
  EXPECT_EQ(InByteAlphabet("\xAD\xFF"), "Ńÿ");
}

TEST(ByteAlphabetTest, EveryByteComesBack) {
  std::set<std::string> characters;
  std::string token, expected, bytes;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string character = InByteAlphabet(std::string(1, static_cast<char>(byte)));
    EXPECT_TRUE(characters.insert(character).second) << byte;
    token += character;
    expected.push_back(static_cast<char>(byte));
  }
  AppendTokenBytes(token, &bytes);
  EXPECT_EQ(bytes, expected);
}

TEST(ByteAlphabetTest, TokensOutsideTheAlphabetStandForThemselves) {
  std::string bytes = "x";
  AppendTokenBytes("aĠ中", &bytes);
  EXPECT_EQ(bytes, "xaĠ中");
}

}  // namespace
}  // namespace attune
