#include "rollout/endpoint_sampler.h"

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "gtest/gtest.h"
#include "model/scorer.h"
#include "tests/testing/http_server.h"
#include "tests/testing/metric_value.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/rollout/small_model.h"

namespace attune {
namespace {

using absl::StatusCode;
using nlohmann::json;

constexpr double kOff = 0.25;  // nats that the server's log-probabilities are off

bool Never() { return false; }

template <typename Repeated>
std::vector<int32_t> Ids(const Repeated& ids) {
  return {ids.begin(), ids.end()};
}

// Answers every prompt with the tokens 7, 8, 9 and the end of sequence, each kOff less likely than
// the policy says.
class EndpointSamplerTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    const SmallModel initial = MakeSmallModel(1.0f);
    const SmallModel trained = MakeSmallModel(1.05f);
    auto policy = Policy::Create(trained.config, trained.weights);
    auto initial_policy = Policy::Create(initial.config, initial.weights);
    auto tokenizer = LoadTokenizer(kModelPath, initial.config.vocab_size);
    ATTUNE_CHECK(policy.ok() && initial_policy.ok() && tokenizer.ok());
    held_ = new HeldPolicies;
    held_->policy = *policy;
    held_->initial = *initial_policy;
    held_->tokenizer = *std::move(tokenizer);
    held_->version.set_round(3);
    held_->version.set_digest(trained.digest);
  }
  static void TearDownTestSuite() { delete held_; }

  EndpointSamplerTest()
      : eos_(held_->policy->config().eos_token_ids[0]),
        server_([this](const std::string& request) { return Handle(request); }) {
    calls_ = SamplerCallDefaults();
    calls_.set_max_attempts(1);
    *request_.mutable_policy() = held_->version;
    for (const char* text : {"Once upon a time", "The dog"}) {
      v1::Prompt& prompt = *request_.add_prompts();
      prompt.set_index(9 + request_.prompts_size());
      prompt.set_text(text);
    }
    v1::SamplingSpec& sampling = *request_.mutable_sampling();
    sampling.set_num_generations(3);
    sampling.set_temperature(1);
    sampling.set_top_p(1);
    sampling.set_top_k(0);
    sampling.set_max_new_tokens(24);
    request_.set_seed(42);
    request_.set_round(4);
  }

  std::string Handle(const std::string& request) {
    if (!absl::StrContains(request, "Authorization: Bearer secret")) {
      return HttpAnswer("401 Unauthorized", "{}");
    }
    if (absl::StartsWith(request, "GET /v1/models ")) {
      return HttpAnswer("200 OK", json({{"data", {entry_}}}).dump());
    }
    if (!absl::StartsWith(request, "POST /v1/completions ")) return HttpAnswer("404 X", "{}");
    ++asked_;
    const json body = json::parse(HttpBody(request));
    const std::vector<int32_t> ids = {7, 8, 9, eos_};
    auto logps =
        CompletionLogProbs(*held_->policy, body["prompt"].get<std::vector<int32_t>>(), ids);
    ATTUNE_CHECK(logps.ok());
    for (float& logp : *logps) logp -= kOff;
    json choice = {{"token_ids", ids}, {"text", "?"}, {"finish_reason", "stop"}};
    if (reports_) choice["logprobs"] = {{"token_logprobs", *logps}};
    if (leaves_eos_out_) {
      choice["token_ids"].erase(3);
      choice["logprobs"]["token_logprobs"].erase(3);
    }
    return HttpAnswer(status_, json({{"choices", {choice}}}).dump());
  }

  absl::StatusOr<v1::SampleResponse> Sample() {
    EndpointSampler sampler({server_.url(), "m", key_, calls_}, metrics_);
    return sampler.Sample(*held_, request_, 2, Never);
  }

