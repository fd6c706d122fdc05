#include "client/text_format.h"

#include "gtest/gtest.h"

namespace attune {
namespace {

TEST(TextFormatTest, GroupsThousands) {
  EXPECT_EQ(WithThousands(0), "0");
  EXPECT_EQ(WithThousands(999), "999");
  EXPECT_EQ(WithThousands(51200), "51,200");
  EXPECT_EQ(WithThousands(1234567), "1,234,567");
}

TEST(TextFormatTest, ChoosesTheUnitOfSeconds) {
  EXPECT_EQ(FormatSeconds(4.12), "4.1 s");
  EXPECT_EQ(FormatSeconds(99.99), "1 min 40 s");
  EXPECT_EQ(FormatSeconds(200), "3 min 20 s");
  EXPECT_EQ(FormatSeconds(7500), "2 h 05 min");
  EXPECT_EQ(FormatSeconds(273600), "3 d 04 h");
  EXPECT_EQ(FormatSeconds(-1), "-");
}

TEST(TextFormatTest, ChoosesTheUnitOfBytes) {
  EXPECT_EQ(FormatBytes(17), "17 B");
  EXPECT_EQ(FormatBytes(1536), "1.5 KiB");
  EXPECT_EQ(FormatBytes(2 << 20), "2.0 MiB");
}

TEST(TextFormatTest, ShowsTimesInUtc) {
  google::protobuf::Timestamp time;
  EXPECT_EQ(FormatTime(time), "-");
  time.set_seconds(1795428282);
  EXPECT_EQ(FormatTime(time), "2026-11-23 10:04:42");
}

TEST(TextFormatTest, NamesStatesWithoutPrefix) {
  EXPECT_EQ(StateName(v1::JOB_STATE_RUNNING), "RUNNING");
}

}  // namespace
}  // namespace attune
