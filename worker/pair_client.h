#ifndef ATTUNE_WORKER_PAIR_CLIENT_H_
#define ATTUNE_WORKER_PAIR_CLIENT_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "attune/v1/trainer.pb.h"

namespace attune {

// The pairs of one rank for one epoch from PairService at `coordinator` (host:port). While the
// coordinator is away the call is repeated for some minutes; CANCELLED as soon as `stop` is true.
[[nodiscard]] absl::StatusOr<std::vector<v1::TrainingPair>> FetchPairs(
    const std::string& coordinator, const v1::StreamPairsRequest& request,
    const std::function<bool()>& stop);

}  // namespace attune

#endif  // ATTUNE_WORKER_PAIR_CLIENT_H_
