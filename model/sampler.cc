#include "model/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "model/kernels.h"

namespace attune {
namespace {

double Sum(absl::Span<const float> weights) {
  double sum = 0;
  for (float weight : weights) sum += weight;
  return sum;
}

absl::Status OutOfRange(const char* name, double value, const char* range) {
  return absl::InvalidArgumentError(absl::StrCat(name, " is ", value, "; it must be ", range));
}

}  // namespace

absl::Status CheckSamplingOptions(const SamplingOptions& options) {
  const double temperature = options.temperature;
  if (temperature != 0 && !(temperature >= 1e-4 && std::isfinite(temperature))) {
    return OutOfRange("temperature", temperature, "0 (greedy) or at least 0.0001");
  }
  if (!(options.top_p > 0 && options.top_p <= 1)) {
    return OutOfRange("top_p", options.top_p, "above 0 and at most 1");
  }
  if (options.top_k < 0) return OutOfRange("top_k", options.top_k, "0 (off) or more");
  if (options.max_new_tokens < 1) {
    return OutOfRange("max_new_tokens", options.max_new_tokens, "at least 1");
  }
  return absl::OkStatus();
}

Draw Sampler::Next(absl::Span<const float> logits, double u) {
  const float log_sum = LogSumExp(logits.data(), logits.size());
  if (!std::isfinite(log_sum)) return {0, log_sum, log_sum};
  const auto best = std::max_element(logits.begin(), logits.end());  // the first of equals
  Draw draw;
  if (options_.temperature == 0) {
    draw = {static_cast<int32_t>(best - logits.begin()), 0, 0};
  } else {
    weights_.resize(logits.size());
    ScaledExp(logits.data(), logits.size(), *best, static_cast<float>(1 / options_.temperature),
              weights_.data());
    const bool cut = options_.top_p < 1 ||
                     (options_.top_k > 0 && options_.top_k < static_cast<int64_t>(logits.size()));
    draw = cut ? DrawFromTop(logits, *best, u) : DrawFromAll(logits, *best, u);
  }
  draw.logp = logits[draw.token] - log_sum;
  if (options_.temperature == 1 && options_.top_p == 1 && options_.top_k == 0) {
    draw.sampling_logp = draw.logp;  // one distribution: the two must not differ by rounding
  }
  return draw;
}

Draw Sampler::DrawFromAll(absl::Span<const float> logits, float max, double u) {
  const double total = Sum(weights_);
  const double target = u * total;
  double sum = 0;
  int32_t token = 0;
  for (size_t id = 0; id < weights_.size(); ++id) {
    if (weights_[id] == 0) continue;
    token = static_cast<int32_t>(id);  // the last one possible, should rounding keep sum <= target
    sum += weights_[id];
    if (sum > target) break;
  }
  const double logp = (logits[token] - max) / options_.temperature - std::log(total);
  return {token, 0, static_cast<float>(logp)};
}

Draw Sampler::DrawFromTop(absl::Span<const float> logits, float max, double u) {
  double total = Sum(weights_);
  CollectTop(logits, max, total);
  size_t count = top_.size();
  if (options_.top_k > 0 && options_.top_k < static_cast<int64_t>(count)) {
    count = options_.top_k;
    while (count < top_.size() && logits[top_[count]] == logits[top_[count - 1]]) ++count;
  }
  if (options_.top_k > 0) {
    total = 0;
    for (size_t i = 0; i < count; ++i) total += weights_[top_[i]];
  }
  double kept = 0;
  for (size_t i = 0; i < count; ++i) {
    kept += weights_[top_[i]];
    if (options_.top_p < 1 && kept >= options_.top_p * total) count = i + 1;
  }
  const double target = u * kept;
  double sum = 0;
  size_t i = 0;
  for (; i + 1 < count; ++i) {
    sum += weights_[top_[i]];
    if (sum > target) break;
  }
  const double logp = (logits[top_[i]] - max) / options_.temperature - std::log(kept);
  return {top_[i], 0, static_cast<float>(logp)};
}

// Sorting a whole vocabulary for each token would cost more than a small model's forward pass, so
// the tokens near the maximum are collected first, and more only where those do not suffice.
void Sampler::CollectTop(absl::Span<const float> logits, float max, double total) {
  for (double reach = 4 * options_.temperature;; reach *= 2) {
    const bool all = reach > 128 * options_.temperature;  // beyond that, weights are zero
    const float bound =
        all ? -std::numeric_limits<float>::infinity() : static_cast<float>(max - reach);
    double mass = 0;
    top_.clear();
    for (size_t id = 0; id < logits.size(); ++id) {
      if (!(logits[id] >= bound)) continue;
      top_.push_back(static_cast<int32_t>(id));
      mass += weights_[id];
    }
    const bool enough = options_.top_k > 0 ? static_cast<int64_t>(top_.size()) >= options_.top_k
                                           : mass >= options_.top_p * total;
    if (enough || all) break;
  }
  std::sort(top_.begin(), top_.end(), [&](int32_t a, int32_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  });
}

}  // namespace attune
