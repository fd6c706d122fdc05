// Whole rounds over gRPC: ranks in threads, each with its own servers, and a coordinator that only
// gives pairs.
#include "worker/trainer_service.h"

#include <cmath>
#include <cstring>
#include <thread>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "common/files.h"
#include "model/policy.h"
#include "model/scorer.h"
#include "nlohmann/json.hpp"
#include "rpc/channel.h"
#include "rpc/grpc_status.h"
#include "rpc/server.h"
#include "tests/reference/model_factory.h"
#include "tests/reference/model_variants.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/worker/fake_pair_service.h"
#include "tests/unit/worker/reference_data.h"

namespace attune {
namespace {

using testing::Contains;
using testing::Field;
using Events = std::vector<v1::TrainRoundEvent>;

struct Answer {
  absl::Status status;
  Events events;
};

class TrainerServiceTest : public testing::Test {
 protected:
  void TearDown() override { EXPECT_OK(RemoveAll(directory_)); }

  v1::TrainRoundRequest Request() const {
    v1::TrainRoundRequest request = ReferenceRequest();
    request.mutable_training()->set_per_device_train_batch_size(2);
    request.mutable_training()->set_num_train_epochs(2);
    request.mutable_input()->set_model_path(kModelPath);
    request.mutable_input()->mutable_version()->set_digest(
        WeightsDigest(WeightLayout(TestConfig()), TestWeights()));
    request.set_output_path(JoinPath(directory_, "round-1"));
    request.set_coordinator(coordinator_->address());
    request.set_attempt("gang/1");
    return request;
  }

  static Answer Call(const std::string& address, const v1::TrainRoundRequest& request,
                     grpc::ClientContext* context,
                     const std::function<void()>& on_event = [] {}) {
    const auto stub = v1::TrainerService::NewStub(MakeChannel(address));
    const auto stream = stub->TrainRound(context, request);
    Answer answer;
    v1::TrainRoundEvent event;
    while (stream->Read(&event)) {
      answer.events.push_back(event);
      on_event();
    }
    answer.status = FromGrpcStatus(stream->Finish());
    return answer;
  }

  static Answer Call(const std::string& address, const v1::TrainRoundRequest& request) {
    grpc::ClientContext context;
    SetDeadline(context, absl::Minutes(2), /*wait_for_ready=*/true);
    return Call(address, request, &context);
  }

  // As the coordinator does: the failure of one rank cancels the calls to the others.
  static std::vector<Answer> CallAll(const std::vector<std::string>& addresses,
                                     const v1::TrainRoundRequest& request) {
    std::vector<Answer> answers(addresses.size());
    std::vector<grpc::ClientContext> contexts(addresses.size());
    std::vector<std::thread> threads;
    for (size_t rank = 0; rank < addresses.size(); ++rank) {
      SetDeadline(contexts[rank], absl::Minutes(2), /*wait_for_ready=*/true);
      threads.emplace_back([&, rank] {
        answers[rank] = Call(addresses[rank], request, &contexts[rank]);
        if (answers[rank].status.ok()) return;
        for (grpc::ClientContext& context : contexts) context.TryCancel();
      });
    }
    for (std::thread& thread : threads) thread.join();
    return answers;
  }

  // Serves `count` ranks while `body` runs with their addresses. The collectives belong to the
  // services, so the ranks wait for each other by other means.
  void WithRanks(int count, const std::function<void(const std::vector<std::string>&)>& body) {
    std::vector<std::string> addresses(count);
    absl::BlockingCounter started(count);
    absl::Notification done;
    EXPECT_OK(RunLocalRanks(count, [&](Collective& ranks) {
      const auto metrics = Metrics::Create("", "trainer").value();
      WeightServer weights(ranks.rank(), count, metrics.get());
      TrainerServiceImpl trainer(&ranks, &weights, metrics.get(), /*threads=*/1);
      const auto server = RpcServer::Start("127.0.0.1:0", {&trainer, &weights}).value();
      addresses[ranks.rank()] = server->address();
      started.DecrementCount();
      if (ranks.rank() == 0) {
        started.Wait();
        body(addresses);
        done.Notify();
      }
      done.WaitForNotification();
      return absl::OkStatus();
    }));
  }

