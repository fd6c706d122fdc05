// Draws the next token from the logits of one position.
#ifndef ATTUNE_MODEL_SAMPLER_H_
#define ATTUNE_MODEL_SAMPLER_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace attune {

// Meanings are Hugging Face's. Temperature is applied first, then top-k, then top-p.
struct SamplingOptions {
  double temperature = 1.0;  // 0 = greedy (the lowest id among equal logits), else >= 0.0001
  double top_p = 1.0;        // smallest set of most likely tokens with this much probability
  int64_t top_k = 0;         // 0 = off; tokens equal to the last one kept are kept as well
  int64_t max_new_tokens = 128;
};

// INVALID_ARGUMENT with the name and value of the first field out of its range.
absl::Status CheckSamplingOptions(const SamplingOptions& options);

struct Draw {
  int32_t token;
  float logp;           // under softmax(logits)
  float sampling_logp;  // under the distribution it was drawn from (greedy: 0)
};

// Keeps its buffers between draws. Not thread-safe.
class Sampler {
 public:
  // The options must pass CheckSamplingOptions.
  explicit Sampler(const SamplingOptions& options) : options_(options) {}

  // Inverse, at u in [0, 1), of the cumulative distribution over the tokens kept, in the order of
  // their ids. Of equal tokens top_p keeps those of lower id. Logits that are no distribution (NaN,
  // infinity) give a logp that is not finite.
  Draw Next(absl::Span<const float> logits, double u);

 private:
  Draw DrawFromAll(absl::Span<const float> logits, float max, double u);
  Draw DrawFromTop(absl::Span<const float> logits, float max, double u);
  // The token that top_k and top_p keep last, from the likeliest down.
  int32_t LastKept(absl::Span<const float> logits, float max);
  // Fills candidates_ with the ids near the maximum: all that can be kept, perhaps more.
  void CollectCandidates(absl::Span<const float> logits, float max, double total);
  double MassOf(size_t begin, size_t end) const;  // of a range of order_

  const SamplingOptions options_;
  std::vector<float> weights_;       // exp((logit - max) / temperature), by id
  std::vector<int32_t> candidates_;  // ids, ascending
  std::vector<int32_t> order_;       // of them, partly sorted from the likeliest down
};

}  // namespace attune

#endif  // ATTUNE_MODEL_SAMPLER_H_
