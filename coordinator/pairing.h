// Candidates and their scores -> preference pairs. Pure and deterministic.
#ifndef ATTUNE_COORDINATOR_PAIRING_H_
#define ATTUNE_COORDINATOR_PAIRING_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "attune/v1/job.pb.h"
#include "attune/v1/round.pb.h"
#include "attune/v1/types.pb.h"

namespace attune {

struct PairingInput {
  std::string job;  // jobs/{job}
  uint32_t round;
  uint64_t seed;
  const v1::JobSpec* spec;                       // resolved
  absl::Span<const v1::Prompt> prompts;          // in the order of the round
  absl::Span<const v1::Response> responses;      // grouped by prompt in that order, by sample
  absl::Span<const v1::Judgment> judgments;      // one per prompt in that order
};

struct PairingOutput {
  std::vector<v1::Pair> pairs;  // in order of prompt, then of the strategy; index = position
  v1::PairCounts counts;        // every candidate pair considered and dropped, by reason
  std::string digest;           // SHA-256 over the pairs, names left out
};

// A strategy proposes pairs of the candidates of a prompt (pairing_rules.h), or with group one list
// of all; filters drop some (pairing_filters.h), those of a prompt first and CHES over the round
// last. Every proposal is counted once: as kept or by the first reason to drop it. A list whose
// size is not num_generations and those given (and 1 with include_gold) counts as empty. Unpaired
// takes candidates of the whole round (pairing_unpaired.h). A prompt whose judgment failed has no
// pairs.
//
// First of all, the scores of a prompt get the opposite sign, and the oracle's probabilities change
// sides, where a draw by (seed, round, prompt) is below oracle.flip_rate. Defects make a candidate
// worse than every other without, by an infinite gap, in margins, win rates and targets alike; the
// scores that a pair records, and min_chosen_score, are not touched by them.
//
// Which of two candidates is chosen goes by scores, or with target preference by the oracle's
// probabilities, if there are any; so do margins. Pair.preference is not touched by defects.
//
// Win rate of a candidate: as PairingSpec.win_rate. Pair.target: as PairingSpec.target, 1/2 for a
// tie that tie_policy soft keeps, always 1 for teacher_wins and unpaired. Margins: sums of
// weight * score over the auxiliary oracles. Pair.ches is there where both responses have a
// hidden_sum, which pairs do not carry.
PairingOutput BuildPairs(const PairingInput& input);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_PAIRING_H_
