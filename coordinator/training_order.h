// Which pairs a trainer rank gets, in which order, and what of them. Pure.
#ifndef ATTUNE_COORDINATOR_TRAINING_ORDER_H_
#define ATTUNE_COORDINATOR_TRAINING_ORDER_H_

#include <cstdint>
#include <vector>

#include "attune/v1/job.pb.h"
#include "attune/v1/trainer.pb.h"
#include "attune/v1/types.pb.h"

namespace attune {

struct PairSlot {
  uint32_t pair;      // of those the round is trained on
  uint32_t update;    // within the epoch
  uint32_t position;  // within the update
  uint32_t next;      // pair of the next position; of the last, that of the first
};

// The `pairs` of a round are shuffled by (seed, round, epoch), cut into updates of `batch_size`
// (the last may be shorter), and each update is cut into `world_size` contiguous runs of equal
// length, rounded up: rank r gets the r-th. All ranks together get every pair once.
std::vector<PairSlot> TrainingOrder(uint64_t seed, uint32_t pairs,
                                    const v1::StreamPairsRequest& request);

// What the trainer needs of `pair` in round `round` for an objective; the mismatched responses are
// those of `next`. Log-probabilities of the reference are left out where the trainer computes them:
// if the policy that the round began with is not the one that sampled the pair, or for references
// that sample nothing. Where the policy competes with an opponent, chosen is the policy's response,
// whichever won.
v1::TrainingPair MakeTrainingPair(const v1::ObjectiveSpec& objective, uint32_t round,
                                  const PairSlot& slot, const v1::Pair& pair,
                                  const v1::Pair& next);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_TRAINING_ORDER_H_
