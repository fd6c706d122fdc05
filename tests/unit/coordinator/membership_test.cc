#include "coordinator/membership.h"

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

v1::WorkerInfo Trainer(const std::string& gang, uint32_t rank, uint32_t world) {
  v1::WorkerInfo worker;
  worker.set_id(gang + "-" + std::to_string(rank));
  worker.set_role(v1::WORKER_ROLE_TRAINER);
  worker.set_address("127.0.0.1:1");
  worker.set_gang_id(gang);
  worker.set_rank(rank);
  worker.set_world_size(world);
  return worker;
}

TEST(MembershipTest, AGangCountsOnceAllItsRanksAreThere) {
  Membership membership;
  EXPECT_OK(membership.Register(Trainer("g", 1, 2)));
  EXPECT_TRUE(membership.LiveGang().empty());
  EXPECT_OK(membership.Register(Trainer("g", 0, 2)));
  const auto gang = membership.LiveGang();
  ASSERT_EQ(gang.size(), 2u);
  EXPECT_EQ(gang[0].rank(), 0u);
  membership.Leave("g-1");
  EXPECT_TRUE(membership.LiveGang().empty());
}

TEST(MembershipTest, TheNewestCompleteGangIsUsed) {
  Membership membership;
  EXPECT_OK(membership.Register(Trainer("old", 0, 1)));
  EXPECT_OK(membership.Register(Trainer("new", 0, 1)));
  EXPECT_OK(membership.Register(Trainer("old", 0, 1)));  // a heartbeat does not make it newer
  EXPECT_EQ(membership.LiveGang().at(0).gang_id(), "new");
}

TEST(MembershipTest, RefusesAWorkerThatMakesNoSense) {
  Membership membership;
  EXPECT_THAT(membership.Register(Trainer("g", 2, 2)),
              StatusIs(absl::StatusCode::kInvalidArgument, "rank 2 of 2"));
  EXPECT_THAT(membership.Register(v1::WorkerInfo()),
              StatusIs(absl::StatusCode::kInvalidArgument, "needs id, role and address"));
}

}  // namespace
}  // namespace attune
