#include "worker/objectives/listwise_losses.h"

#include <cmath>
#include <vector>

#include <ATen/ATen.h>

#include "gtest/gtest.h"
#include "tests/unit/objectives/loss_batches.h"

namespace attune {
namespace {

const double kLn2 = std::log(2);
const double kLn3 = std::log(3);

// One group with the given log-ratios and scores; lengths are 1 and ranks 1, 2, ...
LossBatch Group(const std::vector<double>& log_ratios, const std::vector<double>& scores) {
  LossBatch batch;
  GroupColumns& groups = batch.groups;
  groups.reference_logps = at::full({1, static_cast<int64_t>(log_ratios.size())}, -20, at::kDouble);
  groups.logps = groups.reference_logps + Doubles(log_ratios);
  groups.lengths = at::ones_like(groups.logps);
  groups.scores = Doubles(scores).unsqueeze(0);
  groups.relevance = groups.scores;
  groups.ranks = at::arange(1.0, log_ratios.size() + 1.0, at::kDouble).unsqueeze(0);
  return batch;
}

LossOptions Beta(double beta, double score_temperature = 1) {
  LossOptions options;
  options.beta = beta;
  options.score_temperature = score_temperature;
  return options;
}

TEST(InfoNcaLossTest, IsTheCrossEntropyOfTwoSoftmaxes) {
  // q = (3/4, 1/4) and p = (2/3, 1/3).
  const LossBatch batch = Group({2 * kLn2, 0}, {kLn3 / 2, 0});
  ExpectClose(InfoNcaLoss(batch, Beta(0.5, 0.5)),
              {-0.75 * std::log(2.0 / 3) - 0.25 * std::log(1.0 / 3)});
}

TEST(InfoNcaLossTest, OfACertainWinnerOfTwoIsDpo) {
  ExpectClose(InfoNcaLoss(Group({3, 1}, {1e4, 0}), Beta(0.5)), {-LogSigmoid(1)});
}

TEST(NcaLossTest, RaisesLikelyResponsesAndLowersAllEqually) {
  const LossBatch batch = Group({2, -4}, {kLn3, 0});
  ExpectClose(NcaLoss(batch, Beta(0.5)), {-0.75 * LogSigmoid(1) - 0.25 * LogSigmoid(-2) -
                                          0.5 * (LogSigmoid(-1) + LogSigmoid(2))});
}

TEST(ExoLossTest, IsZeroWhereThePolicyHasTheTargets) {
  ExpectClose(ExoLoss(Group({2 * kLn2, 0, 2 * kLn3}, {kLn2, 0, kLn3}), Beta(0.5)), {0});
}

TEST(ExoLossTest, IsTheDivergenceOfThePolicyToTheTargets) {
  const LossBatch batch = Group({2 * kLn2, 0}, {kLn3, 0});  // p = (2/3, 1/3), q = (3/4, 1/4)
  ExpectClose(ExoLoss(batch, Beta(0.5)),
              {2.0 / 3 * std::log(2.0 / 3 / 0.75) + 1.0 / 3 * std::log(1.0 / 3 / 0.25)});
}

TEST(ExoPrefLossTest, GivesTheRejectedALogProbabilityOfMinusTen) {
  const double p = Sigmoid(1), q = 1 - p;
  ExpectClose(ExoPrefLoss(PairsOfLogRatios({3}, {1}), Beta(0.5)),
              {p * std::log(p) + q * (std::log(q) + 10)});
}

TEST(AdpoLossTest, GradientIsTheDifferenceOfPolicyAndTargetsOverTau) {
  LossBatch batch = Group({2 * kLn2, 0}, {kLn3 / 2, 0});  // p = (2/3, 1/3), q = (3/4, 1/4)
  batch.groups.logps.set_requires_grad(true);
  LossOptions options = Beta(0.1, 0.5);
  options.anchor_tau = 2;
  AdpoLoss(batch, options).sum().backward();
  ExpectClose(batch.groups.logps.grad(), {(2.0 / 3 - 0.75) / 2, (1.0 / 3 - 0.25) / 2});
}

TEST(AdpoLossTest, AtTheAnchorIsTheLogOfTheGroupSize) {
  ExpectClose(AdpoLoss(Group({0, 0, 0}, {1, 5, -2}), Beta(0.1)), {kLn3});
}

TEST(AdpoLossTest, TheTauColumnTakesTheOptionsPlace) {
  LossBatch batch = Group({2 * kLn2, 0}, {kLn3, 0});
  batch.groups.tau = Doubles({2});
  LossOptions options = Beta(0.1);
  options.anchor_tau = 100;
  ExpectClose(AdpoLoss(batch, options), {-0.75 * std::log(2.0 / 3) - 0.25 * std::log(1.0 / 3)});
}

TEST(AdpoLossTest, AddsTheDivergencePerTokenOfTheUpdate) {
  LossBatch batch = RandomColumns(1).Batch(1, 1);
  LossOptions options = Beta(0.1);
  const double without = AdpoLoss(batch, options).mean().item<double>();
  options.anchor_kl = 0.5;
  const double tokens = batch.groups.lengths.sum().item<double>();
  const double kl = batch.groups.anchor_kl.sum().item<double>();
  ExpectClose(AdpoLoss(batch, options).mean(), {without + 0.5 * kl / tokens});
}

TEST(AdpoLossDeathTest, RefusesACoefficientWithoutTheDivergence) {
  LossOptions options = Beta(0.1);
  options.anchor_kl = 0.5;
  EXPECT_DEATH(AdpoLoss(Group({0, 0}, {0, 1}), options), "check failed");
}

TEST(AdpoPlackettLuceLossTest, IsTheLikelihoodOfTheOrderOfTheScores) {
  // In the order of the scores: ln 2, 0, ln 3.
  const LossBatch batch = Group({kLn3, 0, kLn2}, {1, 2, 3});
  const double first = std::log(6.0 / 2), second = std::log(4.0 / 1);
  ExpectClose(AdpoPlackettLuceLoss(batch, Beta(0.1)), {(first + second) / 2});
  LossOptions options = Beta(0.1);
  options.list_top_k = 1;
  ExpectClose(AdpoPlackettLuceLoss(batch, options), {first});
  options.list_top_k = 7;
  ExpectClose(AdpoPlackettLuceLoss(batch, options), {(first + second) / 2});
}

TEST(AdpoPlackettLuceLossTest, OfTwoIsDpoWithTauForOneOverBeta) {
  LossOptions options = Beta(0.1);
  options.anchor_tau = 2;
  ExpectClose(AdpoPlackettLuceLoss(Group({1, 3}, {0, 1}), options), {-LogSigmoid(1)});
}

TEST(AdpoPlackettLuceLossTest, SmoothsTowardsAnyOrder) {
  const LossBatch batch = Group({1, 3}, {0, 1});
  LossOptions options = Beta(0.1);
  options.label_smoothing = 0.2;
  ExpectClose(AdpoPlackettLuceLoss(batch, options), {-0.9 * LogSigmoid(2) - 0.1 * LogSigmoid(-2)});
}

TEST(AdpoPlackettLuceLossTest, AddsThePolynomialTerm) {
  LossOptions options = Beta(0.1);
  options.list_poly = 0.5;
  ExpectClose(AdpoPlackettLuceLoss(Group({1, 3}, {0, 1}), options),
              {-LogSigmoid(2) + 0.5 * (1 - Sigmoid(2))});
}

TEST(AdpoPlackettLuceLossTest, EqualScoresKeepTheirOrder) {
  ExpectClose(AdpoPlackettLuceLoss(Group({3, 1}, {0, 0}), Beta(0.1)), {-LogSigmoid(2)});
}

TEST(ScoreTargetsTest, AreLogisticInTheDifferenceOfScores) {
  ExpectClose(ScoreTargets(Doubles({3, 1}), Doubles({1, 1}), 0.5), {Sigmoid(4), 0.5});
}

TEST(GroupsWithSuccessTest, HaveAScoreAboveZero) {
  const at::Tensor kept = GroupsWithSuccess(Doubles({0, 0, -1, 0.5, -3, -1}).view({3, 2}));
  ExpectClose(kept, {0, 1, 0});
}

at::Tensor TauOf(const std::vector<double>& entropies, const std::vector<double>& scores,
                 const AdaptiveTauOptions& options = {}) {
  const int64_t groups = entropies.size();
  return AdaptiveTau(Doubles(entropies).unsqueeze(1), 100, Doubles(scores).view({groups, -1}),
                     options);
}

TEST(AdaptiveTauTest, GrowsWithEntropyAndWithConfidentFailure) {
  const double half = std::log(100) / 2;
  // H = 0, 1/2, 1; mean scores 0, 1, 2.
  ExpectClose(TauOf({0, half, 2 * half}, {0, 0, 2, 0, 3, 1}),
              {1 + 1.0, 1 + 0.25 + 0.5 * 0.5, 1 + 0.5});
}

TEST(AdaptiveTauTest, EqualGroupsAreHalfSuccessful) {
  ExpectClose(TauOf({0, 0}, {3, 3}), {1.5, 1.5});
}

TEST(AdaptiveTauTest, StaysWithinItsBounds) {
  AdaptiveTauOptions options;
  options.tau = 4;
  ExpectClose(TauOf({0, 0}, {0, 1}, options), {5, 4});
  options.tau = 0.01;
  ExpectClose(TauOf({0, 0}, {0, 1}, options), {0.1, 0.1});
}

TEST(IrpoLossTest, OfTwoItemsIsAWeightedDpoInBothDirections) {
  // Weights (2^2 - 1) / log2(2) and (2^1 - 1) / log2(3).
  const LossBatch batch = Group({3, 1}, {2, 1});
  ExpectClose(IrpoLoss(batch, Beta(0.5)),
              {(-3 * LogSigmoid(1) - 1 / std::log2(3) * LogSigmoid(-1)) / 2});
}

TEST(IrpoLossTest, ComparesAnItemWithTheMeanOfTheOthers) {
  const LossBatch batch = Group({0, kLn2, 2 * kLn2}, {1, 0, 0});  // only the first has weight
  const double z = std::log((2.0 + 4.0) / 2);
  ExpectClose(IrpoLoss(batch, Beta(1)), {-LogSigmoid(-z) / 3});
}

TEST(IrpoLossTest, AnItemIsNotItsOwnCompetitorHoweverSmallBeta) {
  const LossBatch batch = Group({0, 0, 0}, {1, 1, 1});
  LossOptions options = Beta(1e-6);
  options.list_gain = ListGain::kDiscount;
  const double weights = 1 + 1 / std::log2(3) + 0.5;
  ExpectClose(IrpoLoss(batch, options), {weights * kLn2 / 3});
}

TEST(IrpoLossTest, TakesMeansOverTokens) {
  LossBatch batch = Group({6, 4}, {1, 0});
  batch.groups.lengths = Doubles({2, 4}).unsqueeze(0);
  ExpectClose(IrpoLoss(batch, Beta(1)), {-LogSigmoid(2) / 2});
  ExpectClose(IrpoRewards(batch, Beta(0.1)).chosen, {0.3, 0.1});
}

TEST(IrpoLossTest, WeightsByReciprocalRankIfAsked) {
  LossOptions options = Beta(1);
  options.list_gain = ListGain::kReciprocalRank;
  ExpectClose(IrpoLoss(Group({0, 0}, {0, 2}), options), {3.0 / 2 * kLn2 / 2});
}

TEST(LipoLambdaLossTest, WeightsPairsByWhatTheirExchangeWouldCost) {
  // Gains 3, 0, 0 and discounts log 2, log 3, log 4; the last two are no pair.
  const LossBatch batch = Group({2, 0, 4}, {2, 0, 0});
  const double near = 3 * (1 / std::log(2) - 1 / std::log(3));
  const double far = 3 * (1 / std::log(2) - 1 / std::log(4));
  ExpectClose(LipoLambdaLoss(batch, Beta(0.5)), {-near * LogSigmoid(1) - far * LogSigmoid(-1)});
}

TEST(LipoLambdaLossTest, FallsAsTheBetterItemRises) {
  LossBatch batch = Group({0, 0}, {1, 0});
  batch.groups.logps.set_requires_grad(true);
  LipoLambdaLoss(batch, Beta(1)).sum().backward();
  EXPECT_LT(batch.groups.logps.grad()[0][0].item<double>(), 0);
  EXPECT_GT(batch.groups.logps.grad()[0][1].item<double>(), 0);
}

}  // namespace
}  // namespace attune
