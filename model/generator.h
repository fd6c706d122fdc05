// Sampling with a policy: an engine (model/engine.h) run to its end. Calls may run at once on the
// same policy. A response is a function of (policy, prompt, options, key) alone.
#ifndef ATTUNE_MODEL_GENERATOR_H_
#define ATTUNE_MODEL_GENERATOR_H_

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/generation.h"
#include "model/policy.h"
#include "model/sampler.h"

namespace attune {

struct GenerationRequest {
  std::vector<int32_t> prompt_ids;    // at least one
  std::vector<uint64_t> sample_keys;  // one response for each; draw t uses CounterRng(key), t
};

// Result [request][sample], on so many threads. The samples of a prompt share its prefill. A
// response that reaches max_position_embeddings ends with kLength. INVALID_ARGUMENT when an option
// is out of range or a prompt fails CheckPrompt (model/scorer.h); FAILED_PRECONDITION when the
// logits are not finite.
[[nodiscard]] absl::StatusOr<std::vector<std::vector<Generation>>> Generate(
    const Policy& policy, absl::Span<const GenerationRequest> requests,
    const SamplingOptions& options, int threads = 1);

// The same, but each token is drawn from the geometric mixture of two policies, the normalised
// policy^(1 - c) other^c with c = other_weight in [0, 1]: the opponent of Nash-MD (Munos et al.
// 2023). Temperature and truncation apply to the mixture. With c = 0 the tokens are, to the bit,
// those of the policy, with c = 1 those of `other`. INVALID_ARGUMENT also when the policies differ
// in vocab_size or max_position_embeddings.
[[nodiscard]] absl::StatusOr<std::vector<std::vector<Generation>>> GenerateMixture(
    const Policy& policy, const Policy& other, double other_weight,
    absl::Span<const GenerationRequest> requests, const SamplingOptions& options);

// As Generate for one sample of one prompt; calls take(token) as soon as each is drawn. If that
// returns true, the response ends there, with kStop unless the token ends it anyway.
[[nodiscard]] absl::StatusOr<Generation> GenerateOne(const Policy& policy,
                                                     absl::Span<const int32_t> prompt_ids,
                                                     uint64_t sample_key,
                                                     const SamplingOptions& options,
                                                     absl::FunctionRef<bool(int32_t)> take);

}  // namespace attune

#endif  // ATTUNE_MODEL_GENERATOR_H_
