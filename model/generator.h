// Sampling and scoring with a policy. One call is single-threaded; callers run several at once on
// the same policy. A response is a function of (policy, prompt, options, key) alone.
#ifndef ATTUNE_MODEL_GENERATOR_H_
#define ATTUNE_MODEL_GENERATOR_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/policy.h"
#include "model/sampler.h"

namespace attune {

enum class StopReason { kEndOfSequence, kLength };

struct Generation {
  std::vector<int32_t> token_ids;     // end-of-sequence token included
  std::vector<float> logps;           // of each, under the untempered, untruncated policy
  std::vector<float> sampling_logps;  // of each, under the distribution it was drawn from
                                      // (greedy: 0)
  StopReason stop_reason;

  friend bool operator==(const Generation&, const Generation&) = default;
};

struct GenerationRequest {
  std::vector<int32_t> prompt_ids;   // at least one
  std::vector<uint64_t> sample_keys;  // one response for each; draw t uses CounterRng(key), t
};

// INVALID_ARGUMENT when the prompt is empty, has ids outside the vocabulary, or leaves no room for
// a token within max_position_embeddings.
absl::Status CheckPrompt(const Policy& policy, absl::Span<const int32_t> prompt_ids);

// Result [request][sample]. The samples of a prompt share its prefill; all sequences of the call
// are decoded together, so it holds all their caches. A response that reaches
// max_position_embeddings ends with kLength. INVALID_ARGUMENT when an option is out of range or a
// prompt fails CheckPrompt; FAILED_PRECONDITION when the policy's logits are not finite.
[[nodiscard]] absl::StatusOr<std::vector<std::vector<Generation>>> Generate(
    const Policy& policy, absl::Span<const GenerationRequest> requests,
    const SamplingOptions& options);

// Natural log-probability of each completion token given all before it: exactly the numbers that
// Generate records for the same tokens. Errors as above.
[[nodiscard]] absl::StatusOr<std::vector<float>> CompletionLogProbs(
    const Policy& policy, absl::Span<const int32_t> prompt_ids,
    absl::Span<const int32_t> completion_ids);

}  // namespace attune

#endif  // ATTUNE_MODEL_GENERATOR_H_
