// What a round minimises, as the trainer computes it.
#ifndef ATTUNE_WORKER_TRAINING_OBJECTIVE_H_
#define ATTUNE_WORKER_TRAINING_OBJECTIVE_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "attune/v1/trainer.pb.h"
#include "common/loss_needs.h"
#include "worker/objectives/losses.h"

namespace attune {

// Immutable.
struct TrainingObjective {
  Objective objective;
  LossNeeds needs;       // of all losses together
  double ld_alpha;       // 1: off
  bool sampo;            // of the longer response as many tokens as the shorter has
  bool weighting;        // WPO
  bool score_margin;     // reward models: pairs ask for the gap of their scores
  uint64_t sampo_seed;   // of the draws of this round
  int64_t responses;     // of an example: 2, or those of a group
};

// INVALID_ARGUMENT: a loss that this build does not have.
[[nodiscard]] absl::StatusOr<TrainingObjective> TrainingObjectiveOf(
    const v1::TrainRoundRequest& request);

// Sequences of one example, in this order: its responses (chosen, rejected, others); after the
// corrupted prompt the chosen one, and then the rejected one; the chosen and the rejected response
// of another example after its prompt.
int64_t CorruptedSequences(const LossNeeds& needs);   // 0, 1 or 2
int64_t MismatchedSequences(const LossNeeds& needs);  // 0 or 2
int64_t SequencesOf(const TrainingObjective& objective);

}  // namespace attune

#endif  // ATTUNE_WORKER_TRAINING_OBJECTIVE_H_
