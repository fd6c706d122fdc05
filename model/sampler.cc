#include "model/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "model/kernels.h"

namespace attune {
namespace {

// Eight sums at a time, since one addition need not wait for the last; always in the same order.
double Sum(absl::Span<const float> weights) {
  double lanes[8] = {};
  size_t i = 0;
  for (; i + 8 <= weights.size(); i += 8) {
    for (size_t j = 0; j < 8; ++j) lanes[j] += weights[i + j];
  }
  for (size_t j = 0; i + j < weights.size(); ++j) lanes[j] += weights[i + j];
  return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) +
         ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
}

absl::Status OutOfRange(const char* name, double value, absl::string_view range) {
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
  if (!(options.min_p >= 0 && options.min_p <= 1)) {
    return OutOfRange("min_p", options.min_p, "within 0-1");
  }
  if (!(options.repetition_penalty >= 0.01 && options.repetition_penalty <= 100)) {
    return OutOfRange("repetition_penalty", options.repetition_penalty, "within 0.01-100");
  }
  if (options.max_new_tokens < 1) {
    return OutOfRange("max_new_tokens", options.max_new_tokens, "at least 1");
  }
  if (options.min_new_tokens < 0 || options.min_new_tokens > options.max_new_tokens) {
    return OutOfRange("min_new_tokens", options.min_new_tokens,
                      absl::StrCat("within 0 and max_new_tokens, ", options.max_new_tokens));
  }
  return absl::OkStatus();
}

Draw Sampler::Next(absl::Span<const float> logits, double u, const SamplingOptions& options,
                   const SamplingContext& context) {
  const float log_sum = LogSumExp(logits.data(), logits.size());
  if (!std::isfinite(log_sum)) return {0, log_sum, log_sum};
  const absl::Span<const float> scores = Adjust(logits, options, context);
  const auto best = std::max_element(scores.begin(), scores.end());  // the first of equals
  if (!std::isfinite(*best)) return {0, *best, *best};  // nothing but end-of-sequence is possible
  Draw draw;
  if (options.temperature == 0) {
    draw = {static_cast<int32_t>(best - scores.begin()), 0, 0};
  } else {
    weights_.resize(scores.size());
    ScaledExp(scores.data(), scores.size(), *best, static_cast<float>(1 / options.temperature),
              weights_.data());
    const bool cut = options.top_p < 1 ||
                     (options.top_k > 0 && options.top_k < static_cast<int64_t>(scores.size()));
    draw = cut ? DrawFromTop(scores, *best, u, options) : DrawFromAll(scores, *best, u, options);
  }
  draw.logp = logits[draw.token] - log_sum;
  const bool untouched = scores.data() == logits.data() && options.temperature == 1 &&
                         options.top_p == 1 && options.top_k == 0;
  if (untouched) draw.sampling_logp = draw.logp;  // the two must not differ by rounding
  return draw;
}

absl::Span<const float> Sampler::Adjust(absl::Span<const float> logits,
                                        const SamplingOptions& options,
                                        const SamplingContext& context) {
  const bool penalises = options.repetition_penalty != 1;
  const bool goes_on = static_cast<int64_t>(context.response_ids.size()) < options.min_new_tokens;
  if (!penalises && !goes_on) return logits;
  adjusted_.assign(logits.begin(), logits.end());
  const float penalty = static_cast<float>(options.repetition_penalty);
  const auto penalise = [&](int32_t id) {  // once, however often the token is there
    adjusted_[id] = logits[id] > 0 ? logits[id] / penalty : logits[id] * penalty;
  };
  if (penalises) {
    std::for_each(context.prompt_ids.begin(), context.prompt_ids.end(), penalise);
    std::for_each(context.response_ids.begin(), context.response_ids.end(), penalise);
  }
  if (!goes_on) return adjusted_;
  for (int32_t id : context.eos_ids) {
    if (static_cast<size_t>(id) < adjusted_.size()) {
      adjusted_[id] = -std::numeric_limits<float>::infinity();
    }
  }
  return adjusted_;
}

Draw Sampler::DrawFromAll(absl::Span<const float> logits, float max, double u,
                          const SamplingOptions& options) {
  constexpr size_t kBlock = 256;  // whole blocks are passed over by their sum
  const absl::Span<const float> weights = weights_;
  double total = 0;
  for (size_t i = 0; i < weights.size(); i += kBlock) total += Sum(weights.subspan(i, kBlock));
  const double target = u * total;
  double sum = 0;
  size_t begin = 0;
  for (; begin + kBlock < weights.size(); begin += kBlock) {
    const double next = sum + Sum(weights.subspan(begin, kBlock));
    if (next > target) break;
    sum = next;
  }
  int32_t token = -1;
  for (size_t id = begin; id < weights.size(); ++id) {
    if (weights[id] == 0) continue;
    token = static_cast<int32_t>(id);  // the last one possible, should rounding keep sum <= target
    sum += weights[id];
    if (sum > target) break;
  }
  // Only zeros after the last block that counts: rounding again.
  while (token < 0 || weights[token] == 0) token = static_cast<int32_t>(--begin);
  const double logp = (logits[token] - max) / options.temperature - std::log(total);
  return {token, 0, static_cast<float>(logp)};
}

Draw Sampler::DrawFromTop(absl::Span<const float> logits, float max, double u,
                          const SamplingOptions& options) {
  const int32_t last = LastKept(logits, max, options);
  const auto keeps = [&](int32_t id) {
    return logits[id] > logits[last] || (logits[id] == logits[last] && id <= last);
  };
  double kept = 0;
  for (int32_t id : candidates_) kept += keeps(id) ? weights_[id] : 0;
  const double target = u * kept;
  double sum = 0;
  int32_t token = last;
  for (int32_t id : candidates_) {
    if (!keeps(id) || weights_[id] == 0) continue;
    token = id;
    sum += weights_[id];
    if (sum > target) break;
  }
  const double logp = (logits[token] - max) / options.temperature - std::log(kept);
  return {token, 0, static_cast<float>(logp)};
}

// Selection instead of sorting: a flat distribution over a large vocabulary would otherwise cost
// more than a small model's forward pass.
int32_t Sampler::LastKept(absl::Span<const float> logits, float max,
                          const SamplingOptions& options) {
  double total = Sum(weights_);
  CollectCandidates(logits, max, total, options);
  order_ = candidates_;
  const auto likelier = [&](int32_t a, int32_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  };
  if (options.top_k > 0 && options.top_k < static_cast<int64_t>(order_.size())) {
    const auto kth = order_.begin() + options.top_k - 1;
    std::nth_element(order_.begin(), kth, order_.end(), likelier);
    const float lowest = logits[*kth];
    order_.erase(std::partition(order_.begin(), order_.end(),
                                [&](int32_t id) { return logits[id] >= lowest; }),
                 order_.end());
  }
  if (options.top_k > 0) total = MassOf(0, order_.size());
  if (options.top_p == 1) return *std::max_element(order_.begin(), order_.end(), likelier);
  // The smallest prefix that has the mass ends within [begin, end]; `mass` is that of [0, begin).
  size_t begin = 0, end = order_.size();
  double mass = 0;
  while (end - begin > 1) {
    const size_t middle = begin + (end - begin) / 2;
    std::nth_element(order_.begin() + begin, order_.begin() + middle, order_.begin() + end,
                     likelier);
    const double half = MassOf(begin, middle);
    if (mass + half >= options.top_p * total) {
      end = middle;
    } else {
      mass += half;
      begin = middle;
    }
  }
  return order_[begin];
}

double Sampler::MassOf(size_t begin, size_t end) const {
  double mass = 0;
  for (size_t i = begin; i < end; ++i) mass += weights_[order_[i]];
  return mass;
}

void Sampler::CollectCandidates(absl::Span<const float> logits, float max, double total,
                                const SamplingOptions& options) {
  for (double reach = 4 * options.temperature;; reach *= 2) {
    const bool all = reach > 128 * options.temperature;  // beyond that, weights are zero
    const float bound =
        all ? -std::numeric_limits<float>::infinity() : static_cast<float>(max - reach);
    double mass = 0;
    candidates_.clear();
    for (size_t id = 0; id < logits.size(); ++id) {
      if (!(logits[id] >= bound)) continue;
      candidates_.push_back(static_cast<int32_t>(id));
      mass += weights_[id];
    }
    const bool enough = options.top_k > 0
                            ? static_cast<int64_t>(candidates_.size()) >= options.top_k
                            : mass >= options.top_p * total;
    if (enough || all) return;
  }
}

}  // namespace attune
