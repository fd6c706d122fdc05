#include "oracle/http_judge.h"

#include <atomic>
#include <memory>
#include <vector>

#include "common/digest.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/http_server.h"
#include "tests/testing/metric_value.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/oracle/candidates.h"

namespace attune {
namespace {

using absl::StatusCode;
using nlohmann::json;
using testing::ElementsAre;

v1::OracleSpec SpecOf(const std::string& endpoint, uint32_t attempts = 1) {
  v1::OracleSpec spec;
  spec.set_kind(v1::ORACLE_KIND_HTTP);
  spec.set_endpoint(endpoint);
  v1::CallSpec& calls = *spec.mutable_calls();
  calls.set_timeout_seconds(60);
  calls.set_max_attempts(attempts);
  calls.set_max_concurrency(16);
  calls.set_breaker_failures(1000);
  calls.set_breaker_seconds(0.01);
  calls.set_cache_entries(0);
  return spec;
}

// The reward of a response is its length.
std::string Lengths(const std::string& request) {
  const json body = json::parse(HttpBody(request));
  json rewards = json::array();
  for (size_t i = 0; i < body["query"].size(); ++i) {
    rewards.push_back(body["query"][i].get<std::string>().size() -
                      body["prompts"][i].get<std::string>().size());
  }
  return HttpAnswer("200 OK", json{{"rewards", rewards}}.dump());
}

class HttpJudgeTest : public testing::Test {
 protected:
  void SetUp() override { endpoints_ = std::make_unique<Endpoints>(metrics_); }

  std::shared_ptr<const Judge> Make(const v1::OracleSpec& spec) {
    return MakeHttpJudge(spec, *endpoints_, http_);
  }

  // Of two responses, by a server that always answers so.
  absl::StatusOr<Verdict> DecideBy(const std::string& body) {
    HttpTestServer server([&](const std::string&) { return HttpAnswer("200 OK", body); });
    return Make(SpecOf(server.url()))->Decide(CandidatesOf({"a", "b"}));
  }

  double Outcomes(const std::string& outcome) {
    return MetricValue(metrics_,
                       "attune_oracle_calls_total{oracle=\"http/1\",outcome=\"" + outcome + "\"}");
  }
  double Count(const std::string& name) {
    return MetricValue(metrics_, "attune_oracle_" + name + "{oracle=\"http/1\"}");
  }

