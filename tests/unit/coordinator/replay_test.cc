#include "coordinator/replay.h"

#include <cmath>
#include <map>
#include <numeric>
#include <set>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attune {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using Caps = std::vector<double>;
using Sizes = std::vector<uint32_t>;

// The shares of Rosset et al. 2024: of 181 pairs 30% are 54 and 15% are 27.
TEST(ReplayCountsTest, SharesAreOfAllThatIsTrainedOn) {
  EXPECT_THAT(ReplayCounts(100, Caps{0.3, 0.15}, Sizes{1000, 1000}), ElementsAre(54, 27));
}

TEST(ReplayCountsTest, AnEarlierRoundGivesWhatItHas) {
  EXPECT_THAT(ReplayCounts(100, Caps{0.3, 0.15}, Sizes{10, 1000}), ElementsAre(10, 19));
  EXPECT_THAT(ReplayCounts(100, Caps{0.3, 0.15}, Sizes{0, 5}), ElementsAre(0, 5));
}

TEST(ReplayCountsTest, RoundsThatAreNotThereGiveNothing) {
  EXPECT_THAT(ReplayCounts(100, Caps{0.3, 0.15}, Sizes{}), IsEmpty());
  EXPECT_THAT(ReplayCounts(100, Caps{0.5}, Sizes{1000, 1000}), ElementsAre(100));
  EXPECT_THAT(ReplayCounts(100, Caps{}, Sizes{1000}), IsEmpty());
}

TEST(ReplayCountsTest, AShareOfZeroIsNone) {
  EXPECT_THAT(ReplayCounts(10, Caps{0, 0.5}, Sizes{9, 9}), ElementsAre(0, 9));
  EXPECT_THAT(ReplayCounts(0, Caps{0.5}, Sizes{9}), ElementsAre(0));
}

bool AreWithinLimits(uint32_t own, const Caps& caps, const Sizes& available, const Sizes& counts) {
  const uint32_t all = std::accumulate(counts.begin(), counts.end(), own);
  for (size_t k = 0; k < counts.size(); ++k) {
    if (counts[k] > available[k] || counts[k] > std::floor(caps[k] * all)) return false;
  }
  return true;
}

// Against a search of all numbers.
TEST(ReplayCountsTest, AreTheLargestWithinTheLimits) {
  for (const Caps& caps : {Caps{0.3, 0.15}, Caps{0.5, 0.4}, Caps{0.2, 0.6}, Caps{0.01, 0.9}}) {
    for (uint32_t own = 0; own <= 12; ++own) {
      const Sizes available = {20, 11};
      const Sizes counts = ReplayCounts(own, caps, available);
      ASSERT_TRUE(AreWithinLimits(own, caps, available, counts));
      for (uint32_t first = 0; first <= available[0]; ++first) {
        for (uint32_t second = 0; second <= available[1]; ++second) {
          if (!AreWithinLimits(own, caps, available, {first, second})) continue;
          EXPECT_LE(first, counts[0]);
          EXPECT_LE(second, counts[1]);
        }
      }
    }
  }
}

TEST(ReplayCountsTest, SharesOfAlmostAllEnd) {
  const Sizes counts = ReplayCounts(1, Caps(16, 0.0624999), Sizes(16, 1000000));
  EXPECT_TRUE(AreWithinLimits(1, Caps(16, 0.0624999), Sizes(16, 1000000), counts));
}

std::map<uint32_t, std::vector<uint32_t>> ByRound(const std::vector<ReplayedPair>& pairs) {
  std::map<uint32_t, std::vector<uint32_t>> by_round;
  for (const ReplayedPair& pair : pairs) by_round[pair.round].push_back(pair.index);
  return by_round;
}

TEST(ReplayedPairsTest, AreDifferentOnesOfTheNewestRounds) {
  const std::vector<ReplayedPair> pairs =
      ReplayedPairs(42, 5, 100, Caps{0.3, 0.15}, Sizes{60, 90, 500});
  ASSERT_EQ(pairs.size(), 81);
  EXPECT_EQ(pairs.front().round, 4);
  EXPECT_EQ(pairs.back().round, 3);
  const auto by_round = ByRound(pairs);
  ASSERT_EQ(by_round.size(), 2);
  EXPECT_EQ(std::set<uint32_t>(by_round.at(4).begin(), by_round.at(4).end()).size(), 54);
  EXPECT_EQ(std::set<uint32_t>(by_round.at(3).begin(), by_round.at(3).end()).size(), 27);
  for (uint32_t index : by_round.at(4)) EXPECT_LT(index, 60);
  for (uint32_t index : by_round.at(3)) EXPECT_LT(index, 90);
}

TEST(ReplayedPairsTest, TheFirstRoundHasNone) {
  EXPECT_THAT(ReplayedPairs(42, 1, 100, Caps{0.3}, Sizes{}), IsEmpty());
}

TEST(ReplayedPairsTest, DrawsDependOnSeedAndRoundsAlone) {
  const auto draw = [](uint64_t seed, uint32_t round, uint32_t own, Sizes available) {
    return ByRound(ReplayedPairs(seed, round, own, Caps{0.3, 0.15}, available));
  };
  const auto drawn = draw(42, 5, 100, {60, 90});
  EXPECT_EQ(draw(42, 5, 100, {60, 90}), drawn);
  EXPECT_NE(draw(43, 5, 100, {60, 90}), drawn);
  EXPECT_NE(draw(42, 6, 100, {60, 90}).at(5), drawn.at(4));
  EXPECT_NE(draw(42, 5, 100, {60, 60}).at(3),
            std::vector<uint32_t>(drawn.at(4).begin(), drawn.at(4).begin() + 27));
  // What one round gives does not change what another gives: fewer are the first of more.
  const auto fewer = draw(42, 5, 50, {60, 90});
  ASSERT_EQ(fewer.at(4).size(), 27);
  EXPECT_TRUE(std::equal(fewer.at(4).begin(), fewer.at(4).end(), drawn.at(4).begin()));
}

TEST(ReplayedPairsTest, EachPairIsAsLikely) {
  std::vector<int> drawn(10);
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    for (const ReplayedPair& pair : ReplayedPairs(seed, 2, 5, Caps{0.5}, Sizes{10})) {
      ++drawn[pair.index];
    }
  }
  // 500 each; five standard deviations (16) of slack.
  for (int count : drawn) EXPECT_NEAR(count, 500, 80);
}

}  // namespace
}  // namespace attune
