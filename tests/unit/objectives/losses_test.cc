// What holds for every loss of the table.
#include "worker/objectives/losses.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "gtest/gtest.h"
#include "tests/unit/objectives/loss_batches.h"

namespace attune {
namespace {

constexpr int64_t kPairs = 6;

LossOptions OptionsFor(FDivergence divergence) {
  LossOptions options;
  options.label_smoothing = 0.1;
  options.f_divergence = divergence;
  options.alphapo_alpha = 0.25;
  options.bco_shift = 0.3;
  options.ddo_alpha = 2;
  options.objective_weight = 0.5;
  options.anchor_kl = 0.1;
  options.list_top_k = 3;
  options.view_weights = {0.5, 0.2};
  options.view_norm = 2.8;
  options.center_rewards = 0.01;
  return options;
}

const FDivergence kDivergences[] = {FDivergence::kReverseKl, FDivergence::kForwardKl,
                                    FDivergence::kJensenShannon, FDivergence::kAlpha};

class EveryLossTest : public testing::TestWithParam<const Loss*> {
 protected:
  const Loss& loss() const { return *GetParam(); }

  int64_t rejected() const { return loss().needs.unpaired ? kPairs - 2 : kPairs; }

  LossBatch Batch() const { return RandomColumns(7).Batch(kPairs, rejected()); }

