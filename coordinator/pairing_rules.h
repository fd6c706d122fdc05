// Which candidates of a prompt a strategy puts against each other.
#ifndef ATTUNE_COORDINATOR_PAIRING_RULES_H_
#define ATTUNE_COORDINATOR_PAIRING_RULES_H_

#include <cstddef>
#include <vector>

#include "attune/v1/job.pb.h"
#include "common/rng.h"
#include "coordinator/pairing_candidates.h"

namespace attune {

// Positions of candidates. Chosen is the better one (Candidates::Gap), of equal ones that which the
// oracle prefers, if it gives probabilities, or the first response; but for teacher_wins, where it
// is gold.
struct Proposal {
  size_t chosen;
  size_t rejected;
  std::vector<size_t> others = {};  // group: those between, by falling score, then by position
};

// Of at least two candidates. One with a defect is worse than all without; among themselves their
// scores decide. `rng` is the prompt's own.
std::vector<Proposal> Propose(v1::PairingStrategy strategy, const Candidates& candidates,
                              const CounterRng& rng);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_PAIRING_RULES_H_
