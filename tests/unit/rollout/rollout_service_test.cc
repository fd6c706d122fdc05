#include "rollout/rollout_service.h"

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "attune/v1/membership.grpc.pb.h"
#include "common/files.h"
#include "gtest/gtest.h"
#include "rpc/channel.h"
#include "rpc/grpc_status.h"
#include "rpc/server.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/rollout/fake_weight_server.h"
#include "tests/unit/rollout/small_model.h"

namespace attune {
namespace {

using absl::StatusCode;

class RolloutServiceTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(directory_, MakeTemporaryDirectory("attune-rollout"));
    ASSERT_OK_AND_ASSIGN(metrics_, Metrics::Create("", "rollout"));
    service_ = std::make_unique<RolloutServiceImpl>(*metrics_, EngineOptions{.threads = 2});
    ASSERT_OK_AND_ASSIGN(server_, RpcServer::Start("127.0.0.1:0", {service_.get()}));
    stub_ = v1::RolloutService::NewStub(MakeChannel(server_->address()));
  }
  void TearDown() override { EXPECT_OK(RemoveAll(directory_)); }

  absl::StatusOr<v1::DescribeModelResponse> Describe(const std::string& path) {
    v1::DescribeModelRequest request;
    request.set_model_path(path);
    v1::DescribeModelResponse response;
    grpc::ClientContext context;
    SetDeadline(context, absl::Seconds(60), /*wait_for_ready=*/true);
    ATTUNE_RETURN_IF_ERROR(FromGrpcStatus(stub_->DescribeModel(&context, request, &response)));
    return response;
  }

  absl::StatusOr<v1::LoadPolicyResponse> Load(const v1::PolicySource& policy,
                                              bool with_initial = false,
                                              v1::Precision precision = v1::PRECISION_FP32) {
    v1::LoadPolicyRequest request;
    request.set_precision(precision);
    *request.mutable_policy() = policy;
    if (with_initial) *request.mutable_initial() = SourceOf(initial_, 0);
    v1::LoadPolicyResponse response;
    grpc::ClientContext context;
    SetDeadline(context, absl::Seconds(60), /*wait_for_ready=*/true);
    ATTUNE_RETURN_IF_ERROR(FromGrpcStatus(stub_->LoadPolicy(&context, request, &response)));
    return response;
  }

  absl::StatusOr<v1::SampleResponse> Sample(const v1::SampleRequest& request) {
    grpc::ClientContext context;
    return Sample(request, context);
  }
  absl::StatusOr<v1::SampleResponse> Sample(const v1::SampleRequest& request,
                                            grpc::ClientContext& context) {
    v1::SampleResponse response;
    SetDeadline(context, absl::Seconds(200), /*wait_for_ready=*/true);
    ATTUNE_RETURN_IF_ERROR(FromGrpcStatus(stub_->Sample(&context, request, &response)));
    return response;
  }

  static v1::SampleRequest Request(const std::string& digest, int prompts = 2,
                                   uint32_t new_tokens = 8) {
    v1::SampleRequest request;
    request.mutable_policy()->set_digest(digest);
    for (int i = 0; i < prompts; ++i) {
      request.add_prompts()->set_index(i);
      request.mutable_prompts(i)->set_text("Once upon a time");
    }
    request.mutable_sampling()->set_num_generations(1);
    request.mutable_sampling()->set_temperature(0.9);
    request.mutable_sampling()->set_top_p(1.0);
    request.mutable_sampling()->set_top_k(0);
    request.mutable_sampling()->set_max_new_tokens(new_tokens);
    return request;
  }

  const SmallModel initial_ = MakeSmallModel(1.0f);
  const SmallModel trained_ = MakeSmallModel(1.01f);
  std::string directory_;
  std::unique_ptr<Metrics> metrics_;
  std::unique_ptr<RolloutServiceImpl> service_;
  std::unique_ptr<RpcServer> server_;
  std::unique_ptr<v1::RolloutService::Stub> stub_;
};

