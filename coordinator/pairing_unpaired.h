// Good and bad responses of a round, put side by side without being compared.
#ifndef ATTUNE_COORDINATOR_PAIRING_UNPAIRED_H_
#define ATTUNE_COORDINATOR_PAIRING_UNPAIRED_H_

#include <vector>

#include "attune/v1/round.pb.h"
#include "coordinator/pairing_candidates.h"
#include "coordinator/pairing_filters.h"

namespace attune {

// Candidates with scores above 0 (chosen) and the others (rejected), of whichever prompts, each in
// an order drawn by (seed, round); those of the smaller side are repeated. Nothing if one side is
// empty. A candidate with a defect is a rejected one. Left out, and counted: candidates without
// tokens (empty) and chosen ones below min_chosen_score (low_score).
std::vector<Selected> SelectUnpaired(const PairingInput& input,
                                     const std::vector<Candidates>& groups, v1::PairCounts* counts);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_PAIRING_UNPAIRED_H_
