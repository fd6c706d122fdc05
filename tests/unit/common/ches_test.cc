#include "common/ches.h"

#include <vector>

#include "gtest/gtest.h"

namespace attune {
namespace {

double Ches(const std::vector<double>& chosen, const std::vector<double>& rejected) {
  return ChesScore<double>(chosen, 1, rejected, 1);
}

TEST(ChesScoreTest, GrowsWithTheSimilarityOfThePair) {
  EXPECT_EQ(Ches({1, 2}, {1, 2}), 0);
  EXPECT_EQ(Ches({1, 2}, {-1, -2}), -10);
  EXPECT_EQ(Ches({1, 2}, {3, 0}), -2);
}

TEST(ChesScoreTest, WithLengthsIsTheScoreOfTheMeans) {
  const std::vector<float> chosen = {2, 4};
  const std::vector<float> rejected = {12, 0};
  EXPECT_EQ(ChesScore<float>(chosen, 2, rejected, 4), Ches({1, 2}, {3, 0}));
}

TEST(ChesScoreTest, IsComputedInDoublePrecision) {
  // 1e8 + 1 is no float: products or sums of floats would lose the 1.
  const std::vector<float> chosen = {1e4F, 1};
  const std::vector<float> rejected = {2e4F, 2};
  EXPECT_EQ(ChesScore<float>(chosen, 1, rejected, 1), 1e8 + 1);
}

}  // namespace
}  // namespace attune
