// Forward and backward of one rank's examples of one update.
#ifndef ATTUNE_WORKER_TRAIN_STEP_H_
#define ATTUNE_WORKER_TRAIN_STEP_H_

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "attune/v1/trainer.pb.h"
#include "comm/collective.h"
#include "worker/example_columns.h"
#include "worker/objectives/unpaired_losses.h"
#include "worker/training_objective.h"

namespace attune {

// Sums over examples, to be added up over ranks and divided by the examples of the update.
struct UpdateSums {
  double pairs = 0;
  double tokens = 0;
  double loss = 0;
  double chosen_reward = 0;
  double rejected_reward = 0;
  double dpo_loss = 0;  // of the rewards: -log sigmoid(chosen - rejected)
  double correct = 0;   // examples whose chosen reward is above the rejected one
  double chosen_logp = 0;
  double rejected_logp = 0;
  double chosen_change = 0;  // of logps since the responses were sampled
  double rejected_change = 0;
  double largest_change = 0;  // not a sum: the largest |change| of a response
};

// Losses that couple the examples of an update, evaluated on all of them on every rank. An
// undefined gradient: they do not, and each example is evaluated alone.
struct CoupledLosses {
  at::Tensor gradient;  // [examples, sequences, kColumns] of the loss by the columns
  double loss = 0;      // mean over the examples
  Rewards rewards;
};

// Columns of all examples of the update, without gradients, from every rank, and the losses of
// them; nothing for an objective that does not couple. `rewards` is the mean of all rewards of the
// round so far (BCO), which this update's join. Every rank calls it with its own examples; it fails
// on all of them or on none.
[[nodiscard]] absl::StatusOr<CoupledLosses> EvaluateTogether(
    const TrainingObjective& objective, const TrainingModels& models,
    absl::Span<const v1::TrainingPair> pairs, int64_t update_pairs, Collective& ranks, bool stop,
    RunningMean* rewards);

// Adds this rank's part of the gradient of the mean loss of the update to that of models.policy.
// `update_pairs` counts the examples of all ranks, so that an example weighs the same wherever it
// is computed, and what it adds is rounded by itself: the sum practically does not depend on the
// company an example is in, nor on how many ranks share the update. Up to `pass_pairs` examples
// are run through the model together (PassesOf).
[[nodiscard]] absl::StatusOr<UpdateSums> AccumulateGradients(
    const TrainingObjective& objective, const TrainingModels& models, const CoupledLosses& coupled,
    absl::Span<const v1::TrainingPair> pairs, size_t pass_pairs, int64_t update_pairs);

}  // namespace attune

#endif  // ATTUNE_WORKER_TRAIN_STEP_H_
