// Forward and backward of one rank's pairs of one update.
#ifndef ATTUNE_WORKER_TRAIN_STEP_H_
#define ATTUNE_WORKER_TRAIN_STEP_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "attune/v1/trainer.pb.h"
#include "model/model_config.h"
#include "worker/differentiable_model.h"
#include "worker/objectives.h"

namespace attune {

// Sums over pairs, to be added up over ranks and divided by the pairs of the update.
struct UpdateSums {
  double pairs = 0;
  double tokens = 0;
  double loss = 0;
  double chosen_reward = 0;
  double rejected_reward = 0;
  double correct = 0;  // pairs whose chosen reward is above the rejected one
  double chosen_logp = 0;
  double rejected_logp = 0;
  double logp_gap = 0;  // not a sum: the largest |logp - recorded rollout logp| of a sequence
};

// Adds the gradient of (sum of the losses of `pairs`) / `update_pairs` to `sums`. `update_pairs`
// counts the pairs of all ranks, so that a pair weighs the same wherever it is computed. Each pair
// is a forward and backward pass of its own, whose fp32 gradient (in `scratch`, the vector the
// model adds to, zero before and after) is added up in double precision: the sum practically does
// not depend on the company a pair is in, nor on how many ranks share the update.
[[nodiscard]] absl::StatusOr<UpdateSums> AccumulateGradients(
    const DifferentiableModel& model, const ModelConfig& config, const Objective& objective,
    absl::Span<const v1::TrainingPair> pairs, int64_t update_pairs, absl::Span<float> scratch,
    absl::Span<double> sums);

}  // namespace attune

#endif  // ATTUNE_WORKER_TRAIN_STEP_H_
