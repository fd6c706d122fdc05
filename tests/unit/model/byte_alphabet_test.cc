#include "model/byte_alphabet.h"

#include <set>

#include "gtest/gtest.h"

namespace attune {
namespace {

TEST(ByteAlphabetTest, WritesInvisibleBytesAsLetters) {
  EXPECT_EQ(ByteCharacter('a'), "a");
  EXPECT_EQ(ByteCharacter(' '), "Ġ");
  EXPECT_EQ(ByteCharacter('\n'), "Ċ");
  EXPECT_EQ(ByteCharacter(0), "Ā");
  EXPECT_EQ(ByteCharacter(0xAD), "Ń");
  EXPECT_EQ(ByteCharacter(0xFF), "ÿ");
}

TEST(ByteAlphabetTest, EveryByteComesBack) {
  std::set<std::string> characters;
  std::string token, expected, bytes;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string character(ByteCharacter(static_cast<unsigned char>(byte)));
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
