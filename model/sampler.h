// Draws the next token from the logits of one position.
#ifndef ATTUNE_MODEL_SAMPLER_H_
#define ATTUNE_MODEL_SAMPLER_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace attune {

// Names and meanings are Hugging Face's, and so is the order: repetition_penalty and min_new_tokens
// change the logits, then come temperature, top_k, top_p and min_p. Each of these counts
// probability among what those before it have kept. (vLLM applies min_p before top_k and top_p.)
struct SamplingOptions {
  double temperature = 1.0;  // 0 = greedy (the lowest id among equal logits), else >= 0.0001
  double top_p = 1.0;        // smallest set of most likely tokens with this much probability
  int64_t top_k = 0;         // 0 = off; tokens equal to the last one kept are kept as well
  double min_p =
      0;  // in [0, 1]: tokens less than this times as likely as the likeliest are dropped
  // Logits of tokens in the prompt or the response so far are divided by it if they are positive,
  // multiplied with it if negative; 0.01-100, 1 = off.
  double repetition_penalty = 1.0;
  int64_t min_new_tokens = 0;  // end-of-sequence tokens are impossible before; <= max_new_tokens
  int64_t max_new_tokens = 128;
};

// INVALID_ARGUMENT with the name and value of the first field out of its range.
absl::Status CheckSamplingOptions(const SamplingOptions& options);

// What a draw depends on beside its logits; looked at only where an option asks for it.
struct SamplingContext {
  absl::Span<const int32_t> prompt_ids;    // below the number of logits
  absl::Span<const int32_t> response_ids;  // so far; likewise
  absl::Span<const int32_t> eos_ids;       // those that have no logit do not count
};

struct Draw {
  int32_t token;
  float logp;           // under softmax(logits), whatever the options
  float sampling_logp;  // under the distribution it was drawn from (greedy: 0)
};

// Keeps its buffers between draws. Not thread-safe.
class Sampler {
 public:
  // Inverse, at u in [0, 1), of the cumulative distribution over the tokens kept, in the order of
  // their ids. Of equal tokens top_p keeps those of lower id. Logits that are no distribution (NaN,
  // infinity) give a logp that is not finite. The options must pass CheckSamplingOptions.
  Draw Next(absl::Span<const float> logits, double u, const SamplingOptions& options,
            const SamplingContext& context);

 private:
  // The logits that the options make of them: themselves, or adjusted_.
  absl::Span<const float> Adjust(absl::Span<const float> logits, const SamplingOptions& options,
                                 const SamplingContext& context);
  Draw DrawFromAll(absl::Span<const float> logits, float max, double u,
                   const SamplingOptions& options);
  Draw DrawFromTop(absl::Span<const float> logits, float max, double u,
                   const SamplingOptions& options);
  // The token that top_k and top_p keep last, from the likeliest down.
  int32_t LastKept(absl::Span<const float> logits, float max, const SamplingOptions& options);
  // Fills candidates_ with the ids near the maximum: all that can be kept, perhaps more.
  void CollectCandidates(absl::Span<const float> logits, float max, double total,
                         const SamplingOptions& options);
  double MassOf(size_t begin, size_t end) const;  // of a range of order_

  std::vector<float> adjusted_;
  std::vector<float> weights_;       // exp((logit - max) / temperature), by id
  std::vector<int32_t> candidates_;  // ids, ascending
  std::vector<int32_t> order_;       // of them, partly sorted from the likeliest down
};

}  // namespace attune

#endif  // ATTUNE_MODEL_SAMPLER_H_
