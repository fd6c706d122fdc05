#include "worker/gang.h"

#include <set>

#include "common/clock.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

TEST(GangTest, AllRanksHaveOneIdAndEveryGangAnother) {
  std::set<std::string> gangs;
  for (int start = 0; start < 2; ++start) {
    std::vector<std::string> ids(3);
    EXPECT_OK(RunLocalRanks(3, [&](Collective& ranks) -> absl::Status {
      ATTUNE_ASSIGN_OR_RETURN(ids[ranks.rank()], AgreeOnGangId(ranks));
      return absl::OkStatus();
    }));
    EXPECT_EQ(ids[0], ids[1]);
    EXPECT_EQ(ids[0], ids[2]);
    EXPECT_EQ(ids[0].size(), 18u) << ids[0];
    gangs.insert(ids[0]);
    const absl::Duration now = MonotonicTime();  // ids differ by the millisecond of the start
    while (MonotonicTime() < now + absl::Milliseconds(2)) {
    }
  }
  EXPECT_EQ(gangs.size(), 2u);
}

TEST(GangTest, ExactKeysAreIntegersThatADoubleHolds) {
  const double key = ExactKey("jobs/a");
  EXPECT_EQ(key, static_cast<double>(static_cast<uint64_t>(key)));
  EXPECT_GT(key, 0x1p40);
  EXPECT_LT(key, 0x1p52);
  EXPECT_NE(key, ExactKey("jobs/b"));
}

TEST(GangTest, RanksListenOnConsecutivePorts) {
  EXPECT_EQ(AddressOfRank("127.0.0.1:7073", 2).value(), "127.0.0.1:7075");
  EXPECT_EQ(AddressOfRank("[::1]:7073", 1).value(), "[::1]:7074");
  EXPECT_EQ(AddressOfRank("127.0.0.1:0", 2).value(), "127.0.0.1:0");
  EXPECT_EQ(AddressOfRank("", 2).value(), "");
}

TEST(GangTest, RefusesWhatIsNoAddress) {
  for (const char* address : {"localhost", "localhost:x", "localhost:65535"}) {
    EXPECT_THAT(AddressOfRank(address, 1), StatusIs(absl::StatusCode::kInvalidArgument, address));
  }
}

}  // namespace
}  // namespace attune
