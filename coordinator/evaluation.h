// What the held-out prompts say about a policy. Pure.
#ifndef ATTUNE_COORDINATOR_EVALUATION_H_
#define ATTUNE_COORDINATOR_EVALUATION_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "attune/v1/types.pb.h"

namespace attune {

// Rounds whose held-out responses are kept once round `round` is published, with the best round so
// far: those that the next round is judged against. The initial policy, the best and the newest
// ones; at most 16, oldest first.
std::vector<uint32_t> ComparedRounds(uint32_t round, uint32_t best_round);

// What is kept of a held-out response: what an oracle is shown of it.
v1::Response ForComparison(const v1::Response& response);

struct EarlierRound {
  uint32_t round;
  std::vector<v1::Response> responses;  // one per held-out prompt, in the order of the new ones
};

struct EvaluationInput {
  absl::Span<const v1::Prompt> prompts;      // of the dataset, by prompt_index
  absl::Span<const v1::Response> responses;  // of the policy, one per held-out prompt
  absl::Span<const EarlierRound> earlier;    // oldest first
  // One per held-out prompt, in order: over the responses of the earlier rounds and, last, the
  // policy's. Or with a failure and no scores.
  absl::Span<const v1::Judgment> judgments;
  uint64_t seed;  // of the bootstrap
};

// Candidates for the oracle, grouped by prompt: the responses of the earlier rounds, then the new.
std::vector<v1::Response> SideBySide(const EvaluationInput& input);

// Prompts whose judgement failed count nowhere. Against an earlier round a prompt counts with the
// oracle's probability that the policy's response is preferred where it gives any, else by scores
// (1, 1/2 for a tie, 0). win_rate and its length-controlled form are those against round 0, if it
// is among the earlier ones. Lengths are tokens. Nothing held out: an empty evaluation.
v1::Evaluation Evaluate(const EvaluationInput& input);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_EVALUATION_H_
