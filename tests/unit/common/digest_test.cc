#include "common/digest.h"

#include <string>

#include "common/files.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

// FIPS 180-4 examples.
TEST(DigestTest, Sha256MatchesPublishedVectors) {
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256Hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(Sha256Hex(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(DigestTest, PiecesGiveTheDigestOfTheWhole) {
  Sha256 sha;
  sha.Update("a");
  sha.Update("");
  sha.Update("bc");
  EXPECT_EQ(sha.HexDigest(), Sha256Hex("abc"));
}

TEST(DigestTest, FieldsKeepTheirBorders) {
  Sha256 first;
  first.UpdateField("ab");
  first.UpdateField("c");
  Sha256 second;
  second.UpdateField("a");
  second.UpdateField("bc");
  EXPECT_NE(first.HexDigest(), second.HexDigest());
}

TEST(DigestTest, AFieldMayComeInPieces) {
  Sha256 whole;
  whole.UpdateField("abc");
  Sha256 pieces;
  pieces.BeginField(3);
  pieces.Update("a");
  pieces.Update("bc");
  EXPECT_EQ(whole.HexDigest(), pieces.HexDigest());
}

TEST(DigestTest, FileHasTheDigestOfItsBytes) {
  ASSERT_OK_AND_ASSIGN(const std::string directory, MakeTemporaryDirectory("digest-test"));
  const std::string path = JoinPath(directory, "big");
  const std::string bytes(3 * 1024 * 1024 + 17, 'x');  // more than one buffer
  ASSERT_OK(WriteFile(path, bytes));
  ASSERT_OK_AND_ASSIGN(const std::string digest, Sha256OfFile(path));
  EXPECT_EQ(digest, Sha256Hex(bytes));
  EXPECT_THAT(Sha256OfFile(JoinPath(directory, "absent")),
              StatusIs(absl::StatusCode::kNotFound, "absent"));
  ASSERT_OK(RemoveAll(directory));
}

// RFC 3720, B.4, and the usual check value.
TEST(DigestTest, Crc32cMatchesPublishedVectors) {
  EXPECT_EQ(Crc32c(""), 0u);
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  std::string ascending;
  for (char c = 0; c < 32; ++c) ascending.push_back(c);
  EXPECT_EQ(Crc32c(ascending), 0x46dd794eu);
}

TEST(DigestTest, Crc32cSeesASingleBit) {
  std::string bytes(1000, 'q');
  const uint32_t before = Crc32c(bytes);
  bytes[777] = static_cast<char>(bytes[777] ^ 0x10);
  EXPECT_NE(Crc32c(bytes), before);
}

}  // namespace
}  // namespace attune
