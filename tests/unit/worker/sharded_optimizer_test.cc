#include "worker/sharded_optimizer.h"

#include <cmath>
#include <limits>
#include <vector>

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

constexpr int64_t kCount = 11;  // slices of 2 and 3 ranks are padded

std::vector<TensorSpec> Layout() {
  return {{"matrix", {2, 3}, 0, 6}, {"norm", {5}, 6, 5}};
}

OptimizerOptions Options() {
  return {.beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .weight_decay = 0.1, .max_grad_norm = 0.2,
          .zero_stage = 1};
}

float Gradient(int step, int64_t i) { return 0.1f * static_cast<float>(std::sin(step * 7 + i)); }

// Parameters after some updates, each rank giving an equal part of the gradient.
std::vector<float> Train(int ranks, const OptimizerOptions& options, std::vector<double>* norms) {
  std::vector<float> result;
  EXPECT_OK(RunLocalRanks(ranks, [&](Collective& collective) -> absl::Status {
    ShardedOptimizer optimizer(Layout(), options, collective);
    const int64_t padded = SliceSize(kCount, ranks) * ranks;
    std::vector<float> parameters(padded);
    std::vector<double> gradients(padded);
    for (int64_t i = 0; i < kCount; ++i) parameters[i] = 0.3f * static_cast<float>(i - 5);
    for (int step = 0; step < 4; ++step) {
      for (int64_t i = 0; i < kCount; ++i) gradients[i] = Gradient(step, i) / ranks;
      ATTUNE_ASSIGN_OR_RETURN(const double norm,
                              optimizer.Step(collective, 0.01 * (step + 1),
                                             absl::MakeSpan(parameters),
                                             absl::MakeSpan(gradients)));
      for (double gradient : gradients) EXPECT_EQ(gradient, 0);
      if (collective.rank() == 0) norms->push_back(norm);
    }
    for (int64_t i = kCount; i < padded; ++i) EXPECT_EQ(parameters[i], 0);
    if (collective.rank() == 0) result.assign(parameters.begin(), parameters.begin() + kCount);
    return absl::OkStatus();
  }));
  return result;
}

// PyTorch's AdamW and clip_grad_norm_ in float64.
std::vector<double> Expected(std::vector<double>* norms) {
  const OptimizerOptions options = Options();
  std::vector<double> parameters(kCount), first(kCount), second(kCount);
  for (int64_t i = 0; i < kCount; ++i) parameters[i] = 0.3 * static_cast<double>(i - 5);
  for (int step = 0; step < 4; ++step) {
    double norm = 0;
    for (int64_t i = 0; i < kCount; ++i) norm += std::pow(Gradient(step, i), 2);
    norms->push_back(norm = std::sqrt(norm));
    const double clip = std::min(1.0, options.max_grad_norm / (norm + 1e-6));
    const double rate = 0.01 * (step + 1);
    for (int64_t i = 0; i < kCount; ++i) {
      const double g = Gradient(step, i) * clip;
      if (i < 6) parameters[i] *= 1 - rate * options.weight_decay;
      first[i] = options.beta1 * first[i] + (1 - options.beta1) * g;
      second[i] = options.beta2 * second[i] + (1 - options.beta2) * g * g;
      const double m = first[i] / (1 - std::pow(options.beta1, step + 1));
      const double v = second[i] / (1 - std::pow(options.beta2, step + 1));
      parameters[i] -= rate * m / (std::sqrt(v) + options.epsilon);
    }
  }
  return parameters;
}

TEST(ShardedOptimizerTest, IsAdamWWithClippingAndDecayOfMatricesOnly) {
  std::vector<double> norms, expected_norms;
  const std::vector<float> actual = Train(1, Options(), &norms);
  const std::vector<double> expected = Expected(&expected_norms);
  ASSERT_GT(expected_norms[0], Options().max_grad_norm);
  for (int64_t i = 0; i < kCount; ++i) EXPECT_NEAR(actual[i], expected[i], 1e-6) << i;
  for (int step = 0; step < 4; ++step) EXPECT_NEAR(norms[step], expected_norms[step], 1e-7);
}

// torch.optim.RMSprop with alpha 0.99 and torch.optim.SGD, in float64.
TEST(ShardedOptimizerTest, IsRmspropOrSgdToo) {
  for (const Optimizer optimizer : {Optimizer::kRmsprop, Optimizer::kSgd}) {
    OptimizerOptions options = Options();
    options.optimizer = optimizer;
    options.max_grad_norm = 0;
    std::vector<double> expected(kCount), squares(kCount), norms;
    for (int64_t i = 0; i < kCount; ++i) expected[i] = 0.3 * static_cast<double>(i - 5);
    for (int step = 0; step < 4; ++step) {
      for (int64_t i = 0; i < kCount; ++i) {
        const double decay = i < 6 ? options.weight_decay : 0;
        double g = Gradient(step, i) + decay * expected[i];
        squares[i] = 0.99 * squares[i] + 0.01 * g * g;
        if (optimizer == Optimizer::kRmsprop) g /= std::sqrt(squares[i]) + options.epsilon;
        expected[i] -= 0.01 * (step + 1) * g;
      }
    }
    for (int ranks : {1, 3}) {
      const std::vector<float> actual = Train(ranks, options, &norms);
      for (int64_t i = 0; i < kCount; ++i) EXPECT_NEAR(actual[i], expected[i], 2e-6) << i;
    }
  }
}

TEST(ShardedOptimizerTest, RanksAgreeWithOne) {
  std::vector<double> one_norms, norms;
  const std::vector<float> one = Train(1, Options(), &one_norms);
  for (int ranks : {2, 3}) {
    const std::vector<float> many = Train(ranks, Options(), &norms);
    for (int64_t i = 0; i < kCount; ++i) EXPECT_NEAR(many[i], one[i], 1e-6) << i;
  }
}

TEST(ShardedOptimizerTest, StageZeroGivesTheNumbersOfStageOne) {
  OptimizerOptions whole = Options();
  whole.zero_stage = 0;
  for (int ranks : {1, 2, 3}) {
    std::vector<double> norms0, norms1;
    EXPECT_EQ(Train(ranks, whole, &norms0), Train(ranks, Options(), &norms1));
    EXPECT_EQ(norms0, norms1);
  }
}

TEST(ShardedOptimizerTest, ANonFiniteGradientFailsEveryRankAndChangesNothing) {
  EXPECT_OK(RunLocalRanks(2, [](Collective& collective) -> absl::Status {
    ShardedOptimizer optimizer(Layout(), Options(), collective);
    std::vector<float> parameters(12, 1.0f);
    std::vector<double> gradients(12, 0.0);
    if (collective.rank() == 1) gradients[10] = std::numeric_limits<double>::infinity();
    EXPECT_THAT(optimizer.Step(collective, 0.1, absl::MakeSpan(parameters),
                               absl::MakeSpan(gradients)),
                StatusIs(absl::StatusCode::kFailedPrecondition, "gradient norm is inf"));
    EXPECT_EQ(parameters, std::vector<float>(12, 1.0f));
    return absl::OkStatus();
  }));
}

TEST(ShardedOptimizerTest, NoClippingWhenTheLimitIsZero) {
  OptimizerOptions options = Options();
  options.max_grad_norm = 0;
  std::vector<double> norms;
  EXPECT_NE(Train(1, options, &norms), Train(1, Options(), &norms));
}

}  // namespace
}  // namespace attune
