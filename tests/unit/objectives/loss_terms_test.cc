#include "worker/objectives/loss_terms.h"

#include <cmath>

#include <ATen/ATen.h>

#include "gtest/gtest.h"
#include "tests/unit/objectives/loss_batches.h"

namespace attune {
namespace {

at::Tensor Scores(FDivergence divergence, const std::vector<double>& log_ratios,
                  double alpha = 0.5) {
  LossOptions options;
  options.f_divergence = divergence;
  options.f_alpha = alpha;
  return DivergenceScores(Doubles(log_ratios), options);
}

TEST(DivergenceScoresTest, AreTheDerivativesOfTheDivergencesWithoutTheirConstants) {
  // u = e^v; f' is 1 + log u, -1 / u, log(2 u / (1 + u)), (1 - u^-alpha) / alpha.
  ExpectClose(Scores(FDivergence::kReverseKl, {-2, 0, 3}), {-2, 0, 3});
  ExpectClose(Scores(FDivergence::kForwardKl, {-2, 0, 3}), {-std::exp(2), -1, -std::exp(-3)});
  const auto js = [](double u) { return std::log(u / (1 + u)); };
  ExpectClose(Scores(FDivergence::kJensenShannon, {-2, 0, 3}),
              {js(std::exp(-2)), js(1), js(std::exp(3))});
  ExpectClose(Scores(FDivergence::kAlpha, {-2, 0, 3}, 0.25),
              {-4 * std::exp(0.5), -4, -4 * std::exp(-0.75)});
}

TEST(DivergenceScoresTest, AlphaTowardsOneIsTheForwardKlAndTowardsZeroTheReverse) {
  const std::vector<double> v = {-2, -0.5, 0, 1, 3};
  const at::Tensor forward = Scores(FDivergence::kForwardKl, v);
  EXPECT_TRUE(at::allclose(Scores(FDivergence::kAlpha, v, 1 - 1e-9), forward, 1e-7, 0));
  const at::Tensor reverse = Scores(FDivergence::kAlpha, v, 1e-6) + 1e6;
  EXPECT_TRUE(at::allclose(reverse, Doubles(v), 1e-4, 1e-4));
}

TEST(DivergenceScoresTest, ExponentsEndAtEighty) {
  ExpectClose(Scores(FDivergence::kForwardKl, {-79, -80, -81, -1e4}),
              {-std::exp(79), -std::exp(80), -std::exp(80), -std::exp(80)});
  ExpectClose(Scores(FDivergence::kAlpha, {-160, -1e4}), {-2 * std::exp(80), -2 * std::exp(80)});
}

TEST(SmoothedTargetTest, FlipsLabelsAtTheRate) {
  LossBatch batch;
  LossOptions options;
  options.label_smoothing = 0.1;
  ExpectClose(SmoothedTarget(batch, options), {0.9});
  batch.target = Doubles({1, 0, 0.5, 0.75});
  ExpectClose(SmoothedTarget(batch, options), {0.9, 0.1, 0.5, 0.7});
}

TEST(LogisticLossTest, IsTheCrossEntropyOfTheSigmoid) {
  ExpectClose(LogisticLoss(Doubles({0, 2, -2}), Doubles({0.3, 1, 1})),
              {std::log(2), std::log1p(std::exp(-2)), std::log1p(std::exp(2))});
  // The least loss is at sigmoid(z) = y and is the entropy of y.
  const double y = 0.8;
  ExpectClose(LogisticLoss(Doubles({std::log(y / (1 - y))}), Doubles({y})),
              {-y * std::log(y) - (1 - y) * std::log(1 - y)});
}

}  // namespace
}  // namespace attune
