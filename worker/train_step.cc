#include "worker/train_step.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <ATen/ATen.h>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "worker/agreement.h"
#include "worker/guarded.h"

namespace attune {
namespace {

// The columns of this rank's examples in their places, zeros elsewhere.
absl::Status FillColumns(const TrainingObjective& objective, const TrainingModels& models,
                         absl::Span<const v1::TrainingPair> pairs, at::Tensor& values) {
  const at::NoGradGuard guard;
  for (const absl::Span<const v1::TrainingPair> pass : PassesOf(pairs)) {
    std::vector<ExampleColumns> columns;
    ATTUNE_RETURN_IF_ERROR(Guarded(pass, [&]() -> absl::Status {
      ATTUNE_ASSIGN_OR_RETURN(columns, ColumnsOfExamples(objective, models, pass));
      return absl::OkStatus();
    }));
    for (size_t e = 0; e < pass.size(); ++e) {
      if (pass[e].position() >= values.size(0)) {
        return absl::InternalError(absl::StrCat("pair ", pass[e].index(), " is number ",
                                                pass[e].position(), " of an update of ",
                                                values.size(0)));
      }
      values[pass[e].position()] = columns[e].values;
    }
  }
  return absl::OkStatus();
}

// Rewards of example `e`: rows are examples, or lists whose first two are chosen and rejected.
std::pair<double, double> RewardsOf(const Rewards& rewards, int64_t e) {
  if (rewards.chosen.dim() == 2) {
    return {rewards.chosen[e][0].item<double>(), rewards.chosen[e][1].item<double>()};
  }
  return {rewards.chosen[e].item<double>(), rewards.rejected[e].item<double>()};
}

// -log sigmoid(x), without overflow.
double LogisticLoss(double x) {
  return std::max(-x, 0.0) + std::log1p(std::exp(-std::abs(x)));
}

void AddToSums(const ExampleColumns& columns, double loss, std::pair<double, double> rewards,
               UpdateSums& sums) {
  const auto logp = [&](int64_t sequence) {
    return columns.values[sequence][kLogpColumn].item<double>();
  };
  sums.pairs += 1;
  sums.tokens += columns.tokens;
  sums.loss += loss;
  sums.chosen_reward += rewards.first;
  sums.rejected_reward += rewards.second;
  sums.dpo_loss += LogisticLoss(rewards.first - rewards.second);
  sums.correct += rewards.first > rewards.second ? 1 : 0;
  sums.chosen_logp += logp(0);
  sums.rejected_logp += logp(1);
  sums.chosen_change += columns.chosen_change;
  sums.rejected_change += columns.rejected_change;
  sums.largest_change = std::max(sums.largest_change, columns.largest_change);
}

// The part of an example in the loss of the update, with gradients.
at::Tensor LossOfExample(const TrainingObjective& objective, const CoupledLosses& coupled,
                         const ExampleColumns& columns, int64_t position, int64_t update_pairs,
                         UpdateSums& sums) {
  if (coupled.gradient.defined()) {
    AddToSums(columns, coupled.loss, RewardsOf(coupled.rewards, position), sums);
    return (columns.values * coupled.gradient[position]).sum();
  }
  const ObjectiveValue value =
      Evaluate(objective.objective, LossBatchOf(objective, columns.values.unsqueeze(0)));
  AddToSums(columns, value.loss.item<double>(), RewardsOf(value.rewards, 0), sums);
  return value.loss / static_cast<double>(update_pairs);
}

absl::Status RunPass(const TrainingObjective& objective, const TrainingModels& models,
                     const CoupledLosses& coupled, absl::Span<const v1::TrainingPair> pass,
                     int64_t update_pairs, UpdateSums& sums) {
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<ExampleColumns> columns,
                          ColumnsOfExamples(objective, models, pass));
  at::Tensor loss = at::zeros({}, at::kDouble);
  for (size_t e = 0; e < pass.size(); ++e) {
    loss = loss +
           LossOfExample(objective, coupled, columns[e], pass[e].position(), update_pairs, sums);
  }
  loss.backward();
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CoupledLosses> EvaluateTogether(const TrainingObjective& objective,
                                               const TrainingModels& models,
                                               absl::Span<const v1::TrainingPair> pairs,
                                               int64_t update_pairs, Collective& ranks, bool stop,
                                               RunningMean* rewards) {
  CoupledLosses coupled;
  if (!objective.needs.couples_batch && !objective.needs.running_mean) return coupled;
  at::Tensor values = at::zeros({update_pairs, SequencesOf(objective), kColumns}, at::kDouble);
  const absl::Status mine = FillColumns(objective, models, pairs, values);
  ATTUNE_RETURN_IF_ERROR(
      SumIfAllWell(ranks, mine, stop,
                   absl::MakeSpan(values.data_ptr<double>(), static_cast<size_t>(values.numel()))));
  values.set_requires_grad(true);
  const LossBatch batch = LossBatchOf(objective, values);
  Objective shifted = objective.objective;
  if (objective.needs.running_mean) {
    *rewards = UpdateRewardMean(*rewards, batch, shifted.options.beta);
    shifted.options.bco_shift = rewards->mean;
  }
  const ObjectiveValue value = Evaluate(shifted, batch);
  value.loss.backward();
  coupled.gradient = values.grad();
  coupled.loss = value.loss.item<double>();
  coupled.rewards = value.rewards;
  return coupled;
}

absl::StatusOr<UpdateSums> AccumulateGradients(const TrainingObjective& objective,
                                               const TrainingModels& models,
                                               const CoupledLosses& coupled,
                                               absl::Span<const v1::TrainingPair> pairs,
                                               size_t pass_pairs, int64_t update_pairs) {
  UpdateSums result;
  for (const absl::Span<const v1::TrainingPair> pass : PassesOf(pairs, pass_pairs)) {
    ATTUNE_RETURN_IF_ERROR(Guarded(
        pass, [&] { return RunPass(objective, models, coupled, pass, update_pairs, result); }));
  }
  return result;
}

}  // namespace attune
