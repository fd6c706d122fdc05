// Draws against the exact distribution that the options leave, which the reference computes by
// sorting, in double. Random numbers are counter-based: what passes once passes always.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <ostream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/rng.h"
#include "gtest/gtest.h"
#include "model/sampler.h"
#include "tests/unit/model/sampler_reference.h"

namespace attune {
namespace {

// Beyond this many standard deviations chance would lead one time in 300 000.
constexpr double kDeviationsMax = 4.5;

struct Kind {
  double slope;  // of the logit over the logarithm of the rank
  double noise;  // standard deviation
  double step;   // logits are multiples of it, hence equal ones; 0: any number
};

std::vector<float> Logits(const Kind& kind, int64_t vocabulary, uint64_t seed) {
  const CounterRng rng({seed});
  const std::vector<uint32_t> ranks = Permutation(rng, static_cast<uint32_t>(vocabulary));
  std::vector<float> logits(ranks.size());
  for (size_t id = 0; id < logits.size(); ++id) {
    double normal = -6;  // the sum of twelve uniform numbers
    for (uint64_t i = 0; i < 12; ++i) normal += rng.Uniform((id + 1) * 1'000'000 + i);
    double logit = 1 - kind.slope * std::log(ranks[id] + 1.0) + kind.noise * normal;
    if (kind.step > 0) logit = kind.step * std::round(logit / kind.step);
    logits[id] = static_cast<float>(logit);
  }
  return logits;
}

std::string Text(const SamplingOptions& o) {
  return absl::StrCat("temperature ", o.temperature, " top_p ", o.top_p, " top_k ", o.top_k,
                      " min_p ", o.min_p, " repetition_penalty ", o.repetition_penalty);
}

// How many standard deviations chi-square is above what it should be (Wilson and Hilferty 1931).
// Tokens that are expected less than ten times count together.
double Deviations(const std::vector<int64_t>& counts, const std::vector<double>& p, int64_t draws) {
  double chi_square = 0, rare_expected = 0, rare_count = 0;
  int cells = 0;
  const auto add = [&](double expected, double count) {
    chi_square += (count - expected) * (count - expected) / expected;
    ++cells;
  };
  for (size_t id = 0; id < p.size(); ++id) {
    const double expected = p[id] * static_cast<double>(draws);
    if (expected >= 10) {
      add(expected, static_cast<double>(counts[id]));
    } else {
      rare_expected += expected;
      rare_count += static_cast<double>(counts[id]);
    }
  }
  if (rare_expected >= 10) add(rare_expected, rare_count);
  if (cells < 2) return 0;
  const double freedom = cells - 1;
  const double spread = 2 / (9 * freedom);
  return (std::cbrt(chi_square / freedom) - (1 - spread)) / std::sqrt(spread);
}

// Checks every draw's sampling_logp; returns how often each token was drawn.
std::vector<int64_t> Draws(const std::vector<float>& logits, const SamplingOptions& options,
                           const SamplingContext& context, const std::vector<double>& p,
                           int64_t draws, uint64_t seed) {
  Sampler sampler;
  const CounterRng rng({seed});
  std::vector<int64_t> counts(logits.size());
  for (int64_t i = 0; i < draws; ++i) {
    const Draw draw = sampler.Next(logits, rng.Uniform(static_cast<uint64_t>(i)), options, context);
    if (++counts[draw.token] > 1) continue;
    EXPECT_NEAR(std::log(p[draw.token]), draw.sampling_logp, 2e-5) << Text(options);
  }
  return counts;
}

std::vector<SamplingOptions> Grid() {
  std::vector<SamplingOptions> grid;
  for (double temperature : {0.7, 1.0, 2.0}) {
    for (double top_p : {0.5, 0.9, 1.0}) {
      for (int64_t top_k : {0, 4, 40}) {
        for (double min_p : {0.0, 0.1}) {
          for (double penalty : {0.8, 1.0, 1.3}) {
            grid.push_back({.temperature = temperature,
                            .top_p = top_p,
                            .top_k = top_k,
                            .min_p = min_p,
                            .repetition_penalty = penalty});
          }
        }
      }
    }
  }
  return grid;
}

const std::vector<int32_t> kPrompt = {1, 2, 3, 5, 8, 13, 21, 34};
const std::vector<int32_t> kResponse = {2, 40, 41, 41};
const SamplingContext kContext = {kPrompt, kResponse, {}};

TEST(SamplerDistributionTest, EveryCombinationOfOptionsHasItsDistribution) {
  constexpr int64_t kDraws = 8000;
  uint64_t seed = 0;
  for (const SamplingOptions& options : Grid()) {
    const std::vector<float> logits = Logits({1.2, 1, seed % 2 == 0 ? 0 : 0.25}, 100, seed);
    const std::vector<double> p = ReferenceDistribution(logits, options, kContext);
    const std::vector<int64_t> counts = Draws(logits, options, kContext, p, kDraws, ++seed);
    EXPECT_LT(Deviations(counts, p, kDraws), kDeviationsMax) << Text(options);
    for (size_t id = 0; id < p.size(); ++id) {
      EXPECT_TRUE(p[id] > 0 || counts[id] == 0) << id << " with " << Text(options);
    }
  }
}

const SamplingOptions kSome[] = {
    {},
    {.temperature = 0.7, .top_p = 0.95},
    {.temperature = 1.3, .top_k = 20},
    {.top_p = 0.9, .top_k = 50, .min_p = 0.02},
    {.temperature = 2, .min_p = 0.05, .repetition_penalty = 1.2},
};

TEST(SamplerDistributionTest, AMillionDrawsHaveTheDistribution) {
  constexpr int64_t kDraws = 1'000'000;
  for (const SamplingOptions& options : kSome) {
    const std::vector<float> logits = Logits({1, 1, 0}, 200, 77);
    const std::vector<double> p = ReferenceDistribution(logits, options, kContext);
    const std::vector<int64_t> counts = Draws(logits, options, kContext, p, kDraws, 3);
    EXPECT_LT(Deviations(counts, p, kDraws), kDeviationsMax) << Text(options);
    // The test would notice a temperature wrong by two percent.
    SamplingOptions other = options;
    other.temperature *= 1.02;
    const std::vector<double> wrong = ReferenceDistribution(logits, other, kContext);
    EXPECT_GT(Deviations(counts, wrong, kDraws), 2 * kDeviationsMax) << Text(options);
  }
}

TEST(SamplerDistributionTest, ALargeVocabularyHasTheDistribution) {
  constexpr int64_t kDraws = 8000;
  for (const Kind& kind : {Kind{1.2, 1, 0}, Kind{4, 1, 0}, Kind{0, 0.5, 0}}) {
    const std::vector<float> logits = Logits(kind, 32000, 5);
    for (const SamplingOptions& options : {kSome[1], kSome[3]}) {
      const std::vector<double> p = ReferenceDistribution(logits, options, kContext);
      const std::vector<int64_t> counts = Draws(logits, options, kContext, p, kDraws, 4);
      EXPECT_LT(Deviations(counts, p, kDraws), kDeviationsMax) << Text(options);
    }
  }
}

TEST(SamplerDistributionTest, ProbabilitiesSumToOne) {
  const std::vector<float> logits = Logits({1, 1, 0}, 60, 9);
  for (const SamplingOptions& options : Grid()) {
    Sampler sampler;
    std::map<int32_t, double> probabilities;
    for (int i = 0; i < 4000; ++i) {
      const Draw draw = sampler.Next(logits, (i + 0.5) / 4000, options, kContext);
      probabilities[draw.token] = std::exp(static_cast<double>(draw.sampling_logp));
    }
    double sum = 0;
    for (const auto& [token, probability] : probabilities) sum += probability;
    // Tokens too rare to be drawn once are left out.
    EXPECT_LT(sum, 1 + 1e-5) << Text(options);
    EXPECT_GT(sum, 1 - 0.25e-3 * 60) << Text(options);
    if (options.top_k == 4) {
      EXPECT_NEAR(sum, 1, 1e-5) << Text(options);
    }
  }
}

// The token at which the cumulative distribution passes u; -1 where rounding may decide.
int32_t TokenAt(const std::vector<double>& p, double u) {
  double sum = 0;
  for (size_t id = 0; id < p.size(); ++id) {
    sum += p[id];
    if (std::abs(sum - u) < 1e-6) return -1;
    if (sum > u) return static_cast<int32_t>(id);
  }
  return -1;
}

// Logits of any shape: the guess of how far down to look is often wrong.
TEST(SamplerDistributionTest, DrawsTheTokenOfTheReference) {
  const std::vector<SamplingOptions> grid = Grid();
  Sampler sampler;  // of all: nothing is left over from other options and sizes
  int compared = 0;
  for (uint64_t trial = 0; trial < 300; ++trial) {
    const CounterRng rng({trial, 1});
    const Kind kind = {8 * rng.Uniform(0) * rng.Uniform(1), 4 * rng.Uniform(2) * rng.Uniform(3),
                       rng.Below(4, 3) == 0 ? 0.5 : 0};
    const int64_t vocabulary =
        42 + static_cast<int64_t>(rng.Below(5, trial % 10 == 0 ? 9000 : 500));
    const std::vector<float> logits = Logits(kind, vocabulary, trial);
    const SamplingOptions& options = grid[rng.Below(6, grid.size())];
    const std::vector<double> p = ReferenceDistribution(logits, options, kContext);
    for (uint64_t i = 0; i < 50; ++i) {
      const double u = rng.Uniform(100 + i);
      const int32_t wanted = TokenAt(p, u);
      if (wanted < 0) continue;
      ASSERT_EQ(wanted, sampler.Next(logits, u, options, kContext).token)
          << "trial " << trial << " u " << u << " " << Text(options);
      ++compared;
    }
  }
  EXPECT_GT(compared, 14'000);
}

TEST(SamplerDistributionTest, GreedyTakesTheBestAfterPenalties) {
  Sampler sampler;
  int moved = 0;
  for (uint64_t trial = 0; trial < 300; ++trial) {
    const std::vector<float> logits = Logits({0, 2, trial % 2 == 0 ? 0 : 1.0}, 45, trial);
    const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
    const SamplingContext context = {kPrompt, kResponse, {4, 7}};
    for (double penalty : {1.0, 0.5, 2.0}) {
      const SamplingOptions options = {
          .temperature = 0, .repetition_penalty = penalty, .min_new_tokens = 5};
      const std::vector<double> scores = ReferenceLogits(logits, options, context);
      const auto wanted = std::max_element(scores.begin(), scores.end()) - scores.begin();
      const Draw draw = sampler.Next(logits, 0.3, options, context);
      EXPECT_EQ(wanted, draw.token) << trial << " " << penalty;
      EXPECT_EQ(0, draw.sampling_logp);
      moved += wanted != best;
    }
  }
  EXPECT_GT(moved, 50);
}

}  // namespace
}  // namespace attune
