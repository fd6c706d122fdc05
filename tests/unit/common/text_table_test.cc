#include "common/text_table.h"

#include "gtest/gtest.h"

namespace attune {
namespace {

TEST(TextTableTest, AlignsColumnsByTheirKind) {
  EXPECT_EQ(FormatTable({{"JOB", "ROUND", "NOTE"}, {"jobs/a", "10", "x"}, {"jobs/long", "-", ""}}),
            "JOB        ROUND  NOTE\n"
            "jobs/a        10  x\n"
            "jobs/long      -\n");
  EXPECT_EQ(FormatTable({}), "");
}

}  // namespace
}  // namespace attune
