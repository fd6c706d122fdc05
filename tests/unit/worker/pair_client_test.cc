#include "worker/pair_client.h"

#include "rpc/server.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/worker/fake_pair_service.h"

namespace attune {
namespace {

class PairClientTest : public testing::Test {
 protected:
  static std::vector<v1::TrainingPair> Pairs() {
    std::vector<v1::TrainingPair> pairs(5);
    for (uint32_t i = 0; i < pairs.size(); ++i) pairs[i].set_index(i);
    return pairs;
  }

  absl::StatusOr<std::vector<v1::TrainingPair>> Fetch(const std::function<bool()>& stop) {
    v1::StreamPairsRequest request;
    request.set_job("jobs/a");
    request.set_round(2);
    request.set_batch_size(3);
    request.set_world_size(1);
    return FetchPairs(server_->address(), request, stop);
  }

  FakePairService service_{Pairs()};
  const std::unique_ptr<RpcServer> server_ =
      RpcServer::Start("127.0.0.1:0", {&service_}).value();
};

TEST_F(PairClientTest, FetchesAllPairsInOrder) {
  ASSERT_OK_AND_ASSIGN(const auto pairs, Fetch([] { return false; }));
  ASSERT_EQ(pairs.size(), 5u);
  for (uint32_t i = 0; i < 5; ++i) EXPECT_EQ(pairs[i].index(), i);
  EXPECT_EQ(pairs[3].update(), 1u);
}

TEST_F(PairClientTest, BeginsAgainWhenTheCoordinatorGoesAwayInTheMiddle) {
  service_.FailNext(2, grpc::StatusCode::UNAVAILABLE);
  ASSERT_OK_AND_ASSIGN(const auto pairs, Fetch([] { return false; }));
  EXPECT_EQ(pairs.size(), 5u);
  EXPECT_EQ(service_.calls(), 3);
}

TEST_F(PairClientTest, DoesNotRepeatWhatTheCoordinatorRefuses) {
  service_.FailNext(1, grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(Fetch([] { return false; }),
              StatusIs(absl::StatusCode::kInternal, "pairs of jobs/a round 2"));
  EXPECT_EQ(service_.calls(), 1);
}

TEST_F(PairClientTest, StopsWaitingWhenToldTo) {
  service_.FailNext(1'000'000, grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(Fetch([this] { return service_.calls() > 1; }),
              StatusIs(absl::StatusCode::kCancelled, "stopped"));
}

}  // namespace
}  // namespace attune
