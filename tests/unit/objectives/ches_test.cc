#include "worker/objectives/ches.h"

#include <ATen/ATen.h>

#include "gtest/gtest.h"
#include "tests/unit/objectives/loss_batches.h"

namespace attune {
namespace {

TEST(ChesScoresTest, GrowWithTheSimilarityOfThePair) {
  const at::Tensor chosen = Doubles({1, 2, 1, 2, 1, 2}).view({3, 2});
  const at::Tensor rejected = Doubles({1, 2, -1, -2, 3, 0}).view({3, 2});
  ExpectClose(ChesScores(chosen, rejected), {0, -10, -2});
}

void ExpectSlice(const PositionRange& range, int64_t begin, int64_t end) {
  EXPECT_EQ(range.begin, begin);
  EXPECT_EQ(range.end, end);
}

TEST(QuantileSliceTest, QuantileZeroIsTheLeastSimilarPairs) {
  ExpectSlice(QuantileSlice(100, 0, 5), 0, 5);
}

TEST(QuantileSliceTest, IsAroundTheQuantileAndInsideTheList) {
  ExpectSlice(QuantileSlice(101, 0.5, 4), 48, 52);
  ExpectSlice(QuantileSlice(101, 1, 10), 91, 101);
  ExpectSlice(QuantileSlice(4, 0.5, 1), 2, 3);  // 1.5 is rounded to the even position
}

TEST(QuantileSliceTest, OfAShortListIsAllOfIt) {
  ExpectSlice(QuantileSlice(3, 0.7, 10), 0, 3);
  ExpectSlice(QuantileSlice(0, 0.5, 2), 0, 0);
}

}  // namespace
}  // namespace attune
