// One Sample request on its way to responses, whoever draws their tokens: what is asked is checked,
// prompts become token ids, token ids become responses.
#ifndef ATTUNE_ROLLOUT_RESPONSE_BUILDER_H_
#define ATTUNE_ROLLOUT_RESPONSE_BUILDER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "attune/v1/rollout.pb.h"
#include "rollout/policy_store.h"

namespace attune {

inline constexpr int kSamplePromptsMax = 1024;

struct TokenizedPrompt {
  std::string text;                    // what `ids` are of
  std::vector<int32_t> ids;            // at least one, fewer than the model's context
  std::vector<int32_t> corrupted_ids;  // of Prompt.corrupted; empty without
};

// What every thread that answers one request needs; all of it constant. `held` and `request` are
// the caller's.
struct SampleJob {
  const HeldPolicies& held;
  const v1::SampleRequest& request;
  std::vector<TokenizedPrompt> prompts;  // by prompt of the request

  uint32_t generations() const { return request.sampling().num_generations(); }
};

// Whether the last of a prompt's samples is the opponent's.
bool HasOpponent(const v1::SamplingSpec& sampling);

// Whether the request cannot be answered without the policy at the start of the job.
bool NeedsInitialPolicy(const v1::SampleRequest& request);

// held.initial must be there if NeedsInitialPolicy. INVALID_ARGUMENT: as SampleResponses
// (rollout/response_sampler.h) says.
[[nodiscard]] absl::StatusOr<SampleJob> StartSampleJob(const HeldPolicies& held,
                                                       const v1::SampleRequest& request);

// Of sample `sample` of prompt `prompt`, by position in the request: CounterRng({seed, round,
// prompt.index, sample}).
uint64_t SampleKey(const SampleJob& job, int prompt, uint32_t sample);

// Without seed, sampling_logps and what AddAsked fills. `logps` are those of held.policy.
v1::Response MakeResponse(const SampleJob& job, int prompt, uint32_t sample,
                          v1::Provenance provenance, absl::Span<const int32_t> token_ids,
                          absl::Span<const float> logps, v1::FinishReason finish_reason);

// Mean over tokens of |reported - logps|, of as many tokens as were reported: Sampler.gap.
double SamplerGap(absl::Span<const float> reported, absl::Span<const float> logps);

// Fills what the request asks for beside the log-probabilities of the current policy: hidden_sum,
// and initial_logps if they are not there yet. `prompt` as above.
absl::Status AddAsked(const SampleJob& job, int prompt, v1::Response& response);

// Appends the responses that the prompt brings, then gold, as SampleResponses says.
absl::Status AddDatasetResponses(const SampleJob& job, int prompt,
                                 std::vector<v1::Response>* responses);

}  // namespace attune

#endif  // ATTUNE_ROLLOUT_RESPONSE_BUILDER_H_
