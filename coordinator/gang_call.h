// One training round on a whole gang of trainer ranks.
#ifndef ATTUNE_COORDINATOR_GANG_CALL_H_
#define ATTUNE_COORDINATOR_GANG_CALL_H_

#include <stop_token>

#include "absl/status/statusor.h"
#include "attune/v1/trainer.pb.h"
#include "coordinator/membership.h"
#include "coordinator/workers.h"

namespace attune {

// Calls TrainRound on every rank of a complete gang at once. When a rank fails, the calls to the
// others are cancelled, and the round is tried again, on the gang that is complete then, within a
// budget. All ranks must answer with the same policy (DATA_LOSS otherwise). INVALID_ARGUMENT,
// DATA_LOSS, INTERNAL and FAILED_PRECONDITION of a rank are final.
[[nodiscard]] absl::StatusOr<v1::TrainRoundResult> TrainOnGang(const Membership& membership,
                                                               v1::TrainRoundRequest request,
                                                               std::stop_token stop,
                                                               const StepCall& step);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_GANG_CALL_H_