  Metrics& metrics_ = ServedMetrics();
  std::unique_ptr<Endpoints> endpoints_;
  HttpClient http_;
};

TEST_F(HttpJudgeTest, AsksAsOpenRlhfDoes) {
  json seen;
  HttpTestServer server([&](const std::string& request) {
    seen = json::parse(HttpBody(request));
    return HttpAnswer("200 OK", R"({"rewards": [0.25, -3], "scores": [9, 9], "extra_logs": {}})");
  });
  const auto judge = Make(SpecOf(server.url() + "/get_reward"));
  ASSERT_OK_AND_ASSIGN(const Verdict verdict,
                       judge->Decide(CandidatesOf({" yes", " no"}, "gold", "Is it?")));
  EXPECT_THAT(verdict.scores, ElementsAre(0.25, -3.0));
  EXPECT_EQ(seen, json::parse(R"({"query": ["Is it? yes", "Is it? no"],
                                  "prompts": ["Is it?", "Is it?"], "labels": ["gold", "gold"]})"));
  EXPECT_EQ(judge->oracle(), "http/1");
  EXPECT_EQ(judge->digest(), Sha256Hex("http/1\n" + server.url() + "/get_reward"));
}

TEST_F(HttpJudgeTest, AChatIsSentWithItsMessages) {
  json seen;
  HttpTestServer server([&](const std::string& request) {
    seen = json::parse(HttpBody(request));
    return Lengths(request);
  });
  v1::Candidates item = CandidatesOf({"Hi"}, "", "Hello");
  item.set_messages(R"([{"role": "user", "content": "Hello"}])");
  EXPECT_OK(Make(SpecOf(server.url()))->Decide(item));
  EXPECT_EQ(seen["messages"], json::parse(R"([[{"role": "user", "content": "Hello"},
                                               {"role": "assistant", "content": "Hi"}]])"));
}

TEST_F(HttpJudgeTest, TakesScoresWhereThereAreNoRewards) {
  ASSERT_OK_AND_ASSIGN(const Verdict verdict, DecideBy(R"({"scores": [1, 2]})"));
  EXPECT_THAT(verdict.scores, ElementsAre(1.0, 2.0));
}

TEST_F(HttpJudgeTest, NoScoreComesFromABadAnswer) {
  const char* bodies[] = {R"({"rewards": [1]})",
                          R"({"rewards": [1, 2, 3]})",
                          R"({"rewards": [1, NaN]})",
                          R"({"rewards": [1, null]})",
                          R"({"rewards": [1, "2"]})",
                          R"({"rewards": [1, true]})",
                          R"({"rewards": [1, [2]]})",
                          R"({"rewards": null})",
                          R"({"rewards": {"0": 1}})",
                          R"({"reward": [1, 2]})",
                          R"([1, 2])",
                          R"(null)",
                          R"({"rewards": [1, 2)",
                          R"({"rewards": [1, 1e999]})",
                          ""};
  for (const char* body : bodies) {
    SCOPED_TRACE(body);
    EXPECT_THAT(DecideBy(body), StatusIs(StatusCode::kInternal, "the answer "));
  }
  EXPECT_EQ(Outcomes("bad_answer"), static_cast<double>(std::size(bodies)));
  EXPECT_EQ(Outcomes("ok"), 0);
}

TEST_F(HttpJudgeTest, SurvivesAServerThatFailsInEveryWay) {
  HttpTestServer* running = nullptr;
  std::atomic<int> failures = 0;
  std::atomic<bool> fails = true;
  HttpTestServer server([&](const std::string& request) -> std::string {
    if (!fails.exchange(!fails)) return Lengths(request);
    switch (failures++) {
      case 0:
        return HttpAnswer("500 Oh", "no");
      case 1:
        return running->HangUntilStopped();
      case 2:
        return "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"rewards\": [1, 2";
      case 3:
        return HttpAnswer("200 OK", R"({"rewards": [7]})");
      case 4:
        return HttpAnswer("200 OK", R"({"rewards": [NaN, NaN]})");
      case 5:
        return HttpAnswer("429 Busy", "", "Retry-After: 0\r\n");
      default:
        return "";
    }
  });
  running = &server;
  v1::OracleSpec spec = SpecOf(server.url(), /*attempts=*/20);
  spec.mutable_calls()->set_timeout_seconds(2);
  for (int i = 0; i < 7; ++i) {
    ASSERT_OK_AND_ASSIGN(const Verdict verdict, Make(spec)->Decide(CandidatesOf({"abc", "de"})));
    EXPECT_THAT(verdict.scores, ElementsAre(3.0, 2.0));
  }
  EXPECT_EQ(failures, 7);
  EXPECT_EQ(Outcomes("refused"), 3);
  EXPECT_EQ(Outcomes("bad_answer"), 3);
  EXPECT_EQ(Outcomes("timeout"), 1);
  EXPECT_EQ(Outcomes("ok"), 7);
  EXPECT_EQ(Count("retries_total"), 7);
}

TEST_F(HttpJudgeTest, ThroughputRecoversByItselfAfterTheBreaker) {
  std::atomic<bool> broken = true;
  std::atomic<int> requests = 0;
  HttpTestServer server([&](const std::string& request) {
    ++requests;
    return broken ? HttpAnswer("500 Oh", "") : Lengths(request);
  });
  v1::OracleSpec spec = SpecOf(server.url());
  spec.mutable_calls()->set_breaker_failures(3);
  spec.mutable_calls()->set_breaker_seconds(3600);
  for (int i = 0; i < 50; ++i) {
    EXPECT_THAT(Make(spec)->Decide(CandidatesOf({"a"})), StatusIs(StatusCode::kUnavailable, ""));
  }
  EXPECT_EQ(requests, 3);
  EXPECT_EQ(Outcomes("breaker_open"), 47);

  HttpTestServer flapping([&](const std::string& request) {
    return broken ? HttpAnswer("500 Oh", "") : Lengths(request);
  });
  spec = SpecOf(flapping.url());
  spec.mutable_calls()->set_breaker_failures(3);
  for (int i = 0; i < 3; ++i) Make(spec)->Decide(CandidatesOf({"a"})).IgnoreError();
  EXPECT_EQ(Count("breaker_open"), 2);
  broken = false;
  while (!Make(spec)->Decide(CandidatesOf({"a"})).ok()) {
  }
  for (int i = 0; i < 20; ++i) EXPECT_OK(Make(spec)->Decide(CandidatesOf({"a"})));
  EXPECT_EQ(Count("breaker_open"), 1);
}

TEST_F(HttpJudgeTest, KnownVerdictsCostNoCall) {
  std::atomic<int> requests = 0;
  HttpTestServer server([&](const std::string& request) {
    return requests++ == 0 ? HttpAnswer("400 Bad", "") : Lengths(request);
  });
  v1::OracleSpec spec = SpecOf(server.url());
  spec.mutable_calls()->set_cache_entries(10);
  EXPECT_THAT(Make(spec)->Decide(CandidatesOf({"a", "bc"})),
              StatusIs(StatusCode::kFailedPrecondition, "HTTP 400"));
  for (int i = 0; i < 3; ++i) {  // each judge is made anew, as for every request
    ASSERT_OK_AND_ASSIGN(const Verdict verdict, Make(spec)->Decide(CandidatesOf({"a", "bc"})));
    EXPECT_THAT(verdict.scores, ElementsAre(1.0, 2.0));
  }
  EXPECT_EQ(requests, 2);
  EXPECT_EQ(Count("cache_hits_total"), 2);
}

}  // namespace
}  // namespace attune