  std::vector<float> Fetch(const std::vector<std::string>& addresses,
                           const v1::PolicyVersion& version) {
    std::vector<float> weights;
    for (const std::string& address : addresses) {
      grpc::ClientContext context;
      SetDeadline(context, absl::Seconds(30), /*wait_for_ready=*/true);
      v1::FetchWeightsRequest request;
      *request.mutable_policy() = version;
      const auto stream =
          v1::WeightService::NewStub(MakeChannel(address))->FetchWeights(&context, request);
      v1::WeightChunk chunk;
      while (stream->Read(&chunk)) {
        weights.resize(chunk.total());
        std::memcpy(weights.data() + chunk.offset(), chunk.values().data(), chunk.values().size());
      }
      EXPECT_OK(FromGrpcStatus(stream->Finish()));
    }
    return weights;
  }

  const std::string directory_ = MakeTemporaryDirectory("trainer-service").value();
  FakePairService pairs_{ReferencePairs()};
  const std::unique_ptr<RpcServer> coordinator_ =
      RpcServer::Start("127.0.0.1:0", {&pairs_}).value();
};

TEST_F(TrainerServiceTest, TrainsSavesAndServesOneRoundOnTwoRanks) {
  WithRanks(2, [&](const std::vector<std::string>& addresses) {
    const std::vector<Answer> answers = CallAll(addresses, Request());
    ASSERT_OK(answers[0].status);
    ASSERT_OK(answers[1].status);
    ASSERT_EQ(answers[0].events.size(), 5u);  // four updates and the outcome
    ASSERT_EQ(answers[1].events.size(), 1u);
    EXPECT_NEAR(answers[0].events[0].step().values().at("loss"), std::log(2.0), 1e-6);
    EXPECT_LT(answers[0].events[3].step().values().at("loss"), 0.6);
    const v1::TrainRoundResult& result = answers[0].events.back().result();
    EXPECT_EQ(result.steps(), 4u);
    EXPECT_EQ(result.policy().round(), 1u);
    EXPECT_EQ(result.policy().digest(), answers[1].events[0].result().policy().digest());

    const std::string path = Request().output_path();
    ASSERT_OK_AND_ASSIGN(const std::vector<float> saved, LoadWeights(path, TestConfig()));
    EXPECT_EQ(WeightsDigest(WeightLayout(TestConfig()), saved), result.policy().digest());
    EXPECT_EQ(Fetch(addresses, result.policy()), saved);
    const auto manifest = nlohmann::json::parse(ReadFile(JoinPath(path, "attune.json")).value());
    EXPECT_EQ(manifest["job"], "jobs/reference");
    EXPECT_EQ(manifest["parent_digest"], Request().input().version().digest());
    EXPECT_EQ(manifest["digest"], result.policy().digest());
  });
}

std::vector<int32_t> IdsOf(const v1::TrainingPair& pair, const v1::TrainingResponse& response) {
  std::vector<int32_t> ids(pair.prompt_token_ids().begin(), pair.prompt_token_ids().end());
  ids.insert(ids.end(), response.token_ids().begin(), response.token_ids().end());
  return ids;
}

TEST_F(TrainerServiceTest, TrainsRewardModelsForTwoRounds) {
  WithRanks(2, [&](const std::vector<std::string>& addresses) {
    v1::TrainRoundRequest request = Request();
    request.mutable_objective()->set_loss_type(0, v1::LOSS_TYPE_REWARD_MODEL);
    request.set_seed(7);
    const std::vector<Answer> answers = CallAll(addresses, request);
    ASSERT_OK(answers[0].status);
    ASSERT_OK(answers[1].status);
    const v1::TrainRoundResult& result = answers[0].events.back().result();
    EXPECT_EQ(result.probe().pairs(), 4u);
    ASSERT_OK_AND_ASSIGN(const auto model, Policy::Load(request.output_path()));
    EXPECT_EQ(model->config().outputs(), 1);
    ASSERT_OK_AND_ASSIGN(const std::vector<float> saved,
                         LoadWeights(request.output_path(), model->config()));
    EXPECT_EQ(WeightsDigest(WeightLayout(model->config()), saved), result.policy().digest());
    EXPECT_EQ(Fetch(addresses, result.policy()), saved);
    double right = 0;
    for (const v1::TrainingPair& pair : ReferencePairs()) {
      const auto chosen = ClassificationScores(*model, IdsOf(pair, pair.chosen()));
      const auto rejected = ClassificationScores(*model, IdsOf(pair, pair.rejected()));
      right += chosen->front() > rejected->front() ? 1 : 0;
    }
    EXPECT_EQ(result.probe().accuracy(), right / 4);

    request.set_round(2);
    request.mutable_input()->set_checkpoint_path(request.output_path());
    *request.mutable_input()->mutable_version() = result.policy();
    request.set_output_path(JoinPath(directory_, "round-2"));
    const std::vector<Answer> next = CallAll(addresses, request);
    ASSERT_OK(next[0].status);
    const auto loss = [](const v1::TrainRoundEvent& event) {
      return event.step().values().at("loss");
    };
    EXPECT_LT(loss(next[0].events[0]), loss(answers[0].events[0]));
    EXPECT_EQ(LoadModelConfig(request.output_path())->num_labels, 1);
  });
}

TEST_F(TrainerServiceTest, ARepeatedAttemptReplacesTheCheckpointWithTheSameWeights) {
  WithRanks(1, [&](const std::vector<std::string>& addresses) {
    const Answer first = Call(addresses[0], Request());
    ASSERT_OK(first.status);
    ASSERT_OK(WriteFile(JoinPath(Request().output_path(), "left-over"), ""));
    const Answer second = Call(addresses[0], Request());
    ASSERT_OK(second.status);
    EXPECT_EQ(first.events.back().result().policy().digest(),
              second.events.back().result().policy().digest());
    EXPECT_FALSE(FileExists(JoinPath(Request().output_path(), "left-over")));
  });
}

TEST_F(TrainerServiceTest, TheNextRoundBeginsFromTheCheckpoint) {
  WithRanks(1, [&](const std::vector<std::string>& addresses) {
    const Answer first = Call(addresses[0], Request());
    ASSERT_OK(first.status);
    v1::TrainRoundRequest next = Request();
    next.set_round(2);
    next.mutable_input()->set_checkpoint_path(Request().output_path());
    *next.mutable_input()->mutable_version() = first.events.back().result().policy();
    next.set_output_path(JoinPath(directory_, "round-2"));
    const Answer second = Call(addresses[0], next);
    ASSERT_OK(second.status);
    EXPECT_LT(second.events[0].step().values().at("loss"), 0.6);
  });
}

TEST_F(TrainerServiceTest, AdaptersGoOnFromRoundToRound) {
  WithRanks(2, [&](const std::vector<std::string>& addresses) {
    v1::TrainRoundRequest request = Request();
    request.mutable_objective()->set_loss_type(0, v1::LOSS_TYPE_OFS_DPO);
    request.mutable_objective()->set_slow_lr_ratio(0.5);
    request.mutable_training()->set_learning_rate(2e-3);
    request.mutable_training()->mutable_lora()->set_r(4);
    request.mutable_training()->mutable_lora()->set_lora_alpha(8);
    request.mutable_training()->mutable_lora()->add_target_modules("q_proj");
    const std::vector<Answer> first = CallAll(addresses, request);
    ASSERT_OK(first[0].status);
    const v1::PolicyVersion policy = first[0].events.back().result().policy();
    ASSERT_OK_AND_ASSIGN(const std::vector<float> saved,
                         LoadWeights(request.output_path(), TestConfig()));
    EXPECT_EQ(WeightsDigest(WeightLayout(TestConfig()), saved), policy.digest());
    EXPECT_EQ(Fetch(addresses, policy), saved);
    EXPECT_TRUE(DirectoryExists(JoinPath(request.output_path(), "adapter_slow")));

    v1::TrainRoundRequest next = request;
    next.set_round(2);
    next.mutable_input()->set_checkpoint_path(request.output_path());
    *next.mutable_input()->mutable_version() = policy;
    next.set_output_path(JoinPath(directory_, "round-2"));
    const std::vector<Answer> second = CallAll(addresses, next);
    ASSERT_OK(second[0].status);
    const auto loss = [](const Answer& answer, size_t update) {
      return answer.events[update].step().values().at("loss/dpo");
    };
    EXPECT_LT(loss(second[0], 0), loss(first[0], 0));
    // A repeated attempt gives the same weights; weights that are not those of the adapter do not.
    const std::vector<Answer> again = CallAll(addresses, next);
    ASSERT_OK(again[0].status);
    EXPECT_EQ(again[0].events.back().result().policy().digest(),
              second[0].events.back().result().policy().digest());
    next.mutable_input()->mutable_version()->set_digest("another");
    EXPECT_THAT(CallAll(addresses, next),
                Contains(Field(&Answer::status,
                               StatusIs(absl::StatusCode::kDataLoss, "has another"))));
  });
}

TEST_F(TrainerServiceTest, RefusesTargetModulesThatTheModelLacks) {
  WithRanks(1, [&](const std::vector<std::string>& addresses) {
    v1::TrainRoundRequest request = Request();
    request.mutable_training()->mutable_lora()->set_r(4);
    request.mutable_training()->mutable_lora()->set_lora_alpha(8);
    request.mutable_training()->mutable_lora()->add_target_modules("c_attn");
    EXPECT_THAT(Call(addresses[0], request).status,
                StatusIs(absl::StatusCode::kInvalidArgument, "must be of down_proj, gate_proj"));
  });
}

TEST_F(TrainerServiceTest, RefusesWeightsThatAreNotTheInputPolicy) {
  WithRanks(2, [&](const std::vector<std::string>& addresses) {
    v1::TrainRoundRequest request = Request();
    request.mutable_input()->mutable_version()->set_digest("another");
    EXPECT_THAT(CallAll(addresses, request),
                Contains(Field(&Answer::status,
                               StatusIs(absl::StatusCode::kDataLoss, "has another"))));
    EXPECT_FALSE(DirectoryExists(request.output_path()));
  });
}

TEST_F(TrainerServiceTest, RefusesASequenceClassifier) {
  const std::string classifier = JoinPath(directory_, "classifier");
  ASSERT_OK(CreateDirectories(classifier));
  WriteVariant(ClassifierVariants().front(), classifier);
  WithRanks(1, [&](const std::vector<std::string>& addresses) {
    v1::TrainRoundRequest request = Request();
    request.mutable_input()->set_model_path(classifier);
    EXPECT_THAT(Call(addresses[0], request).status,
                StatusIs(absl::StatusCode::kInvalidArgument, "classifier with 1 labels"));
  });
}

TEST_F(TrainerServiceTest, ALossThatIsNotFiniteSavesNothing) {
  WithRanks(1, [&](const std::vector<std::string>& addresses) {
    v1::TrainRoundRequest request = Request();
    request.mutable_training()->set_learning_rate(1e30);
    EXPECT_THAT(Call(addresses[0], request).status,
                StatusIs(absl::StatusCode::kFailedPrecondition, "update 2 of 4"));
    EXPECT_FALSE(DirectoryExists(request.output_path()));
    EXPECT_OK(Call(addresses[0], Request()).status);
  });
}

TEST_F(TrainerServiceTest, CancellingOneRankStopsAllAndTheGangTrainsAgain) {
  WithRanks(2, [&](const std::vector<std::string>& addresses) {
    v1::TrainRoundRequest endless = Request();
    endless.mutable_training()->set_num_train_epochs(100'000);
    grpc::ClientContext context;
    SetDeadline(context, absl::Minutes(2), /*wait_for_ready=*/true);
    Answer rank0;
    std::thread caller([&] {
      rank0 = Call(addresses[0], endless, &context, [&] { context.TryCancel(); });
    });
    const Answer rank1 = Call(addresses[1], endless);
    caller.join();
    EXPECT_TRUE(absl::IsCancelled(rank0.status)) << rank0.status;
    EXPECT_TRUE(absl::IsCancelled(rank1.status)) << rank1.status;
    for (const Answer& answer : CallAll(addresses, Request())) EXPECT_OK(answer.status);
  });
}

TEST_F(TrainerServiceTest, AnAttemptThatReachedOneRankOnlyGivesWayToTheNext) {
  WithRanks(2, [&](const std::vector<std::string>& addresses) {
    grpc::ClientContext lost;
    SetDeadline(lost, absl::Minutes(2), /*wait_for_ready=*/true);
    v1::TrainRoundRequest request = Request();
    Answer stuck;
    std::thread caller([&] { stuck = Call(addresses[1], request, &lost); });
    request.set_attempt("gang/2");
    std::vector<Answer> answers;
    do {  // until the lost attempt has arrived before one of these
      answers = CallAll(addresses, request);
      for (const Answer& answer : answers) {  // exhausted: the lost one waited for its turn
        EXPECT_TRUE(answer.status.ok() || absl::IsCancelled(answer.status) ||
                    absl::IsResourceExhausted(answer.status))
            << answer.status;
      }
      lost.TryCancel();
    } while (!answers[0].status.ok() || !answers[1].status.ok());
    caller.join();
    EXPECT_TRUE(absl::IsCancelled(stuck.status)) << stuck.status;
  });
}

}  // namespace
}  // namespace attune