  static HeldPolicies* held_;
  const int32_t eos_;
  json entry_ = {{"id", "m"}};
  bool reports_ = true, leaves_eos_out_ = false;
  std::string status_ = "200 OK", key_ = "secret";
  std::atomic<int> asked_ = 0;
  v1::CallSpec calls_;
  v1::SampleRequest request_;
  Metrics& metrics_ = ServedMetrics();
  HttpTestServer server_;
};
HeldPolicies* EndpointSamplerTest::held_ = nullptr;

TEST_F(EndpointSamplerTest, ScoresWhatTheServerDrewWithThePolicy) {
  request_.set_with_initial_logps(true);
  request_.set_with_hidden_sums(true);
  request_.set_include_gold(true);
  request_.mutable_prompts(1)->set_gold(" barked.");
  ASSERT_OK_AND_ASSIGN(const v1::SampleResponse sampled, Sample());
  EXPECT_EQ(asked_, 6);
  ASSERT_EQ(sampled.responses_size(), 7);
  for (int i = 0; i < 6; ++i) {
    SCOPED_TRACE(i);
    const v1::Response& response = sampled.responses(i);
    EXPECT_EQ(response.prompt_index(), i < 3 ? 10u : 11u);
    EXPECT_EQ(response.sample(), static_cast<uint32_t>(i % 3));
    EXPECT_EQ(response.provenance(), v1::PROVENANCE_STUDENT);
    EXPECT_EQ(response.finish_reason(), v1::FINISH_REASON_STOP);
    EXPECT_EQ(response.policy().digest(), held_->version.digest());
    EXPECT_EQ(Ids(response.token_ids()), (std::vector<int32_t>{7, 8, 9, eos_}));
    ASSERT_OK_AND_ASSIGN(const std::vector<float> ours,
                         CompletionLogProbs(*held_->policy, Ids(response.prompt_token_ids()),
                                            Ids(response.token_ids())));
    ASSERT_OK_AND_ASSIGN(const std::vector<float> initial,
                         CompletionLogProbs(*held_->initial, Ids(response.prompt_token_ids()),
                                            Ids(response.token_ids())));
    ASSERT_EQ(response.sampling_logps_size(), 4);
    for (int t = 0; t < 4; ++t) {
      EXPECT_EQ(response.logps(t), ours[t]);
      EXPECT_EQ(response.initial_logps(t), initial[t]);
      EXPECT_NEAR(response.sampling_logps(t), ours[t] - kOff, 1e-5);
    }
    EXPECT_EQ(response.hidden_sum_size(), held_->policy->config().hidden_size);
    EXPECT_EQ(response.sampler().name(), "m");
    EXPECT_NEAR(response.sampler().gap(), kOff, 1e-5);
    EXPECT_EQ(response.sampler().staleness(), 3u);
  }
  EXPECT_EQ(sampled.responses(6).provenance(), v1::PROVENANCE_GOLD);
  EXPECT_FALSE(sampled.responses(6).has_sampler());
  // One for the models.
  EXPECT_EQ(MetricValue(metrics_,
                        "attune_sampler_calls_total{outcome=\"ok\",sampler="
                        "\"completions\"}"),
            7);
}

TEST_F(EndpointSamplerTest, TheEndOfSequenceThatTheServerLeavesOutIsOurs) {
  leaves_eos_out_ = true;
  ASSERT_OK_AND_ASSIGN(const v1::SampleResponse sampled, Sample());
  for (const v1::Response& response : sampled.responses()) {
    ASSERT_EQ(response.token_ids_size(), 4);
    EXPECT_EQ(response.token_ids(3), static_cast<uint32_t>(eos_));
    EXPECT_EQ(response.sampling_logps(3), response.logps(3));
    EXPECT_NEAR(response.sampler().gap(), kOff, 1e-5);  // of those that it did report
  }
}

