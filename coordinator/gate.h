// Which round is the best so far, and what becomes of a job whose policy lost to it. Pure: the
// decision is in the record, where it is found again after a crash.
#ifndef ATTUNE_COORDINATOR_GATE_H_
#define ATTUNE_COORDINATOR_GATE_H_

#include <string>

#include "absl/types/span.h"
#include "attune/v1/job.pb.h"
#include "attune/v1/round.pb.h"

namespace attune {

// The results of `record` against the best round before it; null where they were not compared (no
// held-out prompts, round 0).
const v1::HeadToHead* AgainstBest(absl::Span<const v1::RoundRecord> before,
                                  const v1::RoundRecord& record);

// Whether the policy lost: the upper end of the 95 % interval of its win rate is below
// gate_win_rate.
bool LostToBest(const v1::EvaluationSpec& spec, const v1::HeadToHead& against_best);

// Sets best_round, gate_stopped and next_policy of a record that has just been published, from its
// evaluation and the records before it (in order, round 0 first). The round is the best one if it
// did not lose and won half or more against the best before it, or was compared with none.
void ApplyGate(const v1::EvaluationSpec& spec, absl::Span<const v1::RoundRecord> before,
               v1::RoundRecord* record);

// The round whose policy is the result of a job that ends with `last`: the best one where the gate
// stopped the job, unless that is the initial policy, which has no checkpoint.
uint32_t ResultRound(const v1::RoundRecord& last);

// Why the job ends with this round, for people; empty unless gate_stopped.
std::string GateMessage(const v1::RoundRecord& record);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_GATE_H_
