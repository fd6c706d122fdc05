#include "common/check.h"

#include "gtest/gtest.h"

namespace attune {
namespace {

TEST(CheckTest, PassesSilently) {
  int evaluations = 0;
  ATTUNE_CHECK(++evaluations == 1);
  EXPECT_EQ(evaluations, 1);
}

TEST(CheckDeathTest, NamesFileAndCondition) {
  EXPECT_DEATH(ATTUNE_CHECK(1 + 1 == 3), "check_test.cc:[0-9]+: check failed: 1 \\+ 1 == 3");
}

}  // namespace
}  // namespace attune
