#include "oracle/remote_judge.h"

#include <cmath>
#include <functional>
#include <memory>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rpc/server.h"
#include "tests/testing/metric_value.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/oracle/candidates.h"

namespace attune {
namespace {

using absl::StatusCode;
using testing::ElementsAre;

// Somebody's service; the score of a response is its number of tokens unless the test says more.
class FakeService final : public v1::OracleService::Service {
 public:
  grpc::Status Describe(grpc::ServerContext*, const v1::DescribeRequest* request,
                        v1::DescribeResponse* response) override {
    described = request->spec();
    response->set_oracle("tokens/3");
    response->set_oracle_digest(digest);
    return describe_status;
  }

  grpc::Status Judge(grpc::ServerContext*, const v1::JudgeRequest* request,
                     v1::JudgeResponse* response) override {
    seen = *request;
    v1::Judgment& judgment = *response->add_judgments();
    judgment.set_prompt_index(request->items(0).prompt_index());
    for (const uint32_t tokens : request->items(0).response_tokens()) judgment.add_scores(tokens);
    return change(calls++, response);
  }

  std::string digest = "d1";
  grpc::Status describe_status;
  // What becomes of the answer of call n.
  std::function<grpc::Status(int n, v1::JudgeResponse* response)> change =
      [](int, v1::JudgeResponse*) { return grpc::Status::OK; };
  int calls = 0;
  v1::OracleSpec described;
  v1::JudgeRequest seen;
};

class RemoteJudgeTest : public testing::Test {
 protected:
  void SetUp() override {
    endpoints_ = std::make_unique<Endpoints>(metrics_);
    remotes_ = std::make_unique<RemoteOracles>(*endpoints_);
    ASSERT_OK_AND_ASSIGN(server_, RpcServer::Start("127.0.0.1:0", {&service_}));
    spec_.set_kind(v1::ORACLE_KIND_REMOTE);
    spec_.set_endpoint(server_->address());
    v1::CallSpec& calls = *spec_.mutable_calls();
    calls.set_timeout_seconds(60);
    calls.set_max_attempts(1);
    calls.set_max_concurrency(16);
    calls.set_breaker_failures(1000);
    calls.set_breaker_seconds(3600);
    calls.set_cache_entries(100);
  }

  absl::StatusOr<Verdict> Decide() {
    ATTUNE_ASSIGN_OR_RETURN(const auto judge, remotes_->Make(spec_));
    return judge->Decide(item_);
  }

  double Value(const std::string& series) { return MetricValue(metrics_, series); }

