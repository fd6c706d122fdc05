#include "worker/objectives/combination.h"

#include <cmath>

#include <ATen/ATen.h>

#include "gtest/gtest.h"
#include "tests/unit/objectives/loss_batches.h"

namespace attune {
namespace {

TEST(MinNormScalarTest, IsThePointOfTheRangeNearestToZero) {
  const at::Tensor margins = Doubles({0.3, -0.2, -0.4, 0, 0.7, 0.5, -0.1, 0.9}).view({2, 4});
  ExpectClose(MinNormScalar(margins), {0.3, 0, -0.1, 0});
}

TEST(MixedReferenceTest, MovesTowardsThePolicy) {
  const at::Tensor policy = Doubles({1, -2}), reference = Doubles({0.5, 0.5});
  ExpectClose(MixedReference(policy, reference, 0.6), {0.8, -1});
  ExpectClose(MixedReference(policy, reference, 1), {1, -2});
  ExpectClose(MixedReference(policy, reference, 0), {0.5, 0.5});
}

TEST(MixtureLogpsTest, AreOfTheWeightedGeometricMean) {
  const at::Tensor policy = Doubles({0.5, 0.25, 0.25}).log() + 3;
  const at::Tensor reference = Doubles({0.1, 0.1, 0.8}).log() - 2;
  const at::Tensor mean = Doubles({std::sqrt(0.05), std::sqrt(0.025), std::sqrt(0.2)});
  const at::Tensor mixture = MixtureLogps(policy, reference, 0.5);
  EXPECT_TRUE(at::allclose(mixture.exp(), mean / mean.sum(), 1e-12, 0));
  EXPECT_TRUE(at::allclose(MixtureLogps(policy, reference, 0), policy - 3, 0, 1e-12));
  EXPECT_TRUE(at::allclose(MixtureLogps(policy, reference, 1), reference + 2, 0, 1e-12));
}

TEST(CombineAdaptersTest, AddsWeightedParameters) {
  ExpectClose(CombineAdapters(Doubles({1, 2, 3, 10, 20, 30}).view({2, 3}), Doubles({0.5, 0.1})),
              {1.5, 3, 4.5});
}

// Squared distance of the combined adapter to `goal`.
auto DistanceTo(const at::Tensor& adapters, const at::Tensor& goal) {
  return [adapters, goal](const at::Tensor& weights) {
    return at::square(CombineAdapters(adapters, weights) - goal).sum();
  };
}

TEST(SimplexWeightsTest, FindTheMixtureThatFitsTheMemory) {
  const at::Tensor adapters = at::eye(3, at::kDouble);
  for (const double scale : {1e-6, 1.0, 1e6}) {
    const at::Tensor weights =
        SimplexWeights(3, DistanceTo(scale * adapters, scale * Doubles({0.2, 0.7, 0.1})));
    ExpectClose(weights, {0.2, 0.7, 0.1}, 1e-3);
  }
}

TEST(SimplexWeightsTest, StayOnTheSimplexWhenOneDomainIsBest) {
  const at::Tensor weights =
      SimplexWeights(3, DistanceTo(at::eye(3, at::kDouble), Doubles({-1, 3, -1})));
  EXPECT_NEAR(weights.sum().item<double>(), 1, 1e-12);
  EXPECT_TRUE((weights >= 0).all().item<bool>());
  ExpectClose(weights, {0, 1, 0}, 1e-3);
}

TEST(SimplexWeightsTest, AreEqualWhereNothingDistinguishesThem) {
  const at::Tensor adapters = at::ones({4, 2}, at::kDouble);
  ExpectClose(SimplexWeights(4, DistanceTo(adapters, Doubles({1, 1}))), {0.25, 0.25, 0.25, 0.25});
}

TEST(SimplexWeightsTest, OneDomainHasItAll) {
  ExpectClose(SimplexWeights(1, DistanceTo(Doubles({5}).view({1, 1}), Doubles({0}))), {1});
}

}  // namespace
}  // namespace attune
