// Which proposals become pairs, and why the others do not.
#ifndef ATTUNE_COORDINATOR_PAIRING_FILTERS_H_
#define ATTUNE_COORDINATOR_PAIRING_FILTERS_H_

#include <vector>

#include "attune/v1/job.pb.h"
#include "attune/v1/round.pb.h"
#include "coordinator/pairing_candidates.h"
#include "coordinator/pairing_rules.h"

namespace attune {

// Those of one prompt that pass, the widest gap first, at most max_pairs_per_prompt. The others are
// counted by the first of these that holds:
//   empty         a response without tokens, in a list any
//   duplicate     the same tokens on both sides; lists are kept
//   same_text     drop_same_text
//   defect        both have one
//   tie           see Candidates::Ties, unless tie_policy keeps them; teacher_wins looks at no
//                 scores
//   source        not among `sources`
//   length_ratio  above max_length_ratio
//   low_score     chosen scores below min_chosen_score
//   low_margin    the gap is below min_margin or min_margin_student; not for teacher_wins
//   over_limit    beyond max_pairs_per_prompt
// A list is judged by its best and its worst.
std::vector<Proposal> FilterProposals(const v1::PairingSpec& spec, const Candidates& candidates,
                                      const std::vector<Proposal>& proposals,
                                      v1::PairCounts* counts);

// A tie that is kept with the target 1/2.
bool IsSoftTie(const v1::PairingSpec& spec, const Candidates& candidates, const Proposal& proposal);

// A proposal that passed.
struct Selected {
  const Candidates* candidates;
  Proposal proposal;
  const Candidates* of_rejected = nullptr;  // unpaired: the rejected response is one of these

  const Candidates& RejectedCandidates() const {
    return of_rejected == nullptr ? *candidates : *of_rejected;
  }
};

// ln-CHES of a pair under the policy that sampled; infinite where it is no number.
double PairChes(const v1::Response& chosen, const v1::Response& rejected);

// Of a round's pairs the ches_percentile of lowest ln-CHES, rounded up, in their order; of equal
// scores the first, and a score that is no number is the highest. Counts the others.
std::vector<Selected> KeepLowestChes(const v1::PairingSpec& spec, std::vector<Selected> pairs,
                                     v1::PairCounts* counts);

// In `kept`, by source, and in soft_tie.
void CountKept(const v1::PairingSpec& spec, const Selected& pair, v1::PairCounts* counts);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_PAIRING_FILTERS_H_