TEST_F(EndpointSamplerTest, WithoutReportedLogProbabilitiesThereIsNoGap) {
  reports_ = false;
  entry_["attune_digest"] = held_->version.digest();
  ASSERT_OK_AND_ASSIGN(const v1::SampleResponse sampled, Sample());
  for (const v1::Response& response : sampled.responses()) {
    EXPECT_EQ(response.sampling_logps_size(), 0);
    EXPECT_EQ(response.logps_size(), 4);
    EXPECT_TRUE(response.has_sampler());
    EXPECT_EQ(response.sampler().gap(), 0);
    EXPECT_EQ(response.sampler().staleness(), 0u);
  }
}

TEST_F(EndpointSamplerTest, SaysWhatWasAskedOfWhomAndWhatCameBack) {
  status_ = "500 Broken";
  EXPECT_THAT(Sample(), StatusIs(StatusCode::kUnavailable,
                                 absl::StrCat(server_.url(), "/v1, attempt 1 of 1: HTTP 500")));
  EXPECT_THAT(Sample(), StatusIs(StatusCode::kUnavailable, "of the model \"m\""));
  status_ = "400 No";  // a worker's FAILED_PRECONDITION would say that it holds another policy
  EXPECT_THAT(Sample(), StatusIs(StatusCode::kUnavailable, "HTTP 400"));
  entry_["id"] = "other";
  EXPECT_THAT(Sample(), StatusIs(StatusCode::kUnavailable, "the server has no model \"m\""));
  key_ = "wrong";
  const absl::Status refused = Sample().status();
  EXPECT_THAT(refused, StatusIs(StatusCode::kUnavailable, "HTTP 401"));
  EXPECT_FALSE(absl::StrContains(refused.message(), "wrong"));
}

TEST_F(EndpointSamplerTest, AWrongAnswerIsAskedForAgainAndNeverAResponse) {
  calls_.set_max_attempts(2);
  request_.mutable_prompts()->RemoveLast();
  request_.mutable_sampling()->set_num_generations(1);
  request_.mutable_sampling()->set_max_new_tokens(3);  // the server answers with four
  EXPECT_THAT(Sample(), StatusIs(StatusCode::kUnavailable,
                                 "attempt 2 of 2: the answer has 4 tokens, 3 were"));
  EXPECT_EQ(asked_, 2);
}

TEST_F(EndpointSamplerTest, RefusesWhatOnlyTheWorkersEngineHas) {
  for (const v1::Opponent opponent : {v1::OPPONENT_INITIAL, v1::OPPONENT_MIXTURE}) {
    request_.mutable_sampling()->set_opponent(opponent);
    request_.mutable_sampling()->set_mixture_coef(0.5);
    EXPECT_THAT(Sample(), StatusIs(StatusCode::kInvalidArgument, "sampling.opponent"));
  }
  request_.mutable_sampling()->set_opponent(v1::OPPONENT_NONE);
  request_.mutable_sampling()->set_quantization(v1::QUANTIZATION_INT8);
  EXPECT_THAT(Sample(), StatusIs(StatusCode::kInvalidArgument, "sampling.quantization"));
  EXPECT_EQ(asked_, 0);
}

TEST_F(EndpointSamplerTest, AsksNothingWhereAllResponsesAreGiven) {
  status_ = "500 Broken";
  entry_["id"] = "other";
  request_.mutable_sampling()->set_num_generations(0);
  for (v1::Prompt& prompt : *request_.mutable_prompts()) prompt.add_given()->set_text(" ran.");
  ASSERT_OK_AND_ASSIGN(const v1::SampleResponse scored, Sample());
  EXPECT_EQ(scored.responses_size(), 2);
}

TEST_F(EndpointSamplerTest, EndsWhenTheCallerHasGone) {
  EndpointSampler sampler({server_.url() + "/v1/", "m", key_, calls_}, metrics_);
  EXPECT_THAT(sampler.Sample(*held_, request_, 2, [] { return true; }),
              StatusIs(StatusCode::kCancelled, "the caller has gone"));
  EXPECT_EQ(asked_, 0);
}

}  // namespace
}  // namespace attune
