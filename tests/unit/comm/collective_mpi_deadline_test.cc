// Run by mpirun with two ranks, of which one is late.
#include <mpi.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "comm/collective.h"
#include "common/clock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

TEST(MpiDeadlineTest, NamesTheRankThatHasNotCome) {
  ASSERT_OK_AND_ASSIGN(const auto world, MakeMpiCollective(absl::Milliseconds(300)));
  ASSERT_EQ(world->size(), 2);
  const std::string given_up = absl::StrCat(testing::TempDir(), "/given-up-", getppid());
  ASSERT_OK(world->Barrier());
  std::vector<double> values = {1};
  if (world->rank() == 0) {
    EXPECT_THAT(world->AllReduceSum(absl::MakeSpan(values)),
                StatusIs(absl::StatusCode::kDeadlineExceeded,
                         "collective operation 2 (AllReduceSum) is not done after 300ms: rank 1 "
                         "has not come to it (it is at 1); restart all ranks"));
    EXPECT_FALSE(world->healthy());
    EXPECT_THAT(world->Barrier(), StatusIs(absl::StatusCode::kFailedPrecondition, "after one"));
    std::ofstream(given_up).put('x');
    MPI_Finalize();  // once the other one has come; else mpirun reports a failure
    return;
  }
  for (int i = 0; i < 3000 && !std::filesystem::exists(given_up); ++i) {
    PauseFor(absl::Milliseconds(10));
  }
  EXPECT_TRUE(std::filesystem::remove(given_up));
  EXPECT_OK(world->AllReduceSum(absl::MakeSpan(values)));
  EXPECT_EQ(values[0], 2);
  MPI_Finalize();
  _exit(testing::Test::HasFailure() ? 1 : 0);
}

}  // namespace
}  // namespace attune
