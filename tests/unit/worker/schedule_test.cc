#include "worker/schedule.h"

#include <cmath>

#include "gtest/gtest.h"

namespace attune {
namespace {

v1::TrainingSpec Spec(v1::LrSchedulerType type, double warmup_ratio) {
  v1::TrainingSpec spec;
  spec.set_learning_rate(2e-4);
  spec.set_lr_scheduler_type(type);
  spec.set_warmup_ratio(warmup_ratio);
  return spec;
}

TEST(ScheduleTest, ConstantHasNoWarmUp) {
  const auto spec = Spec(v1::LR_SCHEDULER_TYPE_CONSTANT, 0.5);
  for (uint32_t update : {0u, 4u, 9u}) EXPECT_EQ(LearningRate(spec, {update, 10}), 2e-4);
}

TEST(ScheduleTest, WarmUpTakesTheRatioOfTheUpdatesRoundedUp) {
  const auto spec = Spec(v1::LR_SCHEDULER_TYPE_LINEAR, 0.25);  // ceil(2.5) = 3 updates
  EXPECT_DOUBLE_EQ(LearningRate(spec, {0, 10}), 2e-4 / 3);
  EXPECT_DOUBLE_EQ(LearningRate(spec, {1, 10}), 4e-4 / 3);
  EXPECT_DOUBLE_EQ(LearningRate(spec, {2, 10}), 2e-4);
  EXPECT_DOUBLE_EQ(LearningRate(spec, {3, 10}), 2e-4);
}

TEST(ScheduleTest, ARoundOfOneUpdateLearns) {
  EXPECT_DOUBLE_EQ(LearningRate(Spec(v1::LR_SCHEDULER_TYPE_COSINE, 0.1), {0, 1}), 2e-4);
}

TEST(ScheduleTest, LinearFallsToZeroAtTheEnd) {
  const auto spec = Spec(v1::LR_SCHEDULER_TYPE_LINEAR, 0);
  EXPECT_DOUBLE_EQ(LearningRate(spec, {0, 8}), 2e-4);
  EXPECT_DOUBLE_EQ(LearningRate(spec, {6, 8}), 2e-4 * 0.25);
}

TEST(ScheduleTest, CosineIsHalfACosineAfterWarmUp) {
  const auto spec = Spec(v1::LR_SCHEDULER_TYPE_COSINE, 0.2);
  EXPECT_DOUBLE_EQ(LearningRate(spec, {2, 10}), 2e-4);
  EXPECT_DOUBLE_EQ(LearningRate(spec, {6, 10}), 1e-4);
  EXPECT_NEAR(LearningRate(spec, {9, 10}), 1e-4 * (1 + std::cos(M_PI * 7 / 8)), 1e-18);
}

TEST(ScheduleTest, OfAJobAllRoundsAreOne) {
  v1::TrainingSpec spec = Spec(v1::LR_SCHEDULER_TYPE_COSINE, 0.25);
  const auto in_round = [&](uint32_t round, uint32_t update) {
    return LearningRate(spec, {.update = update, .updates = 5, .round = round, .rounds = 4});
  };
  EXPECT_EQ(in_round(3, 2), LearningRate(spec, {2, 5}));
  spec.set_lr_scheduler_span(v1::LR_SCHEDULER_SPAN_JOB);
  for (uint32_t round : {1u, 2u, 4u}) {
    EXPECT_EQ(in_round(round, 3), LearningRate(spec, {(round - 1) * 5 + 3, 20}));
  }
  EXPECT_DOUBLE_EQ(in_round(2, 0), 2e-4);  // warmed up
  EXPECT_LT(in_round(4, 4), 3e-6);
}

}  // namespace
}  // namespace attune
