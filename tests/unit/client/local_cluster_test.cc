#include "client/local_cluster.h"

#include "tests/unit/client/fake_job_service.h"

namespace attune {
namespace {

TEST(LocalClusterTest, ReadsTheAddressesOfAServer) {
  EXPECT_EQ(ParseAnnouncement("listening 127.0.0.1:7070 metrics 127.0.0.1:9470"),
            std::make_pair(std::string("127.0.0.1:7070"), std::string("127.0.0.1:9470")));
  EXPECT_EQ(ParseAnnouncement("hello"), std::make_pair(std::string(), std::string()));
  EXPECT_EQ(ParseAnnouncement("listening a metrics b c"),
            std::make_pair(std::string(), std::string()));
}

TEST(LocalClusterTest, AGangCountsWhenItsRanksAreOfOneStart) {
  const v1::WorkerInfo rollout = MakeWorker(v1::WORKER_ROLE_ROLLOUT);
  const v1::WorkerInfo oracle = MakeWorker(v1::WORKER_ROLE_ORACLE);
  const auto trainer = [](uint32_t rank, const std::string& gang) {
    return MakeWorker(v1::WORKER_ROLE_TRAINER, rank, gang);
  };
  EXPECT_FALSE(CountMembers({}).IsComplete(0));
  EXPECT_FALSE(CountMembers({rollout, trainer(0, "a")}).IsComplete(1));
  EXPECT_TRUE(CountMembers({rollout, oracle}).IsComplete(0));
  EXPECT_FALSE(CountMembers({rollout, oracle}).IsComplete(1));
  EXPECT_TRUE(CountMembers({rollout, oracle, trainer(0, "a")}).IsComplete(1));
  EXPECT_FALSE(CountMembers({rollout, oracle, trainer(0, "a"), trainer(1, "b")}).IsComplete(2));
  EXPECT_TRUE(CountMembers({rollout, oracle, trainer(0, "a"), trainer(1, "b"), trainer(1, "a")})
                  .IsComplete(2));
}

}  // namespace
}  // namespace attune
