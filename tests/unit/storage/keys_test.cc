#include "storage/keys.h"

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attune {
namespace {

std::string Hex(const std::string& bytes) { return absl::BytesToHexString(bytes); }

// These bytes are on people's disks: docs/data_format.md.
TEST(KeysTest, BytesAreForEver) {
  EXPECT_EQ(Hex(OrdinalKey(0x0102)), "0000000000000102");
  EXPECT_EQ(Hex(RoundKey(1, 2)), "000000000000000100000002");
  EXPECT_EQ(Hex(RoundItemKey(1, 2, 0xfffefdfc)), "000000000000000100000002fffefdfc");
  EXPECT_EQ(Hex(ResponseKey(1, 2, 3, 4)), "0000000000000001000000020000000300000004");
  EXPECT_EQ(Hex(EventKey(1, 2)), "00000000000000010000000000000002");
}

TEST(KeysTest, FamilyNamesAreForEver) {
  EXPECT_THAT(kColumnFamilyNames,
              testing::ElementsAre("meta", "jobs", "job_names", "requests", "rounds", "responses",
                                   "judgments", "holdout_judgments", "pairs", "events",
                                   "holdout_responses"));
}

TEST(KeysTest, OrderOfBytesIsOrderOfNumbers) {
  const std::vector<std::string> keys = {ResponseKey(1, 2, 3, 4),        ResponseKey(1, 2, 3, 200),
                                         ResponseKey(1, 2, 255, 0),      ResponseKey(1, 2, 256, 0),
                                         ResponseKey(1, 1u << 31, 0, 0), ResponseKey(2, 0, 0, 0)};
  EXPECT_TRUE(std::is_sorted(keys.begin(), keys.end()));
}

TEST(KeysTest, NumbersComeBack) {
  for (uint64_t value :
       {uint64_t{0}, uint64_t{255}, uint64_t{1} << 40, std::numeric_limits<uint64_t>::max()}) {
    EXPECT_EQ(DecodeU64(EncodeU64(value)), value);
  }
  EXPECT_EQ(DecodeU64(""), std::nullopt);
  EXPECT_EQ(DecodeU64(EncodeU64(7) + "x"), std::nullopt);
}

TEST(KeysTest, PrefixEndIsAboveEveryKeyOfThePrefix) {
  EXPECT_EQ(PrefixEnd(OrdinalKey(1)), OrdinalKey(2));
  EXPECT_LT(EventKey(255, std::numeric_limits<uint64_t>::max()), PrefixEnd(OrdinalKey(255)));
  EXPECT_EQ(PrefixEnd(OrdinalKey(255)), EncodeU64(256).substr(0, 7));
  EXPECT_EQ(PrefixEnd(OrdinalKey(std::numeric_limits<uint64_t>::max())), "");
}

}  // namespace
}  // namespace attune
