// TrainOnGang against real gRPC servers on this machine.
#include "coordinator/gang_call.h"

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "attune/v1/trainer.grpc.pb.h"
#include "gtest/gtest.h"
#include "rpc/grpc_status.h"
#include "rpc/server.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

// A rank that answers with `answer`; the call's number is given, from 1.
class FakeTrainer final : public v1::TrainerService::Service {
 public:
  using Answer = std::function<absl::Status(int call, grpc::ServerContext*, std::string* digest)>;
  explicit FakeTrainer(Answer answer) : answer_(std::move(answer)) {
    server_ = RpcServer::Start("127.0.0.1:0", {this}).value();
  }
  grpc::Status TrainRound(grpc::ServerContext* context, const v1::TrainRoundRequest*,
                          grpc::ServerWriter<v1::TrainRoundEvent>* writer) override {
    v1::TrainRoundEvent event;
    event.mutable_result();
    const absl::Status status =
        answer_(++calls_, context, event.mutable_result()->mutable_policy()->mutable_digest());
    if (status.ok()) writer->Write(event);
    return ToGrpcStatus(status);
  }
  const std::string& address() const { return server_->address(); }
  int calls() const { return calls_; }

 private:
  const Answer answer_;
  std::atomic<int> calls_ = 0;
  std::unique_ptr<RpcServer> server_;
};

absl::Status Succeed(int, grpc::ServerContext*, std::string* digest) {
  *digest = "same";
  return absl::OkStatus();
}

absl::StatusOr<v1::TrainRoundResult> Train(const std::vector<FakeTrainer*>& ranks) {
  Membership membership;
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    v1::WorkerInfo worker;
    worker.set_id("rank" + std::to_string(rank));
    worker.set_role(v1::WORKER_ROLE_TRAINER);
    worker.set_address(ranks[rank]->address());
    worker.set_gang_id("gang");
    worker.set_rank(static_cast<uint32_t>(rank));
    worker.set_world_size(static_cast<uint32_t>(ranks.size()));
    EXPECT_OK(membership.Register(worker));
  }
  return TrainOnGang(membership, v1::TrainRoundRequest(), {}, [](const v1::StepMetrics&) {});
}

TEST(GangCallTest, CallsEveryRankOnce) {
  FakeTrainer first(Succeed), second(Succeed);
  ASSERT_OK_AND_ASSIGN(const v1::TrainRoundResult result, Train({&first, &second}));
  EXPECT_EQ(result.policy().digest(), "same");
  EXPECT_EQ(first.calls(), 1);
  EXPECT_EQ(second.calls(), 1);
}

TEST(GangCallTest, TriesAgainWhenARankFailsAndEndsTheOthers) {
  FakeTrainer hanging([](int call, grpc::ServerContext* context, std::string* digest) {
    // Like a rank that waits in a collective for one that is gone.
    while (call == 1 && !context->IsCancelled()) {
    }
    return call == 1 ? absl::AbortedError("cancelled") : Succeed(call, context, digest);
  });
  FakeTrainer failing([&](int call, grpc::ServerContext* context, std::string* digest) {
    // Not before the other has begun: a call cancelled on its way would never reach it.
    while (hanging.calls() == 0) {
    }
    return call == 1 ? absl::UnavailableError("lost its data") : Succeed(call, context, digest);
  });
  ASSERT_OK(Train({&hanging, &failing}));
  EXPECT_EQ(hanging.calls(), 2);
}

TEST(GangCallTest, NamesTheRankOfAFinalError) {
  FakeTrainer good([](int, grpc::ServerContext*, std::string*) {
    return absl::AbortedError("another rank failed");
  });
  FakeTrainer bad([](int, grpc::ServerContext*, std::string*) {
    return absl::FailedPreconditionError("loss is not finite at update 3");
  });
  EXPECT_THAT(Train({&good, &bad}),
              StatusIs(absl::StatusCode::kFailedPrecondition, "trainer rank 1"));
}

TEST(GangCallTest, RanksMustAgreeOnTheWeights) {
  FakeTrainer one(Succeed);
  FakeTrainer other([](int, grpc::ServerContext*, std::string* digest) {
    *digest = "different";
    return absl::OkStatus();
  });
  EXPECT_THAT(Train({&one, &other}), StatusIs(absl::StatusCode::kDataLoss, "different weights"));
}

}  // namespace
}  // namespace attune
