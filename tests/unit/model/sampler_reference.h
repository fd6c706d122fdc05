// The slow form of sampling that tests compare with: everything sorted, everything in double.
#ifndef ATTUNE_TESTS_UNIT_MODEL_SAMPLER_REFERENCE_H_
#define ATTUNE_TESTS_UNIT_MODEL_SAMPLER_REFERENCE_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <set>
#include <vector>

#include "absl/types/span.h"
#include "model/sampler.h"

namespace attune {

inline std::vector<double> ReferenceLogits(absl::Span<const float> logits,
                                           const SamplingOptions& options,
                                           const SamplingContext& context) {
  std::vector<double> result(logits.begin(), logits.end());
  std::set<int32_t> repeated(context.prompt_ids.begin(), context.prompt_ids.end());
  repeated.insert(context.response_ids.begin(), context.response_ids.end());
  for (int32_t id : repeated) {
    const double penalty = options.repetition_penalty;
    result[id] = result[id] < 0 ? result[id] * penalty : result[id] / penalty;
  }
  if (static_cast<int64_t>(context.response_ids.size()) < options.min_new_tokens) {
    for (int32_t id : context.eos_ids) result[id] = -std::numeric_limits<double>::infinity();
  }
  return result;
}

inline void Normalise(std::vector<double>* weights) {
  const double total = std::accumulate(weights->begin(), weights->end(), 0.0);
  for (double& weight : *weights) weight /= total;
}

// The probability of every token; the temperature is not 0.
inline std::vector<double> ReferenceDistribution(absl::Span<const float> logits,
                                                 const SamplingOptions& options,
                                                 const SamplingContext& context) {
  const std::vector<double> scores = ReferenceLogits(logits, options, context);
  const double max = *std::max_element(scores.begin(), scores.end());
  std::vector<double> p;
  for (double score : scores) p.push_back(std::exp((score - max) / options.temperature));
  Normalise(&p);
  std::vector<int32_t> order(p.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return scores[a] > scores[b]; });
  if (options.top_k > 0 && options.top_k < static_cast<int64_t>(p.size())) {
    const double lowest = scores[order[options.top_k - 1]];
    for (size_t id = 0; id < p.size(); ++id) p[id] = scores[id] < lowest ? 0 : p[id];
    Normalise(&p);
  }
  double mass = 0;
  for (int32_t id : order) {
    const double before = mass;
    mass += p[id];
    if (options.top_p < 1 && before >= options.top_p) p[id] = 0;
  }
  Normalise(&p);
  const double likeliest = *std::max_element(p.begin(), p.end());
  for (double& one : p) one = one < options.min_p * likeliest ? 0 : one;
  Normalise(&p);
  return p;
}

}  // namespace attune

#endif  // ATTUNE_TESTS_UNIT_MODEL_SAMPLER_REFERENCE_H_
