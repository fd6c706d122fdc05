// Direct Nash Optimization (Rosset et al. 2024) on a game whose equilibrium is known. The policies
// of the rounds circle the equilibrium, and so does their average, ever closer: its exploitability
// nearly vanishes when a revolution closes, and rises again. Hence it cannot fall from every round
// to the next. What falls is its peak, the highest value within a stretch of rounds longer than a
// revolution, and that is asserted.
#include "tests/unit/objectives/nash_game.h"

#include <algorithm>
#include <vector>

#include <ATen/ATen.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attune {
namespace {

using testing::Each;
using testing::Gt;
using testing::Lt;

// Rounds; a revolution takes 210 to 320. The first stretch is burn-in.
constexpr int kStretch = 400;

at::Tensor Policy(double rock, double paper, double scissors) {
  return at::tensor({rock, paper, scissors}, at::kDouble);
}

const at::Tensor& Game() {
  static const at::Tensor* game = new at::Tensor(BiasedRockPaperScissors());
  return *game;
}

GameSeries TrainDno(const at::Tensor& initial) {
  return Measure(Game(), AveragePolicies(initial, {"dno"}, [](const at::Tensor& policy, int) {
                   return WinRatePairs(Game(), policy);
                 }));
}

std::vector<double> LastStretch(const std::vector<double>& series) {
  return {series.end() - kStretch, series.end()};
}

// The highest value of each stretch.
std::vector<double> Peaks(const std::vector<double>& series) {
  std::vector<double> peaks;
  for (size_t i = 0; i + kStretch <= series.size(); i += kStretch) {
    peaks.push_back(*std::max_element(series.begin() + i, series.begin() + i + kStretch));
  }
  return peaks;
}

void ExpectFalls(const std::vector<double>& peaks) {
  for (size_t i = 1; i < peaks.size(); ++i) EXPECT_LT(peaks[i], peaks[i - 1]) << "stretch " << i;
}

TEST(NashGameTest, PreferencesGoInACircle) {
  EXPECT_TRUE(at::equal(Game() + Game().t(), at::ones_like(Game())));
  const auto p = Game().accessor<double, 2>();
  EXPECT_GT(p[0][2], 0.5);
  EXPECT_GT(p[2][1], 0.5);
  EXPECT_GT(p[1][0], 0.5);
}

TEST(NashGameTest, NothingBeatsTheEquilibrium) {
  const at::Tensor equilibrium = NashEquilibrium(Game());
  EXPECT_TRUE(at::allclose(equilibrium, Policy(3, 9, 5) / 17));
  EXPECT_TRUE(at::allclose(WinRates(Game(), equilibrium), at::full({3}, 0.5, at::kDouble)));
  EXPECT_NEAR(Exploitability(Game(), Policy(1, 0, 0)), 0.25, 1e-12);
}

TEST(NashGameTest, ARoundOfDnoMultipliesByTheExponentialOfWinRates) {
  const at::Tensor initial = Policy(0.5, 0.25, 0.25);
  const at::Tensor averages =
      AveragePolicies(initial, {"dno", 4, 2},
                      [](const at::Tensor& policy, int) { return WinRatePairs(Game(), policy); });
  const at::Tensor second = 2 * averages[1] - averages[0];
  const at::Tensor expected = initial * at::exp(WinRates(Game(), initial) / 4);
  EXPECT_TRUE(at::allclose(second, expected / expected.sum(), /*rtol=*/1e-4));
}

class NashGameStartTest : public testing::TestWithParam<std::vector<double>> {};

TEST_P(NashGameStartTest, DnoAverageApproachesTheEquilibrium) {
  const at::Tensor initial = at::tensor(GetParam(), at::kDouble);
  EXPECT_GT(TotalVariation(initial, NashEquilibrium(Game())), 0.2);
  const GameSeries dno = TrainDno(initial);
  EXPECT_THAT(LastStretch(dno.distance), Each(Lt(0.02)));
  ExpectFalls(Peaks(dno.distance));
  ExpectFalls(Peaks(dno.exploitability));
  EXPECT_THAT(LastStretch(dno.exploitability), Each(Lt(0.005)));
}

INSTANTIATE_TEST_SUITE_P(Starts, NashGameStartTest,
                         testing::Values(std::vector<double>{0.5, 0.25, 0.25},
                                         std::vector<double>{0.25, 0.25, 0.5},
                                         std::vector<double>{0.2, 0.2, 0.6}));

TEST(NashGameTest, SampledDnoAverageStaysNearTheEquilibrium) {
  const GameSeries dno = Measure(
      Game(),
      AveragePolicies(Policy(0.5, 0.25, 0.25), {"dno", 8}, [](const at::Tensor& policy, int round) {
        return SampledPairs(Game(), policy, /*prompts=*/64, /*seed=*/1, round);
      }));
  EXPECT_THAT(LastStretch(dno.distance), Each(Lt(0.04)));
  EXPECT_THAT(LastStretch(dno.exploitability), Each(Lt(0.015)));
}

TEST(NashGameTest, RewardMaximisationEndsAtAnExploitableResponse) {
  const at::Tensor scores = BradleyTerryScores(Game());
  EXPECT_EQ(scores.argmax().item<int64_t>(), 0);  // rock, which the equilibrium plays least
  const at::Tensor averages =
      AveragePolicies(Policy(0.5, 0.25, 0.25), {"sigmoid"},
                      [&](const at::Tensor&, int) { return ScorePairs(scores); });
  EXPECT_GT(averages[-1][0].item<double>(), 0.99);
  const GameSeries reward = Measure(Game(), averages);
  EXPECT_THAT(LastStretch(reward.distance), Each(Gt(0.8)));
  EXPECT_THAT(LastStretch(reward.exploitability), Each(Gt(0.24)));
  EXPECT_GT(reward.exploitability.back(), reward.exploitability.front());
}

}  // namespace
}  // namespace attune
