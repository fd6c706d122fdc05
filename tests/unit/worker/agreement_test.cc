#include "worker/agreement.h"

#include <vector>

#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

// What each of three ranks gets when they bring these errors and wishes to stop.
std::vector<absl::Status> Agree(const std::vector<absl::Status>& mine,
                                const std::vector<bool>& stop) {
  std::vector<absl::Status> statuses(3);
  EXPECT_OK(RunLocalRanks(3, [&](Collective& ranks) {
    double value = ranks.rank() + 1;
    statuses[ranks.rank()] = SumIfAllWell(ranks, mine[ranks.rank()], stop[ranks.rank()],
                                          absl::MakeSpan(&value, 1));
    EXPECT_EQ(value, statuses[ranks.rank()].ok() ? 6 : ranks.rank() + 1);
    return absl::OkStatus();
  }));
  return statuses;
}

const absl::Status kOk;

TEST(AgreementTest, SumsWhenAllAreWell) {
  for (const absl::Status& status : Agree({kOk, kOk, kOk}, {false, false, false})) {
    EXPECT_OK(status);
  }
}

TEST(AgreementTest, OneFailureFailsAll) {
  const auto statuses = Agree({kOk, absl::DataLossError("bad file"), kOk}, {false, false, false});
  EXPECT_THAT(statuses[0], StatusIs(absl::StatusCode::kAborted, "another trainer rank"));
  EXPECT_THAT(statuses[1], StatusIs(absl::StatusCode::kDataLoss, "bad file"));
  EXPECT_THAT(statuses[2], StatusIs(absl::StatusCode::kAborted, "another trainer rank"));
}

TEST(AgreementTest, OneWishToStopStopsAll) {
  for (const absl::Status& status : Agree({kOk, kOk, kOk}, {false, false, true})) {
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
  }
}

TEST(AgreementTest, ACancelledRankOnlyWantedToStop) {
  for (const absl::Status& status :
       Agree({kOk, absl::CancelledError("told to"), kOk}, {false, false, false})) {
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
  }
}

}  // namespace
}  // namespace attune
