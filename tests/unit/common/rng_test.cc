#include "common/rng.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attune {
namespace {

using ::testing::ElementsAre;

// SplitMix64 with seed 0 (Steele et al. 2014; the published first outputs).
TEST(RngTest, MixBitsIsSplitMix64) {
  constexpr uint64_t kGamma = 0x9e3779b97f4a7c15ull;
  EXPECT_EQ(MixBits(0), 0xe220a8397b1dcdafull);
  EXPECT_EQ(MixBits(kGamma), 0x6e789e6aa1b965f4ull);
  EXPECT_EQ(MixBits(2 * kGamma), 0x06c45d188009454full);
}

// Computed by a second implementation in Python. A change here changes every job's outcome.
TEST(RngTest, DrawsAreTheSameOnEveryMachine) {
  const CounterRng rng({42, 1, 7, 3});
  EXPECT_EQ(rng.key(), 0xb8908a08df93cce0ull);
  EXPECT_EQ(rng.Bits(0), 0x586b29f1a4ceb1a7ull);
  EXPECT_EQ(rng.Bits(3), 0xb84e605d14c2ca27ull);
  EXPECT_EQ(rng.Uniform(1), 0.7133943533791527);
  EXPECT_EQ(rng.Below(1, 10), 7u);
  EXPECT_EQ(rng.Below(5, 10), 1u);
}

TEST(RngTest, PermutationIsTheSameOnEveryMachine) {
  EXPECT_THAT(Permutation(CounterRng({42}), 8), ElementsAre(7, 1, 5, 0, 2, 3, 4, 6));
  EXPECT_THAT(Permutation(CounterRng({7, 1}), 5), ElementsAre(0, 4, 2, 1, 3));
}

TEST(RngTest, KeysAreOrderedAndComplete) {
  std::set<uint64_t> keys;
  for (const CounterRng& rng : {CounterRng({1, 2, 3}), CounterRng({3, 2, 1}), CounterRng({1, 2}),
                                CounterRng({1, 2, 3, 0}), CounterRng({0, 1, 2, 3})}) {
    keys.insert(rng.key());
  }
  EXPECT_EQ(keys.size(), 5u);
}

TEST(RngTest, UniformFillsTheUnitIntervalEvenly) {
  constexpr int kDraws = 100000;
  constexpr int kBins = 20;
  std::vector<int> bins(kBins, 0);
  double sum = 0;
  const CounterRng rng({2024});
  for (int i = 0; i < kDraws; ++i) {
    const double u = rng.Uniform(i);
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    sum += u;
    ++bins[static_cast<int>(u * kBins)];
  }
  // Five standard deviations: of the mean, and of a bin's count.
  EXPECT_NEAR(sum / kDraws, 0.5, 5 * std::sqrt(1.0 / 12 / kDraws));
  for (int count : bins) EXPECT_NEAR(count, kDraws / kBins, 5 * std::sqrt(kDraws / kBins));
}

TEST(RngTest, NeighbouringKeysAreIndependent) {
  constexpr int kDraws = 100000;
  double product = 0;
  for (uint64_t sample = 0; sample < kDraws; ++sample) {
    product += (CounterRng({1, sample}).Uniform(0) - 0.5) *
               (CounterRng({1, sample + 1}).Uniform(0) - 0.5);
  }
  EXPECT_NEAR(product / kDraws, 0.0, 5 * (1.0 / 12) / std::sqrt(kDraws));
}

TEST(RngTest, BelowStaysBelow) {
  const CounterRng rng({5});
  for (uint64_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(rng.Below(i, 1), 0u);
    EXPECT_LT(rng.Below(i, 3), 3u);
    EXPECT_LT(rng.Below(i, ~0ull), ~0ull);
  }
}

TEST(RngTest, PermutationHoldsEveryNumberOnce) {
  for (uint32_t n : {0u, 1u, 2u, 1000u}) {
    std::vector<uint32_t> order = Permutation(CounterRng({9, n}), n);
    std::sort(order.begin(), order.end());
    ASSERT_EQ(order.size(), n);
    for (uint32_t i = 0; i < n; ++i) EXPECT_EQ(order[i], i);
  }
}

TEST(RngTest, PermutationsAreEquallyLikely) {
  constexpr int kDraws = 60000;
  std::vector<int> counts(27, 0);
  for (uint64_t i = 0; i < kDraws; ++i) {
    const std::vector<uint32_t> order = Permutation(CounterRng({i}), 3);
    ++counts[order[0] * 9 + order[1] * 3 + order[2]];
  }
  int seen = 0;
  for (int count : counts) {
    if (count == 0) continue;
    ++seen;
    EXPECT_NEAR(count, kDraws / 6, 5 * std::sqrt(kDraws / 6));
  }
  EXPECT_EQ(seen, 6);
}

}  // namespace
}  // namespace attune
