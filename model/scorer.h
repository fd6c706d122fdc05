// What a model says of given tokens: the log-probability of a completion, or the scores of a
// sequence classifier. Single-threaded; callers run several at once on the same policy. Memory does
// not grow with the product of length and vocabulary (model/chunked_forward.h).
#ifndef ATTUNE_MODEL_SCORER_H_
#define ATTUNE_MODEL_SCORER_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/policy.h"

namespace attune {

// INVALID_ARGUMENT when `prompt_ids` is empty, has ids outside the vocabulary, or leaves no room
// for a token within max_position_embeddings, or when the policy is a sequence classifier.
absl::Status CheckPrompt(const Policy& policy, absl::Span<const int32_t> prompt_ids);

// Natural log-probability of each completion token given all before it, log-softmax in fp32:
// exactly the numbers that Generate records for the same tokens. Errors as of CheckPrompt;
// FAILED_PRECONDITION when the logits are not finite.
[[nodiscard]] absl::StatusOr<std::vector<float>> CompletionLogProbs(
    const Policy& policy, absl::Span<const int32_t> prompt_ids,
    absl::Span<const int32_t> completion_ids);

// Of each completion, none of them empty, the sum of its CompletionLogProbs; the prompt is run
// through the model once for all.
[[nodiscard]] absl::StatusOr<std::vector<double>> SummedLogProbs(
    const Policy& policy, absl::Span<const int32_t> prompt_ids,
    absl::Span<const std::vector<int32_t>> completions);

struct TokenLogProb {
  int32_t id;
  float logp;  // natural

  friend bool operator==(const TokenLogProb&, const TokenLogProb&) = default;
};

// In the place of each completion token, the `count` likeliest tokens of the vocabulary (all, where
// it has fewer) from the likeliest down, of equals the lower id first; the numbers, and the errors,
// of CompletionLogProbs.
[[nodiscard]] absl::StatusOr<std::vector<std::vector<TokenLogProb>>> TopLogProbs(
    const Policy& policy, absl::Span<const int32_t> prompt_ids,
    absl::Span<const int32_t> completion_ids, int64_t count);

// The sum, over the completion's tokens, of the final hidden state (after the last norm: what the
// head reads) at the position that predicts the token, [hidden_size]: from the last token of the
// prompt to the last but one of the completion. S(y) of Razin et al. 2024. Summed in double in the
// order of the tokens; zeros for an empty completion. Errors as of CompletionLogProbs.
[[nodiscard]] absl::StatusOr<std::vector<float>> CompletionHiddenSum(
    const Policy& policy, absl::Span<const int32_t> prompt_ids,
    absl::Span<const int32_t> completion_ids);

// The outputs of a sequence classifier's `score` head at the last token that is not its padding
// token, [num_labels]: of a reward model with one label, the reward. INVALID_ARGUMENT when the
// policy has no such head or the ids do not fit.
[[nodiscard]] absl::StatusOr<std::vector<float>> ClassificationScores(
    const Policy& policy, absl::Span<const int32_t> ids);

// Of logits or log-probabilities that are not finite numbers.
absl::Status NotFiniteError();

}  // namespace attune

#endif  // ATTUNE_MODEL_SCORER_H_
