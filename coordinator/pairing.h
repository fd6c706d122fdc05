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

// Candidates are ordered by score; `length_penalty` only decides which of them a strategy looks at.
// Every proposed pair then has to pass: tokens on both sides, different ones, `tie_policy`,
// `min_chosen_score`, the margin; the first that it fails is the reason that is counted.
//
// Win rate of a candidate: mean over the others of 1 if it scores higher, 1/2 if equal, else 0
// (DNO, Algorithm 2). Pair.target is sigmoid(win rate gap) for loss_type dno, which is the soft
// label of DNO, Algorithm 1 (Rosset et al. 2024), and 1 otherwise.
PairingOutput BuildPairs(const PairingInput& input);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_PAIRING_H_
