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
  // Tokens whose logits are about as far below the maximum.
  struct Bin {
    int64_t tokens = 0;
    double mass = 0;  // sum of their weights
  };

  // The logits that the options make of them: themselves, or adjusted_.
  absl::Span<const float> Adjust(absl::Span<const float> logits, const SamplingOptions& options,
                                 const SamplingContext& context);
  int32_t DrawFromAll(double total, double u) const;
  int32_t DrawFromKept(double total, double u) const;
  // Fills kept_; returns the sum of their weights. `total` is the sum of all.
  double Keep(absl::Span<const float> logits, float max, double total,
              const SamplingOptions& options);
  // The token that top_k and top_p keep last, from the likeliest down. Fills candidates_.
  int32_t LastKept(absl::Span<const float> logits, float max, double total,
                   const SamplingOptions& options);
  // Fills candidates_ and bins_ with what is near the maximum: all that can be kept, perhaps more.
  void CollectCandidates(absl::Span<const float> logits, float max, double total,
                         const SamplingOptions& options);
  // How far below the maximum the tokens that can be kept probably end, from a sample of them.
  double GuessReach(absl::Span<const float> logits, float max, double total,
                    const SamplingOptions& options);
  void StartBins(float begin, double reach);  // of logits from begin - reach to begin
  void AddToBin(size_t id, float logit);
  size_t BinOf(float logit) const;
  void SortBin(size_t bin, absl::Span<const float> logits);  // into sorted_

  // The spans are those of the last draw.
  std::vector<float> adjusted_;
  std::vector<float> weights_;      // exp((logit - max) / temperature), by id
  std::vector<double> block_sums_;  // of them
  std::vector<int32_t> candidate_buffer_;
  absl::Span<const int32_t> candidates_;  // of the buffer: ids, ascending
  std::vector<Bin> bins_;                 // of the candidates, from the likeliest down
  float bins_begin_ = 0;                  // the logit at which they begin
  double bins_per_logit_ = 0;
  std::vector<int32_t> sorted_;  // ids of one bin, from the likeliest down
  std::vector<int32_t> kept_buffer_;
  absl::Span<const int32_t> kept_;  // of the buffer: ids, ascending
};

}  // namespace attune

#endif  // ATTUNE_MODEL_SAMPLER_H_
