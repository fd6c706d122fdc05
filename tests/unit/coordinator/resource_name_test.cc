#include "coordinator/resource_name.h"

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

TEST(ResourceNameTest, ParsesWhatItBuilds) {
  EXPECT_EQ(ParseResourceName("jobs/a-1")->job, "jobs/a-1");
  EXPECT_FALSE(ParseResourceName("jobs/a-1")->round.has_value());
  EXPECT_EQ(ParseResourceName(RoundName("jobs/a", 3))->round, 3u);
  EXPECT_EQ(ParseResourceName(CheckpointName("jobs/a", 3))->collection, "checkpoints");
}

TEST(ResourceNameTest, RefusesEverythingElse) {
  for (const char* name : {"", "a", "jobs", "jobs/", "job/a", "jobs/a/rounds", "jobs/a/rounds/x",
                           "jobs/a/rounds/-1", "jobs/a/pairs/1", "jobs/a/rounds/1/pairs/2"}) {
    EXPECT_THAT(ParseResourceName(name),
                StatusIs(absl::StatusCode::kInvalidArgument, "is not a resource name"))
        << name;
  }
}

}  // namespace
}  // namespace attune
