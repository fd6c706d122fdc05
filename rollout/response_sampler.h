// Prompts -> responses: tokenising, sampling, scoring, for one Sample request.
#ifndef ATTUNE_ROLLOUT_RESPONSE_SAMPLER_H_
#define ATTUNE_ROLLOUT_RESPONSE_SAMPLER_H_

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "attune/v1/rollout.pb.h"
#include "rollout/policy_store.h"

namespace attune {

inline constexpr int kSamplePromptsMax = 1024;

// Samples with held.policy, which is request.policy, on at most `threads` threads. The responses
// are a function of the request and the policies alone: sample s of a prompt draws with the key
// CounterRng({seed, round, prompt.index, s}), so neither the other prompts of the request nor the
// threads matter.
//
// A prompt with messages is what the model's chat template makes of them, tokenised without adding
// special tokens.
//
// A gold response (asked for with include_gold, for prompts that have one) gets the number after
// the last sample. Its tokens are those of the text after the prompt and the model's first
// end-of-sequence id, cut to what a sampled response could have; finish_reason is STOP if the end
// is still there; no sampling_logps, seed 0.
//
// INVALID_ARGUMENT: a field of `sampling` is missing or out of range (google.rpc.BadRequest), there
// are more than kSamplePromptsMax prompts, or a prompt (named by index) leaves no room for a
// response or is refused by the chat template. CANCELLED: `cancelled` said so, which is asked
// between groups of prompts, from several threads.
[[nodiscard]] absl::StatusOr<v1::SampleResponse> SampleResponses(
    const HeldPolicies& held, const v1::SampleRequest& request, int threads,
    absl::FunctionRef<bool()> cancelled);

}  // namespace attune

#endif  // ATTUNE_ROLLOUT_RESPONSE_SAMPLER_H_
