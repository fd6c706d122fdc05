// A response of a policy to a prompt.
#ifndef ATTUNE_MODEL_GENERATION_H_
#define ATTUNE_MODEL_GENERATION_H_

#include <cstdint>
#include <vector>

namespace attune {

enum class StopReason {
  kEndOfSequence,
  kLength,  // max_new_tokens, or the context of the model
  kStop,    // the caller's wish
};

struct Generation {
  std::vector<int32_t> token_ids;     // end-of-sequence token included
  std::vector<float> logps;           // of each, under the untempered, untruncated policy (of a
                                      // mixture: the policy alone)
  std::vector<float> sampling_logps;  // of each, under the distribution it was drawn from
                                      // (greedy: 0)
  StopReason stop_reason;

  friend bool operator==(const Generation&, const Generation&) = default;
};

}  // namespace attune

#endif  // ATTUNE_MODEL_GENERATION_H_
