#include "worker/pieces.h"

#include <atomic>
#include <stdexcept>
#include <vector>

#include "gtest/gtest.h"

namespace attune {
namespace {

class PiecesTest : public testing::TestWithParam<int> {
 protected:
  void SetUp() override { SetPieceThreads(GetParam()); }
  void TearDown() override { SetPieceThreads(1); }
};

TEST_P(PiecesTest, CoversEverythingOnceInPiecesOfTheSameSize) {
  std::vector<std::atomic<int>> seen(10);
  ForPieces(10, 4, [&](int64_t begin, int64_t end) {
    EXPECT_EQ(begin % 4, 0);
    EXPECT_EQ(end, begin == 8 ? 10 : begin + 4);
    for (int64_t i = begin; i < end; ++i) ++seen[i];
  });
  for (const std::atomic<int>& count : seen) EXPECT_EQ(count, 1);
}

TEST_P(PiecesTest, DoesNothingForNothing) {
  ForPieces(0, 4, [](int64_t, int64_t) { ADD_FAILURE(); });
}

TEST_P(PiecesTest, ThrowsWhatAPieceThrows) {
  EXPECT_THROW(ForPieces(10, 1,
                         [](int64_t begin, int64_t) {
                           if (begin == 7) throw std::runtime_error("piece 7");
                         }),
               std::runtime_error);
}

INSTANTIATE_TEST_SUITE_P(Threads, PiecesTest, testing::Values(1, 3));

}  // namespace
}  // namespace attune