  FakeService service_;
  Metrics& metrics_ = ServedMetrics();
  std::unique_ptr<Endpoints> endpoints_;
  std::unique_ptr<RemoteOracles> remotes_;
  std::unique_ptr<RpcServer> server_;
  v1::OracleSpec spec_;
  v1::Candidates item_ = CandidatesOf({"abc", "de"}, "gold");
};

TEST_F(RemoteJudgeTest, ForwardsTheItemAndNothingOfTheSpec) {
  item_.set_prompt_index(7);
  ASSERT_OK_AND_ASSIGN(const Verdict verdict, Decide());
  EXPECT_THAT(verdict.scores, ElementsAre(3.0, 2.0));
  EXPECT_EQ(service_.seen.items(0).SerializeAsString(), item_.SerializeAsString());
  v1::OracleSpec kind_alone;
  kind_alone.set_kind(v1::ORACLE_KIND_REMOTE);
  EXPECT_EQ(service_.seen.spec().SerializeAsString(), kind_alone.SerializeAsString());
  EXPECT_EQ(service_.described.SerializeAsString(), kind_alone.SerializeAsString());
}

TEST_F(RemoteJudgeTest, TakesProbabilitiesAndSwaps) {
  service_.change = [](int, v1::JudgeResponse* response) {
    for (const double p : {0.5, 0.9, 0.1, 0.5}) response->mutable_judgments(0)->add_preferences(p);
    response->mutable_judgments(0)->set_swaps(1);
    response->mutable_judgments(0)->set_swaps_agreed(1);
    return grpc::Status::OK;
  };
  ASSERT_OK_AND_ASSIGN(const Verdict verdict, Decide());
  EXPECT_THAT(verdict.preferences, ElementsAre(0.5, 0.9, 0.1, 0.5));
  EXPECT_EQ(verdict.swaps, 1u);
  EXPECT_EQ(verdict.swaps_agreed, 1u);
}

TEST_F(RemoteJudgeTest, ItsDigestIsThatOfAddressAndDescription) {
  ASSERT_OK_AND_ASSIGN(const auto first, remotes_->Make(spec_));
  ASSERT_OK_AND_ASSIGN(const auto same, remotes_->Make(spec_));
  service_.digest = "d2";
  ASSERT_OK_AND_ASSIGN(const auto other, remotes_->Make(spec_));
  EXPECT_EQ(first->oracle(), "remote/1");
  EXPECT_EQ(first->digest(), same->digest());
  EXPECT_NE(first->digest(), other->digest());
  service_.digest = "";
  ASSERT_OK_AND_ASSIGN(const auto unknown, remotes_->Make(spec_));
  EXPECT_EQ(unknown->digest(), "");
}

TEST_F(RemoteJudgeTest, KeepsVerdictsOfAServiceWithADigestAlone) {
  for (int i = 0; i < 2; ++i) EXPECT_OK(Decide());
  EXPECT_EQ(service_.calls, 1);
  EXPECT_EQ(Value("attune_oracle_cache_hits_total{oracle=\"remote/1\"}"), 1);
  service_.digest = "";
  for (int i = 0; i < 2; ++i) EXPECT_OK(Decide());
  EXPECT_EQ(service_.calls, 3);
}

TEST_F(RemoteJudgeTest, NoScoreComesFromABadAnswer) {
  const std::function<void(v1::JudgeResponse*)> faults[] = {
      [](v1::JudgeResponse* r) { r->clear_judgments(); },
      [](v1::JudgeResponse* r) { *r->add_judgments() = r->judgments(0); },
      [](v1::JudgeResponse* r) { r->mutable_judgments(0)->set_prompt_index(8); },
      [](v1::JudgeResponse* r) { r->mutable_judgments(0)->clear_scores(); },
      [](v1::JudgeResponse* r) { r->mutable_judgments(0)->add_scores(1); },
      [](v1::JudgeResponse* r) { r->mutable_judgments(0)->set_scores(0, std::nan("")); },
      [](v1::JudgeResponse* r) { r->mutable_judgments(0)->add_preferences(1); }};
  for (const auto& fault : faults) {
    service_.change = [&](int, v1::JudgeResponse* response) {
      fault(response);
      return grpc::Status::OK;
    };
    EXPECT_THAT(Decide(), StatusIs(StatusCode::kInternal, "attempt 1 of 1: "));
  }
  EXPECT_EQ(Value("attune_oracle_calls_total{oracle=\"remote/1\",outcome=\"bad_answer\"}"), 7);
}

TEST_F(RemoteJudgeTest, AFailureOfAJudgementIsNoFailureOfTheCall) {
  spec_.mutable_calls()->set_breaker_failures(1);
  spec_.mutable_calls()->set_max_attempts(5);
  service_.change = [](int, v1::JudgeResponse* response) {
    response->mutable_judgments(0)->set_failure("too long for me");
    return grpc::Status::OK;
  };
  for (int i = 1; i < 4; ++i) {
    EXPECT_THAT(Decide(), StatusIs(StatusCode::kFailedPrecondition, "too long for me"));
    EXPECT_EQ(service_.calls, i);
  }
}

TEST_F(RemoteJudgeTest, ACallThatFailsIsRepeated) {
  spec_.mutable_calls()->set_max_attempts(3);
  service_.change = [](int n, v1::JudgeResponse*) {
    if (n == 0) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "restarting");
    if (n == 1) return grpc::Status(grpc::StatusCode::UNKNOWN, "Exception calling application");
    return grpc::Status::OK;
  };
  EXPECT_OK(Decide());
  EXPECT_EQ(service_.calls, 3);
  EXPECT_EQ(Value("attune_oracle_retries_total{oracle=\"remote/1\"}"), 2);
}

TEST_F(RemoteJudgeTest, ARefusalIsNotRepeatedAndItsWordsAreMadePrintable) {
  spec_.mutable_calls()->set_max_attempts(3);
  service_.change = [](int, v1::JudgeResponse*) {
    return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "caf\xe9");
  };
  EXPECT_THAT(Decide(), StatusIs(StatusCode::kInvalidArgument, "caf\\xe9"));
  EXPECT_EQ(service_.calls, 1);
}

TEST_F(RemoteJudgeTest, RefusesAVerdictOfAnotherOracleThanDescribed) {
  service_.change = [](int, v1::JudgeResponse* response) {
    response->mutable_judgments(0)->set_oracle_digest("d2");
    return grpc::Status::OK;
  };
  EXPECT_THAT(Decide(), StatusIs(StatusCode::kFailedPrecondition, "was it replaced?"));
}

TEST_F(RemoteJudgeTest, AServiceThatRefusesOrIsAwayMakesNoJudge) {
  service_.describe_status = {grpc::StatusCode::INVALID_ARGUMENT, "not loaded"};
  EXPECT_THAT(Decide(), StatusIs(StatusCode::kInvalidArgument, "oracle.endpoint: Describe of"));
  service_.describe_status = {grpc::StatusCode::UNAVAILABLE, "loading"};
  EXPECT_THAT(Decide(), StatusIs(StatusCode::kUnavailable, "loading"));
}

TEST_F(RemoteJudgeTest, AServiceThatIsAwayForAWhileFailsItemByItem) {
  EXPECT_OK(Decide());
  server_->Stop(absl::ZeroDuration());
  item_.set_gold("another");
  ASSERT_OK_AND_ASSIGN(const auto judge, remotes_->Make(spec_));
  EXPECT_THAT(judge->Decide(item_), StatusIs(StatusCode::kUnavailable, spec_.endpoint()));
}

}  // namespace
}  // namespace attune
