// What a round did to the pairs it was trained on: they are scored once more with its last weights.
#ifndef ATTUNE_WORKER_PAIR_PROBE_H_
#define ATTUNE_WORKER_PAIR_PROBE_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "attune/v1/trainer.pb.h"
#include "comm/collective.h"
#include "worker/example_columns.h"

namespace attune {

inline constexpr uint32_t kProbePairs = 256;

// Those of this rank's `pairs`, of one epoch with updates of `batch_size` pairs, that are among the
// first kProbePairs of all ranks together; without what a probe does not read.
std::vector<v1::TrainingPair> PairsToProbe(absl::Span<const v1::TrainingPair> pairs,
                                           uint32_t batch_size);

// `pairs` are this rank's, from PairsToProbe; `count` those of all ranks. Every rank calls it, and
// gets the same numbers, however many there are; it fails on all of them or on none. Of a reward
// model (`rewards`) accuracy is the share of pairs whose chosen reward is the higher, and there are
// no changes.
[[nodiscard]] absl::StatusOr<v1::PairProbe> ProbePairs(const TrainingModels& models, bool rewards,
                                                       absl::Span<const v1::TrainingPair> pairs,
                                                       uint32_t batch_size, uint32_t count,
                                                       Collective& ranks, bool stop);

}  // namespace attune

#endif  // ATTUNE_WORKER_PAIR_PROBE_H_
