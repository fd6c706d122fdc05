#include <atomic>

#include "tests/unit/comm/collective_contract.h"

namespace attune {
namespace {

class LocalRanksTest : public testing::TestWithParam<int> {};

TEST_P(LocalRanksTest, KeepsTheContractOfCollectives) {
  EXPECT_OK(RunLocalRanks(GetParam(), [&](Collective& collective) {
    EXPECT_EQ(collective.size(), GetParam());
    CheckCollective(collective);
    return absl::OkStatus();
  }));
}

INSTANTIATE_TEST_SUITE_P(Ranks, LocalRanksTest, testing::Values(1, 2, 3, 5));

TEST(RunLocalRanksTest, GivesEachRankItsNumber) {
  std::atomic<int> seen = 0;
  EXPECT_OK(RunLocalRanks(4, [&](Collective& collective) {
    seen += 1 << collective.rank();
    return absl::OkStatus();
  }));
  EXPECT_EQ(seen, 0b1111);
}

TEST(RunLocalRanksTest, ReturnsTheErrorOfARank) {
  EXPECT_THAT(RunLocalRanks(3,
                            [](Collective& collective) -> absl::Status {
                              if (collective.rank() == 1) return absl::DataLossError("rank 1");
                              return absl::OkStatus();
                            }),
              StatusIs(absl::StatusCode::kDataLoss, "rank 1"));
}

TEST(RunLocalRanksTest, ARankThatLeavesFailsTheOthersInsteadOfHangingThem) {
  EXPECT_OK(RunLocalRanks(3, [](Collective& collective) -> absl::Status {
    if (collective.rank() == 2) return absl::OkStatus();
    std::vector<double> values = {1.0};
    EXPECT_THAT(collective.AllReduceSum(absl::MakeSpan(values)),
                StatusIs(absl::StatusCode::kAborted, "left"));
    EXPECT_FALSE(collective.healthy());
    return absl::OkStatus();
  }));
}

}  // namespace
}  // namespace attune
