// Prompts -> responses: tokenising, sampling, scoring, for one Sample request.
#ifndef ATTUNE_ROLLOUT_RESPONSE_SAMPLER_H_
#define ATTUNE_ROLLOUT_RESPONSE_SAMPLER_H_

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "attune/v1/rollout.pb.h"
#include "model/engine_thread.h"
#include "rollout/policy_store.h"

namespace attune {

// Samples with held.policy, which is request.policy, by the engine; scores what is to be scored on
// at most `threads` threads, while the engine draws the rest. The responses are a function of the
// request and the policies alone: sample s of a prompt draws with the key
// CounterRng({seed, round, prompt.index, s}), so neither the other prompts of the request nor the
// threads matter.
//
// A prompt with messages is what the model's chat template makes of them, tokenised without adding
// special tokens.
//
// With sampling.opponent, the last of a prompt's samples is the opponent's, drawn with the key of
// its number: from held.initial, or from the geometric mixture of both policies (GenerateMixture),
// at the same temperature and truncation. Its `logps` are the current policy's as of all responses.
//
// The responses that a prompt brings (Prompt.given) get the numbers after the last sample, in their
// order; with num_generations 0 there are no others, and the rest of `sampling` is not looked at.
// Their tokens are those of the text after the prompt and the model's first end-of-sequence id, cut
// to what the model's context leaves after the prompt (and after the corrupted one); finish_reason
// is STOP if the end is still there; no sampling_logps, seed 0.
//
// A gold response (asked for with include_gold, for prompts that have one) gets the number after
// those. It is treated like them, but cut to what a sampled response could have.
//
// hidden_sum (asked for with with_hidden_sums) is CompletionHiddenSum of held.policy, whoever the
// response is from. Prompt.corrupted is of the same kind as the prompt, text or messages, and is
// tokenised like it.
//
// held.initial must be there if NeedsInitialPolicy.
//
// INVALID_ARGUMENT: a field of `sampling` is missing or out of range (google.rpc.BadRequest), there
// are more than kSamplePromptsMax prompts, or a prompt (named by index) leaves no room for a
// response or is refused by the chat template, or a corrupted one leaves no room for the longest
// response to the prompt. CANCELLED: `cancelled` said so, which is asked several times a second,
// from several threads. Errors of EngineThread::Submit.
[[nodiscard]] absl::StatusOr<v1::SampleResponse> SampleResponses(
    const HeldPolicies& held, const v1::SampleRequest& request, EngineThread& engine, int threads,
    absl::FunctionRef<bool()> cancelled);

}  // namespace attune

#endif  // ATTUNE_ROLLOUT_RESPONSE_SAMPLER_H_
