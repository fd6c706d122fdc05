// Batches of columns for the tests of the losses.
#ifndef ATTUNE_TESTS_UNIT_OBJECTIVES_LOSS_BATCHES_H_
#define ATTUNE_TESTS_UNIT_OBJECTIVES_LOSS_BATCHES_H_

#include <cmath>
#include <vector>

#include <ATen/ATen.h>

#include "common/rng.h"
#include "gtest/gtest.h"
#include "worker/objectives/loss.h"
#include "worker/objectives/losses.h"
#include "worker/objectives/sequence_columns.h"

namespace attune {

inline at::Tensor Doubles(const std::vector<double>& values) {
  return at::tensor(values, at::kDouble);
}

inline void ExpectClose(const at::Tensor& actual, const std::vector<double>& expected,
                        double tolerance = 1e-12) {
  ASSERT_EQ(actual.numel(), static_cast<int64_t>(expected.size()));
  for (int64_t i = 0; i < actual.numel(); ++i) {
    EXPECT_NEAR(actual.flatten()[i].item<double>(), expected[i],
                tolerance * std::max(1.0, std::abs(expected[i])))
        << "row " << i;
  }
}

inline double LogSigmoid(double x) { return std::min(x, 0.0) - std::log1p(std::exp(-std::abs(x))); }

inline double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// Pairs with the given log-ratios; the reference's log-probabilities are -20 and lengths 1.
inline LossBatch PairsOfLogRatios(const std::vector<double>& chosen,
                                  const std::vector<double>& rejected) {
  const auto side = [](const std::vector<double>& log_ratios) {
    ResponseColumns columns;
    columns.reference_logps = at::full(log_ratios.size(), -20, at::kDouble);
    columns.logps = columns.reference_logps + Doubles(log_ratios);
    columns.lengths = at::ones_like(columns.logps);
    return columns;
  };
  LossBatch batch;
  batch.chosen = side(chosen);
  batch.rejected = side(rejected);
  return batch;
}

// Every column there is, from a seed.
class RandomColumns {
 public:
  explicit RandomColumns(uint64_t seed) : rng_(seed) {}

  at::Tensor Uniform(at::IntArrayRef sizes, double low, double high) {
    at::Tensor values = at::empty(sizes, at::kDouble);
    double* value = values.data_ptr<double>();
    for (int64_t i = 0; i < values.numel(); ++i) {
      value[i] = low + (high - low) * rng_.Uniform(counter_++);
    }
    return values;
  }

  at::Tensor Integers(at::IntArrayRef sizes, int low, int high) {  // in [low, high]
    return at::floor(Uniform(sizes, low, high + 1));
  }

  ResponseColumns Responses(int64_t n) {
    ResponseColumns columns;
    columns.logps = Uniform({n}, -12, -4);
    columns.reference_logps = columns.logps + Uniform({n}, -3, 3);
    columns.lengths = Integers({n}, 1, 20);
    columns.sequence_kl = Uniform({n}, 0, 3);
    columns.self_weighted_logps = Uniform({n}, -5, 5);
    columns.rewards = Uniform({n}, -3, 3);
    columns.other_logps = columns.logps + Uniform({n}, -3, 3);
    return columns;
  }

  GroupColumns Groups(int64_t groups, int64_t n) {
    GroupColumns columns;
    columns.logps = Uniform({groups, n}, -12, -4);
    columns.reference_logps = columns.logps + Uniform({groups, n}, -3, 3);
    columns.lengths = Integers({groups, n}, 1, 20);
    columns.scores = Uniform({groups, n}, -2, 2);
    columns.relevance = Integers({groups, n}, 0, 3);
    columns.ranks = at::argsort(Uniform({groups, n}, 0, 1)).to(at::kDouble) + 1;
    columns.anchor_kl = Uniform({groups, n}, 0, 3);
    columns.tau = Uniform({groups}, 0.5, 2);
    return columns;
  }

  LossBatch Batch(int64_t chosen, int64_t rejected) {
    LossBatch batch;
    batch.chosen = Responses(chosen);
    batch.rejected = Responses(rejected);
    batch.groups = Groups(3, 4);
    batch.target = Uniform({chosen}, 0, 1);
    batch.chosen_win_rate = Uniform({chosen}, 0, 1);
    batch.rejected_win_rate = Uniform({rejected}, 0, 1);
    batch.win_probability = Uniform({chosen}, 0, 1);
    batch.chosen_margin = Uniform({chosen}, -2, 2);
    batch.rejected_margin = Uniform({rejected}, -2, 2);
    batch.score_margin = Uniform({chosen}, 0, 2);
    batch.gold = Responses(chosen);
    batch.mismatched = Responses(chosen);
    batch.corrupted = Responses(chosen);
    batch.views = {Responses(chosen), Responses(chosen)};
    return batch;
  }

 private:
  CounterRng rng_;
  uint64_t counter_ = 0;
};

// The columns that may carry gradients.
inline std::vector<at::Tensor*> GradientColumns(LossBatch& batch) {
  std::vector<at::Tensor*> columns = {&batch.groups.logps, &batch.groups.anchor_kl};
  std::vector<ResponseColumns*> responses = {&batch.chosen, &batch.rejected, &batch.gold,
                                             &batch.mismatched, &batch.corrupted};
  for (ResponseColumns& view : batch.views) responses.push_back(&view);
  for (ResponseColumns* side : responses) {
    columns.push_back(&side->logps);
    columns.push_back(&side->sequence_kl);
    columns.push_back(&side->self_weighted_logps);
    columns.push_back(&side->rewards);
  }
  return columns;
}

// The examples of a batch at the given rows of each side and at the given groups.
inline LossBatch SelectExamples(const LossBatch& batch, const at::Tensor& chosen,
                                const at::Tensor& rejected, const at::Tensor& groups) {
  LossBatch part;
  part.chosen = SelectRows(batch.chosen, chosen);
  part.rejected = SelectRows(batch.rejected, rejected);
  part.gold = SelectRows(batch.gold, chosen);
  part.mismatched = SelectRows(batch.mismatched, chosen);
  part.corrupted = SelectRows(batch.corrupted, chosen);
  for (const ResponseColumns& view : batch.views) part.views.push_back(SelectRows(view, chosen));
  part.target = batch.target.index_select(0, chosen);
  part.chosen_win_rate = batch.chosen_win_rate.index_select(0, chosen);
  part.rejected_win_rate = batch.rejected_win_rate.index_select(0, rejected);
  part.win_probability = batch.win_probability.index_select(0, chosen);
  part.chosen_margin = batch.chosen_margin.index_select(0, chosen);
  part.rejected_margin = batch.rejected_margin.index_select(0, rejected);
  part.score_margin = batch.score_margin.index_select(0, chosen);
  const GroupColumns& all = batch.groups;
  const auto select = [&](const at::Tensor& column) { return column.index_select(0, groups); };
  part.groups = {
      select(all.logps),     select(all.reference_logps), select(all.lengths),   select(all.scores),
      select(all.relevance), select(all.ranks),           select(all.anchor_kl), select(all.tau)};
  return part;
}

inline at::Tensor Total(const Loss& loss, const LossBatch& batch, const LossOptions& options) {
  return Evaluate({{{&loss, 1.0}}, options}, batch).loss;
}

}  // namespace attune

#endif  // ATTUNE_TESTS_UNIT_OBJECTIVES_LOSS_BATCHES_H_
