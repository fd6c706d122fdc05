#include "model/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tiny_model.h"

namespace attune {
namespace {

using ::testing::ElementsAre;

Draw Next(const SamplingOptions& options, const std::vector<float>& logits, double u,
          const SamplingContext& context = {}) {
  return Sampler().Next(logits, u, options, context);
}

// How often each token is drawn over an even grid of u.
std::map<int32_t, int> Count(const SamplingOptions& options, const std::vector<float>& logits,
                             int draws) {
  Sampler sampler;
  std::map<int32_t, int> counts;
  for (int i = 0; i < draws; ++i)
    ++counts[sampler.Next(logits, (i + 0.5) / draws, options, {}).token];
  return counts;
}

std::vector<int32_t> Drawable(const SamplingOptions& options, const std::vector<float>& logits) {
  std::vector<int32_t> tokens;
  for (const auto& [token, count] : Count(options, logits, 1000)) tokens.push_back(token);
  return tokens;
}

std::vector<float> LogsOf(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  for (double p : probabilities) logits.push_back(static_cast<float>(std::log(p)));
  return logits;
}

const std::vector<float> kLogits = LogsOf({0.1, 0.4, 0.2, 0.3});

TEST(SamplerTest, GreedyTakesTheLowestIdAmongTheBest) {
  const Draw draw = Next({.temperature = 0}, {1, 3, 3, 2}, 0.9);
  EXPECT_EQ(1, draw.token);
  EXPECT_EQ(0, draw.sampling_logp);
}

TEST(SamplerTest, DrawsInProportionToProbability) {
  const std::map<int32_t, int> counts = Count({}, kLogits, 1000);
  EXPECT_EQ((std::map<int32_t, int>{{0, 100}, {1, 400}, {2, 200}, {3, 300}}), counts);
}

TEST(SamplerTest, TemperatureScalesTheLogits) {
  const std::map<int32_t, int> counts = Count({.temperature = 0.5}, kLogits, 3000);
  EXPECT_EQ((std::map<int32_t, int>{{0, 100}, {1, 1600}, {2, 400}, {3, 900}}), counts);
}

TEST(SamplerTest, TopKKeepsTheLikeliestAndTheirEquals) {
  EXPECT_THAT(Drawable({.top_k = 1}, kLogits), ElementsAre(1));
  EXPECT_THAT(Drawable({.top_k = 2}, kLogits), ElementsAre(1, 3));
  EXPECT_THAT(Drawable({.top_k = 99}, kLogits), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(Drawable({.top_k = 2}, LogsOf({0.2, 0.4, 0.2, 0.2})), ElementsAre(0, 1, 2, 3));
}

TEST(SamplerTest, TopPKeepsTheSmallestSetThatReachesIt) {
  EXPECT_THAT(Drawable({.top_p = 0.01}, kLogits), ElementsAre(1));
  EXPECT_THAT(Drawable({.top_p = 0.39}, kLogits), ElementsAre(1));
  EXPECT_THAT(Drawable({.top_p = 0.41}, kLogits), ElementsAre(1, 3));
  EXPECT_THAT(Drawable({.top_p = 0.89}, kLogits), ElementsAre(1, 2, 3));
  EXPECT_THAT(Drawable({.top_p = 0.95}, kLogits), ElementsAre(0, 1, 2, 3));
}

TEST(SamplerTest, TopPCountsProbabilityAmongWhatTopKKept) {
  // Of {0.4, 0.3}, 0.4 is 0.57.
  EXPECT_THAT(Drawable({.top_p = 0.5, .top_k = 2}, kLogits), ElementsAre(1));
  EXPECT_THAT(Drawable({.top_p = 0.6, .top_k = 2}, kLogits), ElementsAre(1, 3));
}

TEST(SamplerTest, MinPDropsWhatIsUnlikelyBesideTheLikeliest) {
  EXPECT_THAT(Drawable({.min_p = 0.24}, kLogits), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(Drawable({.min_p = 0.26}, kLogits), ElementsAre(1, 2, 3));
  EXPECT_THAT(Drawable({.min_p = 0.6}, kLogits), ElementsAre(1, 3));
  EXPECT_THAT(Drawable({.min_p = 1}, kLogits), ElementsAre(1));
  EXPECT_THAT(Drawable({.min_p = 1}, {3, 1, 3}), ElementsAre(0, 2));
}

TEST(SamplerTest, MinPComparesAfterTemperature) {
  // Squared: 0.01, 0.16, 0.04, 0.09.
  EXPECT_THAT(Drawable({.temperature = 0.5, .min_p = 0.26}, kLogits), ElementsAre(1, 3));
}

TEST(SamplerTest, MinPDoesNotChangeWhatTopPCounts) {
  // Were min_p first, {0.4, 0.3} would be all, and 0.4 alone 0.57 of it.
  EXPECT_THAT(Drawable({.top_p = 0.5, .min_p = 0.6}, kLogits), ElementsAre(1, 3));
  EXPECT_THAT(Drawable({.top_p = 0.95, .min_p = 0.6}, kLogits), ElementsAre(1, 3));
}

TEST(SamplerTest, RepetitionPenaltyDividesPositiveLogitsAndMultipliesNegativeOnes) {
  const std::vector<float> logits = {2, -1, 2, -1, 0};
  const std::vector<int32_t> prompt = {0, 0}, response = {1, 0};
  const SamplingContext context = {prompt, response, {}};
  const SamplingOptions options = {.repetition_penalty = 2};
  const double total = std::exp(1) + std::exp(-2) + std::exp(2) + std::exp(-1) + 1;
  const Draw draw = Next(options, logits, 0, context);
  EXPECT_EQ(0, draw.token);
  EXPECT_NEAR(1 - std::log(total), draw.sampling_logp, 1e-6);
  EXPECT_EQ(1, Next(options, logits, (std::exp(1) + 1e-3) / total, context).token);
  EXPECT_EQ(2, Next(options, logits, (std::exp(1) + std::exp(-2) + 1e-3) / total, context).token);
}

TEST(SamplerTest, RepetitionPenaltyLeavesTheRecordedLogpAlone) {
  const std::vector<int32_t> prompt = {1};
  const Draw plain = Next({}, kLogits, 0.3, {});
  const Draw draw = Next({.repetition_penalty = 1.5}, kLogits, 0.3, {prompt, {}, {}});
  ASSERT_EQ(plain.token, draw.token);
  EXPECT_EQ(plain.logp, draw.logp);
  EXPECT_NE(draw.logp, draw.sampling_logp);
}

TEST(SamplerTest, MinNewTokensKeepsTheEndFromComing) {
  const std::vector<int32_t> eos = {1, 3, 1000}, one = {0}, two = {0, 2};  // 1000 has no logit
  const SamplingOptions options = {.min_new_tokens = 2};
  for (double u : {0.0, 0.3, 0.5, 0.9}) {
    EXPECT_EQ(0, Next(options, kLogits, u, {{}, {}, eos}).token % 2) << u;
    EXPECT_EQ(0, Next(options, kLogits, u, {one, one, eos}).token % 2) << u;
  }
  const Draw draw = Next(options, kLogits, 0.3, {{}, two, eos});
  EXPECT_EQ(1, draw.token);
  EXPECT_EQ(draw.logp, draw.sampling_logp);
  EXPECT_EQ(2, Next({.temperature = 0, .min_new_tokens = 2}, kLogits, 0, {{}, {}, eos}).token);
}

TEST(SamplerTest, TellsWhenNothingButTheEndIsPossible) {
  const float never = -std::numeric_limits<float>::infinity();
  const std::vector<int32_t> eos = {0};
  for (double temperature : {0.0, 1.0}) {
    const SamplingOptions options = {.temperature = temperature, .min_new_tokens = 1};
    EXPECT_FALSE(std::isfinite(Next(options, {1, never}, 0.5, {{}, {}, eos}).logp));
  }
}

TEST(SamplerTest, TopPFindsTheSameSetInAFlatVocabulary) {
  const std::vector<float> logits = RandomFloats(500, 1, 30);
  std::vector<std::pair<float, int32_t>> order;
  double total = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    order.emplace_back(-logits[i], static_cast<int32_t>(i));
    total += std::exp(static_cast<double>(logits[i]) / 20);
  }
  std::sort(order.begin(), order.end());
  std::set<int32_t> wanted;
  double mass = 0;
  for (size_t i = 0; mass < 0.9 * total; ++i) {
    wanted.insert(order[i].second);
    mass += std::exp(-static_cast<double>(order[i].first) / 20);
  }
  std::set<int32_t> drawn;
  for (const auto& [token, count] : Count({.temperature = 20, .top_p = 0.9}, logits, 20000)) {
    drawn.insert(token);
  }
  EXPECT_EQ(wanted, drawn);
}

TEST(SamplerTest, RecordsBothLogProbabilities) {
  Draw draw = Next({.top_k = 2}, kLogits, 0);
  EXPECT_EQ(1, draw.token);
  EXPECT_NEAR(std::log(0.4), draw.logp, 1e-6);
  EXPECT_NEAR(std::log(0.4 / 0.7), draw.sampling_logp, 1e-6);
  draw = Next({.temperature = 0.5}, kLogits, 0);
  EXPECT_EQ(0, draw.token);
  EXPECT_NEAR(std::log(0.1), draw.logp, 1e-6);
  EXPECT_NEAR(std::log(0.01 / 0.3), draw.sampling_logp, 1e-6);
  draw = Next({}, kLogits, 0.999999);
  EXPECT_EQ(draw.logp, draw.sampling_logp);
}

TEST(SamplerTest, NeverDrawsAnImpossibleToken) {
  const float never = -std::numeric_limits<float>::infinity();
  const std::vector<float> logits = {never, 0, never, 1, never};
  for (double u : {0.0, 0.5, 0.9999999999999999}) {
    for (const SamplingOptions& options :
         {SamplingOptions{}, SamplingOptions{.top_p = 0.999999}, SamplingOptions{.top_k = 4}}) {
      EXPECT_EQ(1, Next(options, logits, u).token % 2) << u;
    }
  }
}

TEST(SamplerTest, TellsLogitsThatAreNoDistribution) {
  const std::vector<float> logits(4, std::nanf(""));
  for (const SamplingOptions& options :
       {SamplingOptions{}, SamplingOptions{.temperature = 0}, SamplingOptions{.top_p = 0.5}}) {
    EXPECT_FALSE(std::isfinite(Next(options, logits, 0.5).logp));
  }
}

TEST(SamplerTest, ChecksOptions) {
  const auto kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_OK(CheckSamplingOptions({}));
  EXPECT_OK(CheckSamplingOptions({.temperature = 0}));
  EXPECT_THAT(CheckSamplingOptions({.temperature = -1}), StatusIs(kInvalid, "temperature is -1"));
  EXPECT_THAT(CheckSamplingOptions({.temperature = NAN}), StatusIs(kInvalid, "temperature"));
  EXPECT_THAT(CheckSamplingOptions({.top_p = 0}), StatusIs(kInvalid, "top_p is 0"));
  EXPECT_THAT(CheckSamplingOptions({.top_p = 1.1}), StatusIs(kInvalid, "top_p is 1.1"));
  EXPECT_THAT(CheckSamplingOptions({.top_k = -1}), StatusIs(kInvalid, "top_k is -1"));
  EXPECT_THAT(CheckSamplingOptions({.min_p = -0.1}), StatusIs(kInvalid, "min_p is -0.1"));
  EXPECT_THAT(CheckSamplingOptions({.min_p = 1.1}), StatusIs(kInvalid, "within 0-1"));
  EXPECT_OK(CheckSamplingOptions({.min_p = 1, .repetition_penalty = 100}));
  EXPECT_THAT(CheckSamplingOptions({.repetition_penalty = 0}),
              StatusIs(kInvalid, "repetition_penalty is 0; it must be within 0.01-100"));
  EXPECT_THAT(CheckSamplingOptions({.repetition_penalty = NAN}), StatusIs(kInvalid, "is nan"));
  EXPECT_OK(CheckSamplingOptions({.min_new_tokens = 4, .max_new_tokens = 4}));
  EXPECT_THAT(CheckSamplingOptions({.min_new_tokens = -1}), StatusIs(kInvalid, "min_new_tokens"));
  EXPECT_THAT(CheckSamplingOptions({.min_new_tokens = 5, .max_new_tokens = 4}),
              StatusIs(kInvalid, "min_new_tokens is 5; it must be within 0 and max_new_tokens, 4"));
  EXPECT_THAT(CheckSamplingOptions({.max_new_tokens = 0}), StatusIs(kInvalid, "max_new_tokens"));
}

}  // namespace
}  // namespace attune
