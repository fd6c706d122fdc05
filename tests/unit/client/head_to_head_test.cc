#include "client/head_to_head.h"

#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attune {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::IsEmpty;

// The record of round rates.size() with win rates against rounds 0, 1, ...
v1::RoundRecord MakeRecord(const std::vector<double>& rates) {
  v1::RoundRecord record;
  record.set_round(static_cast<uint32_t>(rates.size()));
  record.mutable_evaluation()->set_prompts(100);
  for (size_t other = 0; other < rates.size(); ++other) {
    v1::HeadToHead& result = *record.mutable_evaluation()->add_against();
    result.set_round(static_cast<uint32_t>(other));
    result.set_win_rate(rates[other]);
    result.set_win_rate_low(rates[other] - 0.1);
    result.set_win_rate_high(rates[other] + 0.2);
    result.set_length_controlled_win_rate(rates[other] - 0.05);
  }
  return record;
}

TEST(HeadToHeadTest, IsAntisymmetricAroundOneHalf) {
  const HeadToHeadMatrix matrix =
      MakeHeadToHead({MakeRecord({0.6}), MakeRecord({0.7, 0.55}), MakeRecord({0.8, 0.65, 0.45})});
  EXPECT_THAT(matrix.rounds, ElementsAre(0, 1, 2, 3));
  for (size_t i = 0; i < 4; ++i) {
    for (size_t j = 0; j < 4; ++j) {
      ASSERT_TRUE(matrix.At(i, j).has_value());
      const HeadToHeadCell& cell = *matrix.At(i, j);
      const HeadToHeadCell& opposite = *matrix.At(j, i);
      EXPECT_DOUBLE_EQ(cell.win_rate + opposite.win_rate, 1);
      EXPECT_DOUBLE_EQ(cell.low + opposite.high, 1);
      EXPECT_DOUBLE_EQ(cell.length_controlled + opposite.length_controlled, 1);
    }
  }
  EXPECT_DOUBLE_EQ(matrix.At(2, 1)->win_rate, 0.55);
  EXPECT_EQ(matrix.cycle_rate, 0);
  EXPECT_NEAR(matrix.newest_exploitability, 0.05, 1e-12);  // round 2 wins 55 %
}

// Round 1 beats 0, 2 beats 1, 0 beats 2.
TEST(HeadToHeadTest, FindsRoundsThatGoInCircles) {
  const HeadToHeadMatrix matrix = MakeHeadToHead({MakeRecord({0.8}), MakeRecord({0.2, 0.8})});
  EXPECT_DOUBLE_EQ(matrix.cycle_rate, 1);
  EXPECT_NEAR(matrix.uniform_exploitability, 0, 1e-12);
  EXPECT_NEAR(matrix.newest_exploitability, 0.3, 1e-12);
  EXPECT_THAT(matrix.ratings,
              ElementsAre(DoubleNear(0, 1e-6), DoubleNear(0, 1e-6), DoubleNear(0, 1e-6)));
}

TEST(HeadToHeadTest, RatesTwoRoundsByTheirGames) {
  const HeadToHeadMatrix matrix = MakeHeadToHead({MakeRecord({0.75})});
  ASSERT_EQ(matrix.ratings.size(), 2u);
  EXPECT_NEAR(matrix.ratings[1] - matrix.ratings[0], std::log(3), 1e-3);
}

TEST(HeadToHeadTest, RoundsThatWereNotComparedLeaveGaps) {
  v1::RoundRecord second = MakeRecord({0.7, 0.6});
  second.mutable_evaluation()->clear_against();
  const HeadToHeadMatrix matrix =
      MakeHeadToHead({MakeRecord({0.6}), second, MakeRecord({0.8, 0.65, 0.45})});
  EXPECT_FALSE(matrix.At(2, 0).has_value());
  EXPECT_TRUE(matrix.At(3, 2).has_value());
  EXPECT_THAT(matrix.ratings, IsEmpty());
  EXPECT_THAT(MakeHeadToHead({}).rounds, IsEmpty());
}

}  // namespace
}  // namespace attune