  double TotalOf(const LossBatch& batch, const LossOptions& options) const {
    return Total(loss(), batch, options).item<double>();
  }
};

std::vector<const Loss*> Pointers() {
  std::vector<const Loss*> losses;
  for (const Loss& loss : AllLosses()) losses.push_back(&loss);
  return losses;
}

INSTANTIATE_TEST_SUITE_P(AllLosses, EveryLossTest, testing::ValuesIn(Pointers()),
                         [](const auto& info) { return std::string(info.param->name); });

// d total / d value, to the fourth order of the step.
template <typename TotalAt>
double FiniteDifference(double* value, const TotalAt& total) {
  constexpr double kStep = 1e-3;
  const double middle = *value;
  const auto at_step = [&](double steps) {
    *value = middle + steps * kStep;
    const double result = total();
    *value = middle;
    return result;
  };
  return (8 * (at_step(1) - at_step(-1)) - (at_step(2) - at_step(-2))) / (12 * kStep);
}

TEST_P(EveryLossTest, GradientsAgreeWithFiniteDifferences) {
  for (const FDivergence divergence : kDivergences) {
    const LossOptions options = OptionsFor(divergence);
    LossBatch batch = Batch();
    for (at::Tensor* column : GradientColumns(batch)) column->set_requires_grad(true);
    Total(loss(), batch, options).backward();

    LossBatch fixed = Batch();
    const std::vector<at::Tensor*> columns = GradientColumns(batch);
    const std::vector<at::Tensor*> fixed_columns = GradientColumns(fixed);
    double largest = 0;
    for (size_t c = 0; c < columns.size(); ++c) {
      const at::Tensor gradient = columns[c]->grad();
      if (!gradient.defined()) continue;  // unused, or stopped on purpose
      double* values = fixed_columns[c]->data_ptr<double>();
      for (int64_t i = 0; i < gradient.numel(); ++i) {
        const double expected =
            FiniteDifference(&values[i], [&] { return TotalOf(fixed, options); });
        const double actual = gradient.flatten()[i].item<double>();
        EXPECT_NEAR(actual, expected, 1e-6 * std::abs(expected) + 1e-10)
            << "column " << c << " row " << i;
        largest = std::max(largest, std::abs(actual));
      }
    }
    EXPECT_GT(largest, 0);
  }
}

// All pairs of log-ratios 0, +-1e3 and +-1e4, of responses of one token; certain ones among them.
LossBatch ExtremeBatch() {
  const std::vector<std::pair<double, double>> logps = {
      {0, 0}, {0, -1e3}, {-1e3, 0}, {0, -1e4}, {-1e4, 0}};
  std::vector<double> chosen, chosen_reference, rejected, rejected_reference;
  for (const auto& [chosen_logp, chosen_reference_logp] : logps) {
    for (const auto& [rejected_logp, rejected_reference_logp] : logps) {
      chosen.push_back(chosen_logp);
      chosen_reference.push_back(chosen_reference_logp);
      rejected.push_back(rejected_logp);
      rejected_reference.push_back(rejected_reference_logp);
    }
  }
  const int64_t n = chosen.size();
  LossBatch batch = RandomColumns(3).Batch(n, n);
  batch.chosen.logps = Doubles(chosen);
  batch.chosen.reference_logps = Doubles(chosen_reference);
  batch.rejected.logps = Doubles(rejected);
  batch.rejected.reference_logps = Doubles(rejected_reference);
  batch.chosen.lengths = at::ones({n}, at::kDouble);
  batch.rejected.lengths = at::ones({n}, at::kDouble);
  batch.chosen.sequence_kl = -batch.rejected.logps.flip(0);
  batch.rejected.sequence_kl = -batch.chosen.logps.flip(0);
  batch.chosen.self_weighted_logps = batch.rejected.logps * 1e3;
  batch.chosen.rewards = batch.chosen.logps.clone();
  batch.rejected.rewards = batch.rejected.logps.clone();
  batch.groups = RandomColumns(4).Groups(5, 5);
  batch.groups.logps = Doubles(rejected).reshape({5, 5});
  batch.groups.reference_logps = Doubles(chosen_reference).reshape({5, 5});
  batch.groups.lengths = at::ones({5, 5}, at::kDouble);
  batch.groups.anchor_kl = -batch.groups.logps.clone();
  batch.mismatched = batch.rejected;
  batch.corrupted = batch.rejected;
  batch.views = {batch.rejected, batch.rejected};
  return batch;
}

TEST_P(EveryLossTest, ExtremeInputsGiveFiniteLossesAndGradients) {
  for (const FDivergence divergence : kDivergences) {
    LossBatch batch = ExtremeBatch();
    for (at::Tensor* column : GradientColumns(batch)) {
      *column = column->detach().clone().set_requires_grad(true);
    }
    const LossOptions options = OptionsFor(divergence);
    EXPECT_TRUE(at::isfinite(loss().function(batch, options)).all().item<bool>());
    const ObjectiveValue value = Evaluate({{{&loss(), 1.0}}, options}, batch);
    value.loss.backward();
    EXPECT_TRUE(std::isfinite(value.loss.item<double>()));
    EXPECT_TRUE(at::isfinite(value.rewards.chosen).all().item<bool>());
    for (const at::Tensor* column : GradientColumns(batch)) {
      if (!column->grad().defined()) continue;
      EXPECT_TRUE(at::isfinite(column->grad()).all().item<bool>());
    }
  }
}

TEST_P(EveryLossTest, TheOrderOfExamplesDoesNotMatter) {
  const LossOptions options = OptionsFor(FDivergence::kReverseKl);
  const LossBatch batch = Batch();
  const at::Tensor chosen = at::tensor({3, 1, 5, 0, 2, 4}, at::kLong);
  const at::Tensor rejected = loss().needs.unpaired ? at::tensor({2, 0, 3, 1}, at::kLong) : chosen;
  const LossBatch permuted =
      SelectExamples(batch, chosen, rejected, at::tensor({2, 0, 1}, at::kLong));
  const double total = TotalOf(batch, options);
  EXPECT_NEAR(TotalOf(permuted, options), total, 1e-12 * std::max(1.0, std::abs(total)));
}

// By how much the sum of losses changes when the update is split in two.
double EffectOfASplit(const Loss& loss, const LossBatch& batch) {
  const LossOptions options = OptionsFor(FDivergence::kReverseKl);
  const auto sum = [&](const LossBatch& part) {
    return Total(loss, part, options).item<double>() * loss.function(part, options).numel();
  };
  const int64_t chosen = batch.chosen.logps.numel();
  const int64_t rejected = batch.rejected.logps.numel();
  const double first = sum(SelectExamples(batch, at::arange(2), at::arange(2), at::arange(1)));
  const double second = sum(SelectExamples(batch, at::arange(2, chosen), at::arange(2, rejected),
                                           at::arange(1, batch.groups.logps.size(0))));
  const double whole = sum(batch);
  return std::abs(first + second - whole) / std::max(1.0, std::abs(whole));
}

TEST_P(EveryLossTest, PartsOfTheUpdateAddUpUnlessTheLossCouplesThem) {
  double largest = 0;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    const LossBatch batch = RandomColumns(seed).Batch(kPairs, rejected());
    largest = std::max(largest, EffectOfASplit(loss(), batch));
  }
  if (loss().needs.couples_batch) {
    EXPECT_GT(largest, 1e-6) << "couples nothing";
  } else {
    EXPECT_LT(largest, 1e-12);
  }
}

TEST_P(EveryLossTest, RewardsHaveARowForEachResponseAndNoGradients) {
  LossBatch batch = Batch();
  for (at::Tensor* column : GradientColumns(batch)) column->set_requires_grad(true);
  const ObjectiveValue value =
      Evaluate({{{&loss(), 1.0}}, OptionsFor(FDivergence::kReverseKl)}, batch);
  EXPECT_FALSE(value.rewards.chosen.requires_grad());
  if (loss().needs.groups) return;
  EXPECT_EQ(value.rewards.chosen.numel(), kPairs);
  if (value.rewards.rejected.defined()) {
    EXPECT_EQ(value.rewards.rejected.numel(), rejected());
  }
}

TEST(LossesTest, NamesAreUniqueAndFound) {
  std::set<std::string> names;
  for (const Loss& loss : AllLosses()) {
    EXPECT_TRUE(names.insert(loss.name).second) << loss.name;
    EXPECT_EQ(FindLoss(loss.name), &loss);
  }
  EXPECT_EQ(FindLoss("no such loss"), nullptr);
}

TEST(EvaluateTest, AddsWeightedMeansOfSeveralLosses) {
  const LossBatch batch = RandomColumns(1).Batch(4, 4);
  const LossOptions options;
  const Loss* sigmoid = FindLoss("sigmoid");
  const Loss* sft = FindLoss("sft");
  const double expected = sigmoid->function(batch, options).mean().item<double>() +
                          0.2 * sft->function(batch, options).mean().item<double>();
  const ObjectiveValue value = Evaluate({{{sigmoid, 1.0}, {sft, 0.2}}, options}, batch);
  EXPECT_NEAR(value.loss.item<double>(), expected, 1e-14);
}

TEST(EvaluateTest, WeightsExamples) {
  LossBatch batch = RandomColumns(1).Batch(3, 3);
  batch.weights = Doubles({2, 0, 0.5});
  const at::Tensor losses = FindLoss("sigmoid")->function(batch, {});
  const double expected = (2 * losses[0].item<double>() + 0.5 * losses[2].item<double>()) / 3;
  EXPECT_NEAR(Total(*FindLoss("sigmoid"), batch, {}).item<double>(), expected, 1e-14);
}

TEST(EvaluateTest, RewardsAreThoseOfTheFirstLoss) {
  LossBatch batch = PairsOfLogRatios({1, -2}, {3, 0.5});
  const Loss* sigmoid = FindLoss("sigmoid");
  const Loss* cpo = FindLoss("cpo");
  Rewards rewards = Evaluate({{{sigmoid, 1.0}, {cpo, 1.0}}, {}}, batch).rewards;
  ExpectClose(rewards.chosen, {0.1, -0.2});
  ExpectClose(rewards.rejected, {0.3, 0.05});
  rewards = Evaluate({{{cpo, 1.0}, {sigmoid, 1.0}}, {}}, batch).rewards;
  ExpectClose(rewards.chosen, {-1.9, -2.2});
}

TEST(EvaluateDeathTest, RefusesALossWithoutItsColumns) {
  LossBatch batch = PairsOfLogRatios({1}, {2});
  batch.chosen.reference_logps = at::Tensor();
  EXPECT_DEATH(Total(*FindLoss("sigmoid"), batch, {}), "check failed");
  EXPECT_DEATH(Total(*FindLoss("tdpo1"), PairsOfLogRatios({1}, {2}), {}), "check failed");
}

}  // namespace
}  // namespace attune