TEST_F(RolloutServiceTest, DescribesAModel) {
  ASSERT_OK_AND_ASSIGN(const v1::DescribeModelResponse model, Describe(kModelPath));
  EXPECT_EQ(model.architecture(), "llama");
  EXPECT_EQ(model.parameters(), 260'032u);
  EXPECT_EQ(model.vocab_size(), 512u);
  EXPECT_EQ(model.max_position_embeddings(), 512u);
  EXPECT_EQ(model.weights_digest(), initial_.digest);
}

TEST_F(RolloutServiceTest, SaysInOneSentenceWhyAModelCannotBeUsed) {
  EXPECT_THAT(Describe("/nowhere"), StatusIs(StatusCode::kInvalidArgument, "/nowhere"));
  const std::string copy = JoinPath(directory_, "model");
  ASSERT_OK(CreateDirectories(copy));
  for (const char* name : {"config.json", "generation_config.json", "tokenizer.json",
                           "tokenizer_config.json", "model.safetensors"}) {
    ASSERT_OK(CopyFile(JoinPath(kModelPath, name), JoinPath(copy, name)));
  }
  ASSERT_OK(Describe(copy));
  ASSERT_OK_AND_ASSIGN(const std::string weights, ReadFile(JoinPath(copy, "model.safetensors")));
  ASSERT_OK(WriteFile(JoinPath(copy, "model.safetensors"), weights.substr(0, 100'000)));
  EXPECT_THAT(Describe(copy), StatusIs(StatusCode::kInvalidArgument, "model.safetensors"));
  ASSERT_OK(WriteFile(JoinPath(copy, "model.safetensors"), weights));
  ASSERT_OK(WriteFile(JoinPath(copy, "tokenizer.json"), "{"));
  EXPECT_THAT(Describe(copy), StatusIs(StatusCode::kInvalidArgument, "tokenizer.json"));
}

TEST_F(RolloutServiceTest, SamplesOnlyFromThePolicyThatIsAskedFor) {
  EXPECT_THAT(Sample(Request(initial_.digest)),
              StatusIs(StatusCode::kFailedPrecondition, "holds no policy yet"));
  ASSERT_OK_AND_ASSIGN(const v1::LoadPolicyResponse loaded, Load(SourceOf(initial_, 0)));
  EXPECT_EQ(loaded.policy().digest(), initial_.digest);
  ASSERT_OK_AND_ASSIGN(const v1::SampleResponse sampled, Sample(Request(initial_.digest)));
  EXPECT_EQ(sampled.responses_size(), 2);
  const auto refused = Sample(Request(trained_.digest));
  EXPECT_THAT(refused, StatusIs(StatusCode::kFailedPrecondition, trained_.digest));
  EXPECT_THAT(refused, StatusIs(StatusCode::kFailedPrecondition, initial_.digest));
}

TEST_F(RolloutServiceTest, SamplesOnlyInThePrecisionThatIsAskedFor) {
  ASSERT_OK(Load(SourceOf(initial_, 0)));
  v1::SampleRequest request = Request(initial_.digest);
  request.set_precision(v1::PRECISION_FP32);  // what is meant where nothing is said
  ASSERT_OK_AND_ASSIGN(const v1::SampleResponse exact, Sample(request));
  request.set_precision(v1::PRECISION_BF16);
  EXPECT_THAT(Sample(request), StatusIs(StatusCode::kFailedPrecondition, "another precision"));
  ASSERT_OK(Load(SourceOf(initial_, 0), /*with_initial=*/false, v1::PRECISION_BF16));
  ASSERT_OK_AND_ASSIGN(const v1::SampleResponse rounded, Sample(request));
  EXPECT_NE(rounded.responses(0).logps(0), exact.responses(0).logps(0));
}

TEST_F(RolloutServiceTest, NeedsTheInitialPolicyForItsLogProbabilities) {
  v1::SampleRequest request = Request(initial_.digest);
  request.set_with_initial_logps(true);
  ASSERT_OK(Load(SourceOf(initial_, 0)));
  EXPECT_THAT(Sample(request),
              StatusIs(StatusCode::kFailedPrecondition, "holds no initial policy"));
  ASSERT_OK(Load(SourceOf(initial_, 0), /*with_initial=*/true));
  ASSERT_OK_AND_ASSIGN(const v1::SampleResponse sampled, Sample(request));
  EXPECT_EQ(sampled.responses(0).initial_logps_size(), sampled.responses(0).token_ids_size());
}

TEST_F(RolloutServiceTest, NeedsTheInitialPolicyForAnOpponent) {
  for (const v1::Opponent opponent : {v1::OPPONENT_INITIAL, v1::OPPONENT_MIXTURE}) {
    v1::SampleRequest request = Request(initial_.digest);
    request.mutable_sampling()->set_opponent(opponent);
    request.mutable_sampling()->set_mixture_coef(0.5);
    ASSERT_OK(Load(SourceOf(initial_, 0)));
    EXPECT_THAT(Sample(request),
                StatusIs(StatusCode::kFailedPrecondition, "holds no initial policy"));
    ASSERT_OK(Load(SourceOf(initial_, 0), /*with_initial=*/true));
    ASSERT_OK_AND_ASSIGN(const v1::SampleResponse sampled, Sample(request));
    EXPECT_EQ(sampled.responses(0).provenance(), v1::PROVENANCE_OPPONENT);
  }
}

TEST_F(RolloutServiceTest, KeepsTheOldPolicyWhenTheNewOneIsDamaged) {
  ASSERT_OK(Load(SourceOf(initial_, 0)));
  FakeWeightServer first(trained_.weights, trained_.digest, 0, 2);
  FakeWeightServer bad(trained_.weights, trained_.digest, 1, 2, [](v1::WeightChunk& chunk) {
    (*chunk.mutable_values())[5] ^= 1;
    return true;
  });
  FakeWeightServer good(trained_.weights, trained_.digest, 1, 2);
  v1::PolicySource source = SourceOf(trained_, 1);
  source.add_weight_addresses(first.address());
  source.add_weight_addresses(bad.address());
  EXPECT_THAT(Load(source), StatusIs(StatusCode::kDataLoss, "CRC-32C"));
  EXPECT_OK(Sample(Request(initial_.digest)));
  source.set_weight_addresses(1, good.address());
  ASSERT_OK_AND_ASSIGN(const v1::LoadPolicyResponse loaded, Load(source));
  EXPECT_EQ(loaded.policy().round(), 1u);
  EXPECT_EQ(loaded.policy().digest(), trained_.digest);
  EXPECT_EQ(loaded.bytes(), trained_.weights.size() * 4);
  EXPECT_OK(Sample(Request(trained_.digest)));
}

TEST_F(RolloutServiceTest, RefusesMoreCallsThanItsLimitAndEndsThoseWhoseCallerHasGone) {
  ASSERT_OK(Load(SourceOf(initial_, 0)));
  constexpr int kCalls = RolloutServiceImpl::kSampleCallsMax + 1;
  std::vector<grpc::ClientContext> contexts(kCalls);
  std::vector<std::thread> callers;
  absl::Mutex mu;
  std::vector<absl::Status> statuses;
  for (int i = 0; i < kCalls; ++i) {
    callers.emplace_back([&, i] {
      // More work than would be done before it is cancelled below.
      const absl::Status status = Sample(Request(initial_.digest, 1024, 200), contexts[i]).status();
      absl::MutexLock lock(&mu);
      statuses.push_back(status);
    });
  }
  {
    absl::MutexLock lock(&mu);
    const auto one_ended = [&] { return !statuses.empty(); };
    mu.Await(absl::Condition(&one_ended));
  }
  for (grpc::ClientContext& context : contexts) context.TryCancel();
  for (std::thread& caller : callers) caller.join();
  EXPECT_THAT(statuses[0], StatusIs(StatusCode::kResourceExhausted, "busy with 8 Sample calls"));
  for (int i = 1; i < kCalls; ++i) EXPECT_THAT(statuses[i], StatusIs(StatusCode::kCancelled, ""));
  absl::Status after;
  do {  // until the server has noticed
    after = Sample(Request(initial_.digest, 0)).status();
  } while (absl::IsResourceExhausted(after));
  EXPECT_OK(after);
}

// Notes who registers.
class FakeCoordinator final : public v1::MembershipService::Service {
 public:
  grpc::Status Register(grpc::ServerContext*, const v1::RegisterRequest* request,
                        v1::RegisterResponse* response) override {
    response->set_heartbeat_seconds(60);
    absl::MutexLock lock(&mu_);
    worker_ = request->worker();
    return grpc::Status::OK;
  }
  grpc::Status Leave(grpc::ServerContext*, const v1::LeaveRequest* request,
                     v1::LeaveResponse*) override {
    absl::MutexLock lock(&mu_);
    left_ = request->id();
    return grpc::Status::OK;
  }

  void AwaitWorkerWith(const std::string& digest) {
    absl::MutexLock lock(&mu_);
    const auto reported = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return worker_.id() == "w" && worker_.policy().digest() == digest;
    };
    mu_.Await(absl::Condition(&reported));
  }
  std::string left() {
    absl::MutexLock lock(&mu_);
    return left_;
  }

 private:
  absl::Mutex mu_;
  v1::WorkerInfo worker_ ABSL_GUARDED_BY(mu_);
  std::string left_ ABSL_GUARDED_BY(mu_);
};

TEST_F(RolloutServiceTest, TellsTheCoordinatorWhatItHolds) {
  FakeCoordinator coordinator;
  ASSERT_OK_AND_ASSIGN(const auto server, RpcServer::Start("127.0.0.1:0", {&coordinator}));
  v1::WorkerInfo worker;
  worker.set_id("w");
  service_->Join(server->address(), worker);
  coordinator.AwaitWorkerWith("");
  ASSERT_OK(Load(SourceOf(initial_, 0)));
  coordinator.AwaitWorkerWith(initial_.digest);
  service_->Leave();
  EXPECT_EQ(coordinator.left(), "w");
  EXPECT_OK(Load(SourceOf(initial_, 0)));  // and lives on without
}

}  // namespace
}  // namespace attune
