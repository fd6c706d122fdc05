#include "model/generator.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "common/files.h"
#include "common/rng.h"
#include "gtest/gtest.h"
#include "model/scorer.h"
#include "nlohmann/json.hpp"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tiny_model.h"

namespace attune {
namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

class GeneratorTest : public ::testing::Test {
 protected:
  // Prompts of different lengths, two samples each.
  std::vector<GenerationRequest> Requests(uint64_t count) {
    std::vector<GenerationRequest> requests;
    for (uint64_t i = 0; i < count; ++i) {
      GenerationRequest request;
      for (uint64_t j = 0; j <= i % 7; ++j) {
        request.prompt_ids.push_back(static_cast<int32_t>((13 * i + 5 * j + 1) % 101));
      }
      request.sample_keys = {CounterRng({i, 0}).key(), CounterRng({i, 1}).key()};
      requests.push_back(request);
    }
    return requests;
  }

  const ModelConfig config_ = TinyConfig(false);
  const std::shared_ptr<const Policy> policy_ =
      Policy::Create(config_, TinyWeights(config_, 5)).value();
};

TEST_F(GeneratorTest, AResponseDoesNotDependOnItsBatch) {
  const SamplingOptions options = {.temperature = 0.8, .top_p = 0.95, .max_new_tokens = 40};
  std::vector<GenerationRequest> requests = Requests(17);
  ASSERT_OK_AND_ASSIGN(const auto batch, Generate(*policy_, requests, options));
  for (size_t i = 0; i < requests.size(); ++i) {
    ASSERT_OK_AND_ASSIGN(const auto alone, Generate(*policy_, {requests[i]}, options));
    EXPECT_TRUE(batch[i] == alone[0]) << "prompt " << i;
  }
  ASSERT_OK_AND_ASSIGN(const auto threaded, Generate(*policy_, requests, options, /*threads=*/3));
  EXPECT_TRUE(batch == threaded);
  std::reverse(requests.begin(), requests.end());
  for (GenerationRequest& request : requests)
    std::swap(request.sample_keys[0], request.sample_keys[1]);
  ASSERT_OK_AND_ASSIGN(const auto reversed, Generate(*policy_, requests, options));
  for (size_t i = 0; i < requests.size(); ++i) {
    EXPECT_TRUE(batch[i][0] == reversed[16 - i][1]);
    EXPECT_TRUE(batch[i][1] == reversed[16 - i][0]);
  }
}

TEST_F(GeneratorTest, SamplesOfAPromptDiffer) {
  ASSERT_OK_AND_ASSIGN(const auto result, Generate(*policy_, Requests(1), {}));
  EXPECT_NE(result[0][0].token_ids, result[0][1].token_ids);
}

TEST_F(GeneratorTest, RecordedLogProbsAreThoseOfScoringBitForBit) {
  const std::vector<GenerationRequest> requests = Requests(9);
  ASSERT_OK_AND_ASSIGN(const auto results,
                       Generate(*policy_, requests, {.temperature = 0.7, .top_k = 20}));
  for (size_t i = 0; i < requests.size(); ++i) {
    for (const Generation& generation : results[i]) {
      ASSERT_OK_AND_ASSIGN(
          const std::vector<float> logps,
          CompletionLogProbs(*policy_, requests[i].prompt_ids, generation.token_ids));
      EXPECT_EQ(generation.logps, logps);
    }
  }
}

TEST_F(GeneratorTest, StopsAtTheEndOfSequenceOrTheLimit) {
  int ended = 0;
  ASSERT_OK_AND_ASSIGN(const auto results,
                       Generate(*policy_, Requests(40), {.max_new_tokens = 30}));
  for (const auto& generations : results) {
    for (const Generation& generation : generations) {
      const auto& ids = generation.token_ids;
      EXPECT_EQ(0, std::count(ids.begin(), ids.end() - 1, 0));
      const bool end = generation.stop_reason == StopReason::kEndOfSequence;
      EXPECT_EQ(end, ids.back() == 0);
      EXPECT_TRUE(end || ids.size() == 30);
      ended += end;
    }
  }
  EXPECT_GT(ended, 0);
  EXPECT_LT(ended, 80);
}

TEST_F(GeneratorTest, StopsAtTheModelsLongestSequence) {
  GenerationRequest request = {std::vector<int32_t>(60, 1), {1, 2, 3, 4, 5, 6, 7, 8}};
  ASSERT_OK_AND_ASSIGN(const auto results, Generate(*policy_, {request}, {}));
  size_t longest = 0;
  for (const Generation& generation : results[0]) {
    longest = std::max(longest, generation.token_ids.size());
  }
  EXPECT_EQ(4u, longest);  // 64 in all
  request.prompt_ids.resize(64, 1);
  EXPECT_THAT(Generate(*policy_, {request}, {}), StatusIs(kInvalid, "max_position_embeddings, 64"));
}

TEST_F(GeneratorTest, RefusesWhatItCannotAnswer) {
  EXPECT_THAT(Generate(*policy_, {{{}, {1}}}, {}), StatusIs(kInvalid, "prompt 0: the prompt has"));
  EXPECT_THAT(Generate(*policy_, {{{1}, {1}}, {{3, 101}, {1}}}, {}),
              StatusIs(kInvalid, "prompt 1: token 1 of the prompt is 101"));
  EXPECT_THAT(Generate(*policy_, {{{1}, {1}}}, {.top_p = 2}), StatusIs(kInvalid, "top_p is 2"));
}

TEST_F(GeneratorTest, OneAtATimeIsTheSameAndTellsEachToken) {
  const std::vector<GenerationRequest> requests = Requests(9);
  const SamplingOptions options = {.max_new_tokens = 12};
  ASSERT_OK_AND_ASSIGN(const auto results, Generate(*policy_, requests, options));
  for (size_t i = 0; i < requests.size(); ++i) {
    std::vector<int32_t> taken;
    ASSERT_OK_AND_ASSIGN(const Generation one,
                         GenerateOne(*policy_, requests[i].prompt_ids, requests[i].sample_keys[1],
                                     options, [&](int32_t token) {
                                       taken.push_back(token);
                                       return false;
                                     }));
    EXPECT_EQ(results[i][1], one);
    EXPECT_EQ(one.token_ids, taken);
  }
}

TEST_F(GeneratorTest, OneEndsWhereItsTakerWantsNoMore) {
  const GenerationRequest request = Requests(1)[0];
  const SamplingOptions options = {.max_new_tokens = 12};
  const auto take_up_to = [&](int wanted) {
    int taken = 0;
    return GenerateOne(*policy_, request.prompt_ids, request.sample_keys[0], options,
                       [&](int32_t) { return ++taken == wanted; })
        .value();
  };
  const Generation all = take_up_to(100);
  ASSERT_GT(all.token_ids.size(), 3u);
  const Generation some = take_up_to(3);
  EXPECT_EQ(std::vector<int32_t>(all.token_ids.begin(), all.token_ids.begin() + 3), some.token_ids);
  EXPECT_EQ(StopReason::kStop, some.stop_reason);
}

TEST_F(GeneratorTest, TellsWhenWeightsAreNotFinite) {
  std::vector<float> weights = TinyWeights(config_, 5);
  weights[weights.size() / 2] = std::numeric_limits<float>::quiet_NaN();
  const auto broken = Policy::Create(config_, weights).value();
  EXPECT_THAT(Generate(*broken, Requests(2), {.top_p = 0.9}),
              StatusIs(absl::StatusCode::kFailedPrecondition, "not finite"));
}

class MixtureTest : public GeneratorTest {
 protected:
  static std::vector<double> LogSoftmax(const std::vector<double>& logits) {
    double sum = 0;
    for (const double logit : logits) sum += std::exp(logit);
    std::vector<double> logps;
    for (const double logit : logits) logps.push_back(logit - std::log(sum));
    return logps;
  }

