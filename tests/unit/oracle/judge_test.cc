#include "oracle/judge.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

using testing::DoubleEq;
using testing::ElementsAre;

TEST(JudgeTest, ScoresOfProbabilitiesAreMeansOverTheOthers) {
  const Verdict verdict = VerdictOfPreferences({0.5, 0.9, 0.2,    //
                                                0.1, 0.5, 0.6,    //
                                                0.8, 0.4, 0.5}, 3);
  EXPECT_THAT(verdict.scores, ElementsAre(DoubleEq(0.55), DoubleEq(0.35), DoubleEq(0.6)));
  EXPECT_THAT(VerdictOfPreferences({0.5}, 1).scores, ElementsAre(0.5));
}

}  // namespace
}  // namespace attune
