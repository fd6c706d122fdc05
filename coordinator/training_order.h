// Which pairs a trainer rank gets, in which order, with which reference log-probabilities. Pure.
#ifndef ATTUNE_COORDINATOR_TRAINING_ORDER_H_
#define ATTUNE_COORDINATOR_TRAINING_ORDER_H_

#include <cstdint>
#include <vector>

#include "attune/v1/job.pb.h"
#include "attune/v1/trainer.pb.h"
#include "attune/v1/types.pb.h"

namespace attune {

struct PairSlot {
  uint32_t pair;    // index within the round
  uint32_t update;  // within the epoch
};

// The `pairs` of a round are shuffled by (seed, round, epoch), cut into updates of `batch_size`
// (the last may be shorter), and each update is cut into `world_size` contiguous runs of equal
// length, rounded up: rank r gets the r-th. All ranks together get every pair once.
std::vector<PairSlot> TrainingOrder(uint64_t seed, uint32_t pairs,
                                    const v1::StreamPairsRequest& request);

// Sums the log-probabilities of the reference that the job names and of the sampling policy.
v1::TrainingPair MakeTrainingPair(const v1::Pair& pair, v1::Reference reference, uint32_t update);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_TRAINING_ORDER_H_
