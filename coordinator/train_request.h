// What the trainers are asked for in a round. Pure.
#ifndef ATTUNE_COORDINATOR_TRAIN_REQUEST_H_
#define ATTUNE_COORDINATOR_TRAIN_REQUEST_H_

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "attune/v1/job.pb.h"
#include "attune/v1/round.pb.h"
#include "attune/v1/trainer.pb.h"
#include "coordinator/replay.h"
#include "coordinator/workers.h"

namespace attune {

// Pairs of earlier rounds that `record`, which has its own, is trained on again. `rounds` are all
// of the job, in their order from round 0.
std::vector<ReplayedPair> ReplayOf(const v1::JobSpec& spec, const v1::RoundRecord& record,
                                   absl::Span<const v1::RoundRecord> rounds);

struct TrainPaths {
  std::string checkpoint;      // to be written
  std::string reference;       // the mixed one, written by the round before; empty in round 1
  std::string next_reference;  // to be written, if there is a mixed one
};

// `before` is the record of the round before. The address and the attempt are left to the caller.
v1::TrainRoundRequest MakeTrainRequest(const v1::Job& job, const v1::RoundRecord& record,
                                       const v1::RoundRecord& before, const Policies& policies,
                                       const TrainPaths& paths);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_TRAIN_REQUEST_H_
