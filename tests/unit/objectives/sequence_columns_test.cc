#include "worker/objectives/sequence_columns.h"

#include <cmath>
#include <vector>

#include <ATen/ATen.h>

#include "gtest/gtest.h"
#include "tests/unit/objectives/loss_batches.h"

namespace attune {
namespace {

// Responses of 3, 1, 0 and 2 tokens, one after another.
const std::vector<int64_t> kSequences = {0, 0, 0, 1, 3, 3};

TokenSequences Tokens() { return {at::tensor(kSequences, at::kLong), 4}; }

const at::Tensor kPolicy = Doubles({-1, -2, -4, -8, -16, -32});
const at::Tensor kReference = Doubles({-2, -2, -2, -5, -10, -10});

bool SameBits(const at::Tensor& a, const at::Tensor& b) { return at::equal(a, b); }

TEST(ColumnsOfTest, SumsTokensOfEachResponse) {
  const ResponseColumns columns = ColumnsOf({kPolicy, kReference, -kPolicy}, Tokens());
  ExpectClose(columns.logps, {-7, -8, 0, -48});
  ExpectClose(columns.reference_logps, {-6, -5, 0, -20});
  ExpectClose(columns.lengths, {3, 1, 0, 2});
  ExpectClose(columns.sequence_kl, {7, 8, 0, 48});
}

TEST(ColumnsOfTest, WhatIsNotGivenIsNotThere) {
  const ResponseColumns columns = ColumnsOf({kPolicy}, Tokens());
  EXPECT_FALSE(columns.reference_logps.defined());
  EXPECT_FALSE(columns.sequence_kl.defined());
  EXPECT_FALSE(columns.self_weighted_logps.defined());
}

TEST(ColumnsOfTest, WorksInDoubleOnFloatLogProbabilities) {
  const at::Tensor floats = at::full({6}, 0.1f, at::kFloat);
  const ResponseColumns columns = ColumnsOf({floats, floats}, Tokens());
  EXPECT_EQ(columns.logps.scalar_type(), at::kDouble);
  EXPECT_EQ(columns.logps[0].item<double>(), 3 * static_cast<double>(0.1f));
}

TEST(ColumnsOfTest, AnyPackingGivesTheSameBits) {
  const int64_t count = 5, length = 7;
  RandomColumns random(11);
  const at::Tensor policy = random.Uniform({count * length}, -9, 0);
  const at::Tensor reference = random.Uniform({count * length}, -9, 0);
  const at::Tensor weights = random.Uniform({count * length}, 0, 1);
  const auto columns_of = [&](const at::Tensor& order) {  // of tokens
    const at::Tensor sequences = at::floor_divide(order, length);
    return ColumnsOf({policy.index_select(0, order), reference.index_select(0, order),
                      -policy.index_select(0, order)},
                     {sequences, count}, weights.index_select(0, order));
  };
  const at::Tensor one_by_one = at::arange(count * length, at::kLong);
  const at::Tensor interleaved = one_by_one.reshape({count, length}).t().reshape(-1);
  const at::Tensor reversed = one_by_one.reshape({count, length}).flip(0).reshape(-1);
  const ResponseColumns expected = columns_of(one_by_one);
  for (const at::Tensor& order : {interleaved, reversed}) {
    const ResponseColumns actual = columns_of(order);
    EXPECT_TRUE(SameBits(actual.logps, expected.logps));
    EXPECT_TRUE(SameBits(actual.reference_logps, expected.reference_logps));
    EXPECT_TRUE(SameBits(actual.lengths, expected.lengths));
    EXPECT_TRUE(SameBits(actual.sequence_kl, expected.sequence_kl));
    EXPECT_TRUE(SameBits(actual.self_weighted_logps, expected.self_weighted_logps));
  }
}

TEST(ColumnsOfTest, GradientsReachEveryTokenWithItsWeight) {
  at::Tensor policy = kPolicy.clone().set_requires_grad(true);
  const at::Tensor weights = Doubles({1, 0.5, 0, 1, 0.25, 1});
  const ResponseColumns columns = ColumnsOf({policy}, Tokens(), weights);
  (columns.logps * Doubles({1, 10, 100, 1000})).sum().backward();
  ExpectClose(policy.grad(), {1, 0.5, 0, 10, 250, 1000});
}

TEST(ColumnsOfTest, WeighsTheReferenceOnlyWhenAsked) {
  const at::Tensor weights = Doubles({1, 1, 0.5, 1, 1, 0.5});
  const TokenLogps logps = {kPolicy, kReference};
  ExpectClose(ColumnsOf(logps, Tokens(), weights, true).reference_logps, {-5, -5, 0, -15});
  ExpectClose(ColumnsOf(logps, Tokens(), weights, false).reference_logps, {-6, -5, 0, -20});
  ExpectClose(ColumnsOf(logps, Tokens(), weights, false).logps, {-5, -8, 0, -32});
}

TEST(ColumnsOfTest, SelfWeightedLogpsHaveTheGradientOfReinforce) {
  at::Tensor policy = kPolicy.clone().set_requires_grad(true);
  const ResponseColumns columns = ColumnsOf({policy, kReference}, Tokens());
  ExpectClose(columns.self_weighted_logps, {-1 + 0 + 8, 24, 0, 96 + 704});
  columns.self_weighted_logps.sum().backward();
  ExpectClose(policy.grad(), {1, 0, -2, -3, -6, -22});  // log pi - log ref alone
}

TEST(SelectRowsTest, TakesRowsOfTheColumnsThatAreThere) {
  const ResponseColumns columns =
      SelectRows(ColumnsOf({kPolicy}, Tokens()), at::tensor({3, 0}, at::kLong));
  ExpectClose(columns.logps, {-48, -7});
  ExpectClose(columns.lengths, {2, 3});
  EXPECT_FALSE(columns.reference_logps.defined());
}

TEST(LdDpoTokenWeightsTest, WeighsTokensBeyondTheSharedLength) {
  ExpectClose(LdDpoTokenWeights(Tokens(), Doubles({1, 1, 0, 2}), 0.5), {1, 0.5, 0.5, 1, 1, 1});
  ExpectClose(LdDpoTokenWeights(Tokens(), Doubles({2, 0, 0, 1}), 0), {1, 1, 0, 0, 1, 0});
  ExpectClose(LdDpoTokenWeights(Tokens(), Doubles({1, 1, 0, 1}), 1), {1, 1, 1, 1, 1, 1});
}

TEST(LdDpoTokenWeightsTest, CountsTokensOfInterleavedResponses) {
  const TokenSequences tokens = {at::tensor({0, 1, 0, 1, 0}, at::kLong), 2};
  ExpectClose(LdDpoTokenWeights(tokens, Doubles({2, 1}), 0.5), {1, 1, 1, 0.5, 0.5});
}

TEST(SampoTokenWeightsTest, KeepsTheSharedNumberOfTokens) {
  const TokenSequences tokens = {at::cat({at::zeros(20, at::kLong), at::ones(8, at::kLong)}), 2};
  const std::vector<uint64_t> keys = {5, 6};
  const at::Tensor weights = SampoTokenWeights(tokens, Doubles({8, 8}), 42, keys);
  ExpectClose(SumBySequence(weights, tokens), {8, 8});
  EXPECT_TRUE(((weights == 0) | (weights == 1)).all().item<bool>());
}

TEST(SampoTokenWeightsTest, DependsOnSeedAndKeyAndNotOnThePacking) {
  const at::Tensor shared = Doubles({8, 8});
  const std::vector<uint64_t> keys = {5, 6}, swapped = {6, 5};
  const TokenSequences packed = {at::cat({at::zeros(20, at::kLong), at::ones(20, at::kLong)}), 2};
  const TokenSequences interleaved = {at::arange(2).repeat({20}), 2};
  const auto rows = [](const at::Tensor& weights) { return weights.reshape({2, 20}); };
  const at::Tensor expected = rows(SampoTokenWeights(packed, shared, 42, keys));
  EXPECT_TRUE(SameBits(rows(SampoTokenWeights(packed, shared, 42, keys)), expected));
  EXPECT_TRUE(SameBits(rows(SampoTokenWeights(packed, shared, 42, swapped)).flip(0), expected));
  EXPECT_TRUE(
      SameBits(SampoTokenWeights(interleaved, shared, 42, keys).reshape({20, 2}).t().contiguous(),
               expected));
  EXPECT_FALSE(SameBits(rows(SampoTokenWeights(packed, shared, 43, keys)), expected));
}

TEST(SampoTokenWeightsTest, EveryTokenIsDrawnEquallyOften) {
  const TokenSequences tokens = {at::zeros(10, at::kLong), 1};
  at::Tensor drawn = at::zeros({10}, at::kDouble);
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    const std::vector<uint64_t> keys = {1};
    drawn += SampoTokenWeights(tokens, Doubles({3}), seed, keys);
  }
  // 600 expected of each, standard deviation 20.5.
  EXPECT_GT(drawn.min().item<double>(), 500);
  EXPECT_LT(drawn.max().item<double>(), 700);
}

TEST(AnchorKlTest, EstimatesTheDivergenceToTheAnchor) {
  at::Tensor policy = kPolicy.clone().set_requires_grad(true);
  const auto k3 = [](double d) { return std::exp(d) - d - 1; };
  const at::Tensor kl = AnchorKl(policy, kReference, Tokens());
  ExpectClose(kl, {k3(-1) + k3(2), k3(3), 0, k3(6) + k3(22)});
  kl.sum().backward();
  ExpectClose(policy.grad().slice(0, 0, 3), {1 - std::exp(-1), 0, 1 - std::exp(2)});
}

TEST(AnchorKlTest, StaysFinite) {
  const at::Tensor kl =
      AnchorKl(Doubles({-1e4, 0}), Doubles({0, -1e4}), {at::tensor({0, 1}, at::kLong), 2});
  ExpectClose(kl, {std::exp(80) - 1e4 - 1, 1e4 - 1});
}

TEST(WpoTest, WeighsPairsByWhatThePolicyWouldSayItself) {
  // A token of certainty has excess 0; of two equally likely words, log 1/2 - log 1/2.
  const at::Tensor logps = Doubles({0, std::log(0.5), std::log(0.25), -1, -1, -1});
  const at::Tensor squares = Doubles({0, std::log(0.5), std::log(0.625), -1, -2, -2});
  const at::Tensor means = WpoLogWeights(logps, squares, Tokens());
  ExpectClose(means, {std::log(0.4) / 3, 0, 0, 1});
  ExpectClose(WpoWeights(means, means, false),
              {std::exp(2 * std::log(0.4) / 3), 1, 1, std::exp(2)});
  ExpectClose(WpoWeights(means, means, true), {std::exp(2 * std::log(0.4) / 3), 1, 1, 1});
}

TEST(WpoTest, HasNoGradient) {
  at::Tensor policy = kPolicy.clone().set_requires_grad(true);
  EXPECT_FALSE(WpoLogWeights(policy, policy * 2, Tokens()).requires_grad());
}

TEST(VocabularyColumnsOfTest, DescribesTheDistributionAtEachPosition) {
  const at::Tensor p = at::tensor({0.5, 0.25, 0.25, 0.1, 0.2, 0.7}, at::kDouble).reshape({2, 3});
  const at::Tensor q = at::tensor({0.25, 0.25, 0.5, 0.1, 0.2, 0.7}, at::kDouble).reshape({2, 3});
  const VocabularyColumns columns =
      VocabularyColumnsOf(p.log() + 5, at::tensor({2, 0}, at::kLong), q.log() - 3);
  ExpectClose(columns.logps, {std::log(0.25), std::log(0.1)});
  ExpectClose(columns.log_sum_squares, {std::log(0.375), std::log(0.54)});
  ExpectClose(columns.entropy, {1.5 * std::log(2),
                                -0.1 * std::log(0.1) - 0.2 * std::log(0.2) - 0.7 * std::log(0.7)});
  ExpectClose(columns.reference_kl, {0.25 * std::log(0.5) + 0.5 * std::log(2), 0});
}

TEST(VocabularyColumnsOfTest, GradientsOfTheDivergenceAreTheGapOfTheDistributions) {
  at::Tensor logits = Doubles({1, 2, 0.5}).reshape({1, 3}).set_requires_grad(true);
  const at::Tensor reference = Doubles({0, 1, -1}).reshape({1, 3});
  VocabularyColumnsOf(logits, at::tensor({0}, at::kLong), reference).reference_kl.sum().backward();
  const at::Tensor gap = at::softmax(logits.detach(), -1) - at::softmax(reference, -1);
  EXPECT_TRUE(at::allclose(logits.grad(), gap, 1e-12, 1e-14));
}

TEST(VocabularyColumnsOfTest, ExtremeLogitsStayFinite) {
  at::Tensor logits = Doubles({1e4, -1e4, 0}).reshape({1, 3}).set_requires_grad(true);
  const at::Tensor reference = Doubles({-1e4, 1e4, 0}).reshape({1, 3});
  const VocabularyColumns columns =
      VocabularyColumnsOf(logits, at::tensor({1}, at::kLong), reference);
  ExpectClose(columns.logps, {-2e4});
  ExpectClose(columns.entropy, {0});
  ExpectClose(columns.reference_kl, {2e4});
  (columns.logps + columns.reference_kl).sum().backward();
  EXPECT_TRUE(at::isfinite(logits.grad()).all().item<bool>());
}

}  // namespace
}  // namespace attune
