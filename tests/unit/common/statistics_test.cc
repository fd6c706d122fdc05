#include "common/statistics.h"

#include <cmath>
#include <numeric>

#include "common/rng.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attune {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

double Mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / values.size();
}

// Rock, paper, scissors.
constexpr double kGame[] = {0.5, 0.0, 1.0,  //
                            1.0, 0.5, 0.0,  //
                            0.0, 1.0, 0.5};

// Wilson 1927; 8 of 10 gives (0.4902, 0.9433), the usual textbook example.
TEST(StatisticsTest, WilsonIntervalMatchesTheTextbook) {
  const Interval interval = WilsonInterval(8, 10);
  EXPECT_NEAR(interval.low, 0.4902, 1e-4);
  EXPECT_NEAR(interval.high, 0.9433, 1e-4);
  EXPECT_DOUBLE_EQ(WilsonInterval(10, 10).high, 1);
}

TEST(StatisticsTest, BootstrapIntervalIsThatOfTheNormalApproximation) {
  std::vector<double> values(400, 0.0);
  std::fill(values.begin(), values.begin() + 240, 1.0);
  const Interval interval = BootstrapInterval(values, 7);
  const double half = 1.96 * std::sqrt(0.6 * 0.4 / 400);  // 0.048
  EXPECT_NEAR(interval.low, 0.6 - half, 0.006);
  EXPECT_NEAR(interval.high, 0.6 + half, 0.006);
}

TEST(StatisticsTest, BootstrapIntervalDependsOnValuesAndSeedAlone) {
  const std::vector<double> values = {0, 1, 0.5, 1, 0.25, 0.75, 1, 0};
  EXPECT_EQ(BootstrapInterval(values, 7).low, BootstrapInterval(values, 7).low);
  EXPECT_EQ(BootstrapInterval(values, 7).high, BootstrapInterval(values, 7).high);
  const Interval same = BootstrapInterval(std::vector<double>{0.3, 0.3, 0.3}, 1);
  EXPECT_DOUBLE_EQ(same.low, 0.3);
  EXPECT_DOUBLE_EQ(same.high, 0.3);
}

// The longer response wins with probability sigmoid(4 tanh(d / sd)), and the one policy is nearly
// always the longer one.
TEST(StatisticsTest, AWinRateThatLengthAloneDecidesIsAHalfAtEqualLengths) {
  const CounterRng rng({3});
  std::vector<double> differences, soft, hard;
  for (int i = 0; i < 1000; ++i) differences.push_back(-4 + 20 * rng.Uniform(i));
  const double mean = Mean(differences);
  double squares = 0;
  for (double difference : differences) squares += (difference - mean) * (difference - mean);
  const double deviation = std::sqrt(squares / differences.size());
  for (int i = 0; i < 1000; ++i) {
    soft.push_back(Sigmoid(4 * std::tanh(differences[i] / deviation)));
    hard.push_back(rng.Uniform(1000 + i) < soft.back() ? 1 : 0);
  }
  EXPECT_GT(Mean(soft), 0.75);
  EXPECT_GT(Mean(hard), 0.75);
  EXPECT_NEAR(LengthControlledWinRate(soft, differences), 0.5, 0.001);
  EXPECT_NEAR(LengthControlledWinRate(hard, differences), 0.5, 0.06);
}

TEST(StatisticsTest, AWinRateThatLengthHasNoPartInStaysAsItIs) {
  const CounterRng rng({5});
  std::vector<double> differences, preferences;
  for (int i = 0; i < 2000; ++i) {
    differences.push_back(rng.Uniform(i) - 0.3);
    preferences.push_back(rng.Uniform(5000 + i) < 0.7 ? 1 : 0);
  }
  EXPECT_NEAR(LengthControlledWinRate(preferences, differences), Mean(preferences), 0.02);
  const std::vector<double> equal(2000, 12.0);
  EXPECT_NEAR(LengthControlledWinRate(preferences, equal), Mean(preferences), 1e-4);
}

TEST(StatisticsTest, LengthControlIsSymmetricAndFiniteWhereDataAreSeparable) {
  const std::vector<double> differences = {3, 5, 2, -1, -4, -2};
  const std::vector<double> wins = {1, 1, 1, 0, 0, 0}, losses = {0, 0, 0, 1, 1, 1};
  std::vector<double> opposite;
  for (double difference : differences) opposite.push_back(-difference);
  const double rate = LengthControlledWinRate(wins, differences);
  EXPECT_TRUE(std::isfinite(rate));
  EXPECT_NEAR(rate + LengthControlledWinRate(losses, opposite), 1, 1e-9);
  const double all = LengthControlledWinRate(std::vector<double>(6, 1.0), differences);
  EXPECT_GT(all, 0.9);
  EXPECT_LT(all, 1);
}