  // Log-probabilities of the token after `ids` under `policy`.
  std::vector<double> LogProbsAfter(const Policy& policy, const std::vector<int32_t>& ids) {
    KvCache cache;
    std::vector<PolicyRow> rows;
    for (size_t i = 0; i < ids.size(); ++i) {
      rows.push_back({&cache, static_cast<int64_t>(i), ids[i], i + 1 == ids.size()});
    }
    std::vector<float> logits(config_.vocab_size);
    policy.Logits(policy.Forward(rows).data(), 1, logits.data());
    return LogSoftmax({logits.begin(), logits.end()});
  }

  const std::shared_ptr<const Policy> other_ =
      Policy::Create(config_, TinyWeights(config_, 6)).value();
  const std::vector<SamplingOptions> every_option_ = {
      {.max_new_tokens = 20},
      {.temperature = 0.7, .top_p = 0.9, .max_new_tokens = 20},
      {.temperature = 1.3, .top_k = 11, .max_new_tokens = 20},
      {.temperature = 0, .max_new_tokens = 20}};
};

TEST_F(MixtureTest, WithoutWeightOfTheOtherIsThePolicyBitForBit) {
  for (const SamplingOptions& options : every_option_) {
    ASSERT_OK_AND_ASSIGN(const auto wanted, Generate(*policy_, Requests(9), options));
    ASSERT_OK_AND_ASSIGN(const auto mixed,
                         GenerateMixture(*policy_, *other_, 0, Requests(9), options));
    EXPECT_TRUE(wanted == mixed) << "temperature " << options.temperature;
  }
}

TEST_F(MixtureTest, WithAllWeightOfTheOtherDrawsWhatTheOtherDoes) {
  const std::vector<GenerationRequest> requests = Requests(9);
  for (const SamplingOptions& options : every_option_) {
    ASSERT_OK_AND_ASSIGN(const auto wanted, Generate(*other_, requests, options));
    ASSERT_OK_AND_ASSIGN(const auto mixed,
                         GenerateMixture(*policy_, *other_, 1, requests, options));
    for (size_t i = 0; i < requests.size(); ++i) {
      for (size_t sample = 0; sample < 2; ++sample) {
        const Generation& one = mixed[i][sample];
        EXPECT_EQ(wanted[i][sample].token_ids, one.token_ids);
        EXPECT_EQ(wanted[i][sample].sampling_logps, one.sampling_logps);
        ASSERT_OK_AND_ASSIGN(const std::vector<float> logps,
                             CompletionLogProbs(*policy_, requests[i].prompt_ids, one.token_ids));
        EXPECT_EQ(logps, one.logps);
      }
    }
  }
}

TEST_F(MixtureTest, OfAPolicyWithItselfIsThePolicyBitForBit) {
  for (const SamplingOptions& options : every_option_) {
    ASSERT_OK_AND_ASSIGN(const auto wanted, Generate(*policy_, Requests(9), options));
    for (const double weight : {0.1, 0.5, 0.7}) {
      ASSERT_OK_AND_ASSIGN(const auto mixed,
                           GenerateMixture(*policy_, *policy_, weight, Requests(9), options));
      EXPECT_TRUE(wanted == mixed) << "weight " << weight;
    }
  }
}

// Every draw against the mixture of both log-softmaxes in double: its probability, and the token as
// the inverse of the cumulative distribution. fp32 logits of about 10 are good to 1e-6.
TEST_F(MixtureTest, DrawsFromTheGeometricMixture) {
  const std::vector<GenerationRequest> requests = Requests(9);
  constexpr double kWeight = 0.3, kTemperature = 0.8, kTolerance = 2e-5;
  ASSERT_OK_AND_ASSIGN(const auto results,
                       GenerateMixture(*policy_, *other_, kWeight, requests,
                                       {.temperature = kTemperature, .max_new_tokens = 12}));
  for (size_t i = 0; i < requests.size(); ++i) {
    for (size_t sample = 0; sample < 2; ++sample) {
      const Generation& one = results[i][sample];
      std::vector<int32_t> ids = requests[i].prompt_ids;
      for (size_t t = 0; t < one.token_ids.size(); ++t) {
        std::vector<double> mixed = LogProbsAfter(*policy_, ids);
        const std::vector<double> other = LogProbsAfter(*other_, ids);
        for (size_t id = 0; id < mixed.size(); ++id) {
          mixed[id] = (kWeight * other[id] + (1 - kWeight) * mixed[id]) / kTemperature;
        }
        mixed = LogSoftmax(mixed);
        const int32_t token = one.token_ids[t];
        EXPECT_NEAR(mixed[token], one.sampling_logps[t], kTolerance);
        double before = 0;
        for (int32_t id = 0; id < token; ++id) before += std::exp(mixed[id]);
        const double u = CounterRng(requests[i].sample_keys[sample]).Uniform(t);
        EXPECT_GE(u, before - kTolerance);
        EXPECT_LE(u, before + std::exp(mixed[token]) + kTolerance);
        ids.push_back(token);
      }
    }
  }
}

TEST_F(MixtureTest, AResponseDoesNotDependOnItsBatch) {
  const SamplingOptions options = {.temperature = 0.8, .top_p = 0.95, .max_new_tokens = 40};
  const std::vector<GenerationRequest> requests = Requests(17);
  ASSERT_OK_AND_ASSIGN(const auto batch,
                       GenerateMixture(*policy_, *other_, 0.5, requests, options));
  for (size_t i = 0; i < requests.size(); ++i) {
    ASSERT_OK_AND_ASSIGN(const auto alone,
                         GenerateMixture(*policy_, *other_, 0.5, {requests[i]}, options));
    EXPECT_TRUE(batch[i] == alone[0]) << "prompt " << i;
  }
}

TEST_F(MixtureTest, RefusesWhatItCannotMix) {
  EXPECT_THAT(GenerateMixture(*policy_, *other_, 1.5, Requests(1), {}),
              StatusIs(kInvalid, "is 1.5; it must be within 0-1"));
  ModelConfig larger = config_;
  larger.vocab_size = 103;
  EXPECT_THAT(GenerateMixture(*policy_, *Policy::Create(larger, TinyWeights(larger, 5)).value(),
                              0.5, Requests(1), {}),
              StatusIs(kInvalid, "vocab_size is 101 and 103"));
  ModelConfig longer = config_;
  longer.max_position_embeddings = 65;
  EXPECT_THAT(GenerateMixture(*policy_, *Policy::Create(longer, TinyWeights(longer, 5)).value(),
                              0.5, Requests(1), {}),
              StatusIs(kInvalid, "max_position_embeddings is 64 and 65"));
}

TEST_F(MixtureTest, TellsWhenTheOthersWeightsAreNotFinite) {
  std::vector<float> weights = TinyWeights(config_, 5);
  weights[weights.size() / 2] = std::numeric_limits<float>::quiet_NaN();
  const auto broken = Policy::Create(config_, weights).value();
  EXPECT_THAT(GenerateMixture(*policy_, *broken, 0.5, Requests(2), {}),
              StatusIs(absl::StatusCode::kFailedPrecondition, "not finite"));
}

// 80 greedy tokens and every log-probability of 8 texts, computed by an independent implementation
// in double precision (tests/data).
TEST(Stories260kTest, AgreesWithTheReference) {
  const std::string root = ATTUNE_SOURCE_DIR;
  ASSERT_OK_AND_ASSIGN(const auto policy, Policy::Load(root + "/models/stories260k"));
  ASSERT_OK_AND_ASSIGN(const std::string bytes,
                       ReadFile(root + "/tests/data/stories260k_reference.json"));
  const nlohmann::json reference = nlohmann::json::parse(bytes);
  ASSERT_EQ(8u, reference["cases"].size());
  for (const auto& one : reference["cases"]) {
    const std::vector<int32_t> prompt = one["prompt_ids"];
    const std::vector<int32_t> wanted = one["greedy_new_ids"];
    ASSERT_OK_AND_ASSIGN(const auto results, Generate(*policy, {{prompt, {0}}},
                                                      {.temperature = 0, .max_new_tokens = 80}));
    const std::vector<int32_t>& ids = results[0][0].token_ids;
    // The reference goes on after an end of sequence.
    ASSERT_LE(ids.size(), wanted.size());
    EXPECT_EQ(std::vector<int32_t>(wanted.begin(), wanted.begin() + ids.size()), ids);
    EXPECT_TRUE(ids.size() == 80 || results[0][0].stop_reason == StopReason::kEndOfSequence);

    std::vector<int32_t> rest(prompt.begin() + 1, prompt.end());
    rest.insert(rest.end(), wanted.begin(), wanted.end());
    ASSERT_OK_AND_ASSIGN(const std::vector<float> logps,
                         CompletionLogProbs(*policy, {prompt[0]}, rest));
    const std::vector<double> wanted_logps = one["logprobs_of_ids_1_to_end"];
    ASSERT_EQ(wanted_logps.size(), logps.size());
    for (size_t i = 0; i < logps.size(); ++i) EXPECT_NEAR(wanted_logps[i], logps[i], 1e-4);
  }
}

}  // namespace
}  // namespace attune
