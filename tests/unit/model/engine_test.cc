#include "model/engine.h"

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/generator.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/engine_testing.h"

namespace attune {
namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr int64_t kPlenty = int64_t{1} << 30;

// What came of requests, by id and sample. An answer that comes twice fails the test.
class Answers {
 public:
  EngineRequest Watch(uint64_t id, EngineRequest request) {
    request.on_done = [this, id](size_t sample, absl::StatusOr<Generation> response) {
      ASSERT_OK(response.status());
      EXPECT_TRUE(answers_.emplace(std::pair(id, sample), *std::move(response)).second)
          << "request " << id << " sample " << sample << " answered twice";
    };
    return request;
  }
  size_t size() const { return answers_.size(); }
  const Generation& Of(uint64_t id, size_t sample) const { return answers_.at({id, sample}); }

 private:
  std::map<std::pair<uint64_t, size_t>, Generation> answers_;
};

// Requests that come while others are on their way; afterwards nothing may be held.
EngineCounters RunAll(const EngineOptions& options, const std::vector<EngineRequest>& requests,
                      uint64_t seed, Answers* answers) {
  const CounterRng rng({seed, 5});
  Engine engine(options);
  uint64_t step = 0;
  for (size_t i = 0; i < requests.size(); ++i) {
    EXPECT_OK(Engine::Check(options, requests[i]));
    engine.Add(i, answers->Watch(i, requests[i]));
    while (rng.Uniform(step++) < 0.6 && !engine.idle()) engine.Step();
  }
  while (!engine.idle()) engine.Step();
  EXPECT_EQ(engine.running(), 0);
  EXPECT_EQ(engine.cache_use(), 0);
  return engine.counters();
}

struct BatchCase {
  const char* name;
  EngineOptions options;
  bool preempts;
};

const std::vector<BatchCase>& BatchCases() {
  static const auto& cases = *new std::vector<BatchCase>{
      {"all together", {.threads = 1, .sequences_max = 1000, .cache_bytes = kPlenty}, false},
      {"three threads, prompts in chunks of 7",
       {.threads = 3, .rows_max = 7, .sequences_max = 5, .cache_bytes = kPlenty},
       false},
      {"a row at a time", {.threads = 2, .rows_max = 1, .cache_bytes = kPlenty}, false},
      {"little memory", {.threads = 2, .rows_max = 50, .cache_bytes = 0 /* set there */}, true}};
  return cases;
}

class EnginePrecisionTest : public testing::TestWithParam<TensorType> {};

TEST_P(EnginePrecisionTest, AThousandRequestsGetWhatTheyGetAloneBitForBit) {
  const auto policy = TinyPolicy(5, GetParam());
  const auto other = TinyPolicy(6, GetParam());
  std::vector<EngineRequest> requests;
  size_t responses = 0;
  std::vector<std::vector<Generation>> alone;
  for (uint64_t i = 0; i < 1000; ++i) {
    requests.push_back(RandomRequest(i % 3 == 0 ? other : policy, i));
    responses += requests.back().sample_keys.size();
    alone.emplace_back();
    for (size_t s = 0; s < requests[i].sample_keys.size(); ++s) {
      alone[i].push_back(AloneResponse(requests[i], s));
    }
  }
  for (const BatchCase& c : BatchCases()) {
    SCOPED_TRACE(c.name);
    Answers answers;
    EngineOptions options = c.options;
    if (c.preempts) options.cache_bytes = 30 * policy->kv_layout().page_bytes;
    const EngineCounters counters = RunAll(options, requests, 1, &answers);
    EXPECT_EQ(counters.preemptions > 0, c.preempts) << counters.preemptions;
    ASSERT_EQ(answers.size(), responses);
    for (size_t i = 0; i < requests.size(); ++i) {
      for (size_t s = 0; s < alone[i].size(); ++s) {
        ASSERT_TRUE(answers.Of(i, s) == alone[i][s]) << "request " << i << " sample " << s;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Precisions, EnginePrecisionTest,
                         testing::Values(TensorType::kF32, TensorType::kBf16),
                         [](const auto& param) {
                           return std::string(param.param == TensorType::kF32 ? "Fp32" : "Bf16");
                         });

class EngineTest : public testing::Test {
 protected:
  EngineRequest Request(int64_t prompt, size_t samples, int64_t new_tokens) const {
    EngineRequest request;
    request.policy = policy_;
    for (int64_t i = 0; i < prompt; ++i) request.prompt_ids.push_back(1 + i % 90);
    for (size_t i = 0; i < samples; ++i) request.sample_keys.push_back(i);
    request.options.max_new_tokens = request.options.min_new_tokens = new_tokens;
    return request;
  }

  const std::shared_ptr<const Policy> policy_ = TinyPolicy(5, TensorType::kF32);
  Answers answers_;
};

TEST_F(EngineTest, MixturesAmongOthersAreWhatTheyAreAlone) {
  const auto other = TinyPolicy(7, TensorType::kF32);
  std::vector<EngineRequest> requests;
  for (uint64_t i = 0; i < 60; ++i) {
    requests.push_back(RandomRequest(policy_, i));
    if (i % 2 == 0) continue;
    requests[i].other = other;
    requests[i].other_weight = 0.1 * static_cast<double>(i % 11);
  }
  RunAll({.threads = 2, .rows_max = 30, .cache_bytes = 700 << 10}, requests, 2, &answers_);
  for (size_t i = 1; i < requests.size(); i += 2) {
    ASSERT_OK_AND_ASSIGN(
        const auto alone,
        GenerateMixture(*policy_, *other, requests[i].other_weight,
                        {{requests[i].prompt_ids, requests[i].sample_keys}}, requests[i].options));
    for (size_t s = 0; s < alone[0].size(); ++s) {
      EXPECT_TRUE(answers_.Of(i, s) == alone[0][s]) << "request " << i << " sample " << s;
    }
  }
}

TEST_F(EngineTest, SamplesOfAPromptShareItsPrefillAndItsPages) {
  const EngineOptions options = {.cache_bytes = kPlenty};
  const int64_t page = policy_->kv_layout().page_bytes;
  Engine engine(options);
  engine.Add(1, answers_.Watch(1, Request(/*prompt=*/70, /*samples=*/5, /*new_tokens=*/3)));
  engine.Step();
  EXPECT_EQ(engine.counters().prefill_tokens, 70);
  EXPECT_EQ(engine.counters().shared_prompt_tokens, 4 * 70);
  EXPECT_EQ(engine.running(), 5);
  EXPECT_NEAR(engine.cache_use() * kPlenty, 3 * page, 0.5);  // 70 positions, once
  engine.Step();
  // Each writes to a copy of the third page; the last one there keeps it.
  EXPECT_NEAR(engine.cache_use() * kPlenty, (2 + 5) * page, 0.5);
  while (!engine.idle()) engine.Step();
  EXPECT_EQ(engine.counters().decode_tokens, 15);
  EXPECT_EQ(answers_.size(), 5u);
}

TEST_F(EngineTest, CountsTheWaitForFirstAndNextTokens) {
  Engine engine({.cache_bytes = kPlenty});
  for (uint64_t id : {1, 2}) engine.Add(id, answers_.Watch(id, Request(9, 3, 4)));
  while (!engine.idle()) engine.Step();
  const auto count = [](const DurationCounts& durations) {
    int64_t all = 0;
    for (int64_t in_bucket : durations.counts) all += in_bucket;
    return all;
  };
  EXPECT_EQ(count(engine.counters().first_token), 2);
  EXPECT_EQ(count(engine.counters().next_token), 2 * 3 * (4 - 1));
}

TEST_F(EngineTest, CancelledRequestsAreHeardOfNoMoreAndFreeWhatTheyHeld) {
  Engine engine({.threads = 2, .rows_max = 20, .sequences_max = 8, .cache_bytes = kPlenty});
  std::vector<EngineRequest> requests;
  for (uint64_t i = 0; i < 40; ++i) {
    requests.push_back(RandomRequest(policy_, i));
    engine.Add(i, answers_.Watch(i, requests[i]));
  }
  std::set<uint64_t> cancelled;
  for (uint64_t i = 0; i < 40; i += 3) {
    for (int step = 0; step < 3; ++step) engine.Step();
    const size_t before = answers_.size();
    engine.Cancel({i, 39 - i});
    cancelled.insert({i, 39 - i});
    EXPECT_EQ(answers_.size(), before);
  }
  const size_t heard_of_all_but = answers_.size();
  while (!engine.idle()) engine.Step();
  EXPECT_GE(answers_.size(), heard_of_all_but);
  EXPECT_EQ(engine.cache_use(), 0);
  for (uint64_t i = 0; i < 40; ++i) {
    if (cancelled.count(i) > 0) continue;
    for (size_t s = 0; s < requests[i].sample_keys.size(); ++s) {
      EXPECT_TRUE(answers_.Of(i, s) == AloneResponse(requests[i], s)) << i;
    }
  }
  engine.Cancel({1000});  // never heard of
}

TEST_F(EngineTest, TheCallerMayEndAResponse) {
  EngineRequest request = Request(5, 2, 30);
  request.on_token = [](size_t sample, const Generation& so_far) {
    return so_far.token_ids.size() == (sample == 0 ? 4 : 9);
  };
  Engine engine({.cache_bytes = kPlenty});
  engine.Add(1, answers_.Watch(1, std::move(request)));
  while (!engine.idle()) engine.Step();
  EXPECT_EQ(answers_.Of(1, 0).token_ids.size(), 4u);
  EXPECT_EQ(answers_.Of(1, 1).token_ids.size(), 9u);
  EXPECT_EQ(answers_.Of(1, 0).stop_reason, StopReason::kStop);
}

TEST_F(EngineTest, AnotherVersionJoinsWithoutDroppingWhatRuns) {
  Engine engine({.cache_bytes = kPlenty});
  auto next = TinyPolicy(9, TensorType::kBf16);
  EngineRequest old_request = RandomRequest(policy_, 3);
  EngineRequest new_request = RandomRequest(next, 3);
  engine.Add(1, answers_.Watch(1, old_request));
  engine.Step();
  engine.Add(2, answers_.Watch(2, new_request));
  const std::weak_ptr<const Policy> held = next;
  next = nullptr;
  const std::vector<Generation> expected = {AloneResponse(old_request, 0),
                                            AloneResponse(new_request, 0)};
  new_request.policy = nullptr;
  EXPECT_FALSE(held.expired());
  while (!engine.idle()) engine.Step();
  EXPECT_TRUE(held.expired());  // with its last response
  EXPECT_TRUE(answers_.Of(1, 0) == expected[0]);
  EXPECT_TRUE(answers_.Of(2, 0) == expected[1]);
}

TEST_F(EngineTest, RefusesWhatCanNeverRun) {
  const EngineOptions options = {.cache_bytes = 3 * policy_->kv_layout().page_bytes};
  EXPECT_OK(Engine::Check(options, Request(60, 1, 36)));
  EXPECT_THAT(Engine::Check(options, Request(60, 1, 37)),
              StatusIs(kInvalid, "a prompt of 60 tokens and a response can take 97 positions"));
  EXPECT_THAT(Engine::Check(options, Request(0, 1, 5)), StatusIs(kInvalid, "no tokens"));
  EngineRequest request = Request(5, 1, 5);
  request.options.top_p = 0;
  EXPECT_THAT(Engine::Check(options, request), StatusIs(kInvalid, "top_p is 0"));
  request = Request(5, 1, 5);
  request.other = policy_;
  request.other_weight = 1.5;
  EXPECT_THAT(Engine::Check(options, request), StatusIs(kInvalid, "weight"));
}

}  // namespace
}  // namespace attune