TEST(StatisticsTest, CorrelationMatchesTheFormula) {
  const std::vector<double> x = {1, 2, 3}, y = {2, 4, 7};
  EXPECT_NEAR(Correlation(x, y), 5 / std::sqrt(2 * 114.0 / 9), 1e-12);
  EXPECT_NEAR(Correlation(x, std::vector<double>{-1, -2, -3}), -1, 1e-12);
  EXPECT_EQ(Correlation(x, std::vector<double>{4, 4, 4}), 0);
  EXPECT_EQ(Correlation({}, {}), 0);
}

TEST(StatisticsTest, QuantileLiesBetweenNeighbours) {
  EXPECT_DOUBLE_EQ(Quantile({4, 1, 3, 2}, 0.5), 2.5);
  EXPECT_DOUBLE_EQ(Quantile({4, 1, 3, 2}, 0.9), 3.7);
  EXPECT_DOUBLE_EQ(Quantile({4, 1, 3, 2}, 1), 4);
  EXPECT_DOUBLE_EQ(Quantile({}, 0.9), 0);
}

TEST(StatisticsTest, RockPaperScissorsIsOneCycle) {
  const CycleCount game = CountCycles({3, kGame});
  EXPECT_EQ(game.cyclic, 1u);
  EXPECT_EQ(game.triples, 1u);
  const double order[] = {0.5, 0.9, 0.9, 0.1, 0.5, 0.9, 0.1, 0.1, 0.5};
  EXPECT_EQ(CountCycles({3, order}).cyclic, 0u);
  const double tied[] = {0.5, 0.5, 1, 0.5, 0.5, 0, 0, 1, 0.5};
  EXPECT_EQ(CountCycles({3, tied}).cyclic, 0u);
}

// Of four players i beats j where i < j, but the last beats the first: (1, 2, 4) and (1, 3, 4) go
// round.
TEST(StatisticsTest, CountsTheCyclesAmongAllTriples) {
  double matrix[16];
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 4; ++j) matrix[4 * i + j] = i == j ? 0.5 : i < j ? 0.8 : 0.2;
  }
  matrix[3] = 0.2;
  matrix[12] = 0.8;
  EXPECT_EQ(CountCycles({4, matrix}).cyclic, 2u);
  EXPECT_EQ(CountCycles({4, matrix}).triples, 4u);
}

TEST(StatisticsTest, UniformPlayIsTheEquilibriumOfRockPaperScissors) {
  const PreferenceMatrix game(3, kGame);
  const double third = 1.0 / 3;
  EXPECT_NEAR(Exploitability(game, {third, third, third}), 0, 1e-12);
  EXPECT_DOUBLE_EQ(Exploitability(game, {1, 0, 0}), 0.5);
  EXPECT_DOUBLE_EQ(Exploitability(game, {0.5, 0.5, 0}), 0.25);  // paper: (1 + 0.5) / 2 - 0.5
}

TEST(StatisticsTest, BradleyTerryFindsTheStrengthsOfConsistentResults) {
  const double strengths[] = {1.5, 0.5, -2};
  std::vector<double> wins(9, 0.0);
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j) {
      if (i != j) wins[3 * i + j] = 1000 * Sigmoid(strengths[i] - strengths[j]);
    }
  }
  EXPECT_THAT(BradleyTerry(3, wins),
              ElementsAre(DoubleNear(1.5, 1e-3), DoubleNear(0.5, 1e-3), DoubleNear(-2, 1e-3)));
}

TEST(StatisticsTest, BradleyTerryIsFiniteForWhoAlwaysWins) {
  const std::vector<double> ratings = BradleyTerry(2, {0, 64, 0, 0});
  EXPECT_NEAR(ratings[0] - ratings[1], std::log(64.005 / 0.005), 1e-3);
  EXPECT_NEAR(ratings[0] + ratings[1], 0, 1e-12);
  EXPECT_THAT(BradleyTerry(3, std::vector<double>(9, 1.0)),
              ElementsAre(DoubleNear(0, 1e-9), DoubleNear(0, 1e-9), DoubleNear(0, 1e-9)));
}

}  // namespace
}  // namespace attune
