#include "model/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "model/kernels.h"

namespace attune {
namespace {

constexpr size_t kBins = 256;
constexpr size_t kSample = 1024;  // tokens looked at to guess how far down the kept ones go

// Ids whose value is at least `bound`, ascending; in `buffer`, which only grows, since making room
// costs as much as looking.
absl::Span<const int32_t> Select(absl::Span<const float> values, float bound,
                                 std::vector<int32_t>* buffer) {
  buffer->resize(std::max(buffer->size(), values.size() + kSelectPadding));
  const int64_t count =
      SelectAtLeast(values.data(), static_cast<int64_t>(values.size()), bound, buffer->data());
  return absl::MakeConstSpan(buffer->data(), static_cast<size_t>(count));
}

bool HasTopK(const SamplingOptions& options, size_t tokens) {
  return options.top_k > 0 && options.top_k < static_cast<int64_t>(tokens);
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
  const int64_t size = static_cast<int64_t>(logits.size());
  const absl::Span<const float> scores = Adjust(logits, options, context);
  const bool is_policy = scores.data() == logits.data() && options.temperature == 1;
  weights_.resize(logits.size());
  block_sums_.resize((logits.size() + kSumBlock - 1) / kSumBlock);
  const float log_sum =
      is_policy ? LogSumExpSums(logits.data(), size, weights_.data(), block_sums_.data())
                : LogSumExp(logits.data(), size);
  if (!std::isfinite(log_sum)) return {0, log_sum, log_sum};
  const float max = Max(scores.data(), size);
  if (!std::isfinite(max)) return {0, max, max};  // nothing but end of sequence is possible
  if (options.temperature == 0) {
    kept_ = Select(scores, max, &kept_buffer_);
    return {kept_.front(), logits[kept_.front()] - log_sum, 0};
  }
  if (!is_policy) {
    ScaledExpSums(scores.data(), size, max, static_cast<float>(1 / options.temperature),
                  weights_.data(), block_sums_.data());
  }
  double sum = std::accumulate(block_sums_.begin(), block_sums_.end(), 0.0);
  const bool cuts = options.top_p < 1 || HasTopK(options, logits.size()) || options.min_p > 0;
  if (cuts) sum = Keep(scores, max, sum, options);
  const int32_t token = cuts ? DrawFromKept(sum, u) : DrawFromAll(sum, u);
  const float logp = logits[token] - log_sum;
  if (is_policy && !cuts) return {token, logp, logp};  // the two must not differ by rounding
  const double score = (scores[token] - max) / options.temperature;
  return {token, logp, static_cast<float>(score - std::log(sum))};
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

int32_t Sampler::DrawFromAll(double total, double u) const {
  const double target = u * total;
  double sum = 0;
  size_t block = 0;  // whole blocks are passed over by their sum
  for (; block + 1 < block_sums_.size(); ++block) {
    const double next = sum + block_sums_[block];
    if (next > target) break;
    sum = next;
  }
  size_t begin = block * kSumBlock;
  int32_t token = -1;
  for (size_t id = begin; id < weights_.size(); ++id) {
    if (weights_[id] == 0) continue;
    token = static_cast<int32_t>(id);  // the last one possible, should rounding keep sum <= target
    sum += weights_[id];
    if (sum > target) break;
  }
  // Only zeros after the last block that counts: rounding again.
  while (token < 0 || weights_[token] == 0) token = static_cast<int32_t>(--begin);
  return token;
}

int32_t Sampler::DrawFromKept(double total, double u) const {
  const double target = u * total;
  double sum = 0;
  for (int32_t id : kept_) {
    sum += weights_[id];
    if (sum > target) return id;
  }
  return kept_.back();  // rounding keeps sum <= target
}

double Sampler::Keep(absl::Span<const float> logits, float max, double total,
                     const SamplingOptions& options) {
  // The likeliest token has weight 1. A token without weight is impossible, whatever top_k says.
  const float lowest_weight =
      std::max(static_cast<float>(options.min_p), std::numeric_limits<float>::denorm_min());
  double mass = 0;
  if (options.top_p == 1 && !HasTopK(options, logits.size())) {
    kept_ = Select(weights_, lowest_weight, &kept_buffer_);
    for (int32_t id : kept_) mass += weights_[id];
    return mass;
  }
  const int32_t last = LastKept(logits, max, total, options);
  const float lowest = logits[last];
  kept_buffer_.resize(std::max(kept_buffer_.size(), candidates_.size()));
  size_t kept = 0;
  for (int32_t id : candidates_) {  // without branches, which would go either way
    const float logit = logits[id];
    const float weight = weights_[id];
    const bool is_top = (logit > lowest) | ((logit == lowest) & (id <= last));
    const bool is_kept = is_top & (weight >= lowest_weight);
    kept_buffer_[kept] = id;
    kept += is_kept;
    mass += is_kept ? weight : 0;
  }
  kept_ = absl::MakeConstSpan(kept_buffer_.data(), kept);
  return mass;
}

// Bins instead of sorting: a flat distribution over a large vocabulary would otherwise cost more
// than a small model's forward pass.
int32_t Sampler::LastKept(absl::Span<const float> logits, float max, double total,
                          const SamplingOptions& options) {
  CollectCandidates(logits, max, total, options);
  float lowest = -std::numeric_limits<float>::infinity();
  size_t last_bin = kBins - 1;
  while (bins_[last_bin].tokens == 0) --last_bin;
  if (options.top_k > 0 && options.top_k <= static_cast<int64_t>(candidates_.size())) {
    int64_t tokens = 0;
    total = 0;
    for (last_bin = 0; tokens + bins_[last_bin].tokens < options.top_k; ++last_bin) {
      tokens += bins_[last_bin].tokens;
      total += bins_[last_bin].mass;
    }
    SortBin(last_bin, logits);
    lowest = logits[sorted_[static_cast<size_t>(options.top_k - tokens - 1)]];
    for (int32_t id : sorted_) total += logits[id] >= lowest ? weights_[id] : 0;
  }
  // With top_p 1, rounding must not leave out the least likely ones.
  const double wanted =
      options.top_p == 1 ? std::numeric_limits<double>::infinity() : options.top_p * total;
  double mass = 0;
  size_t bin = 0;
  for (; bin < last_bin && mass + bins_[bin].mass < wanted; ++bin) mass += bins_[bin].mass;
  SortBin(bin, logits);
  int32_t last = sorted_.front();
  for (int32_t id : sorted_) {
    if (logits[id] < lowest) break;
    last = id;
    mass += weights_[id];
    if (mass >= wanted) break;
  }
  return last;
}

void Sampler::CollectCandidates(absl::Span<const float> logits, float max, double total,
                                const SamplingOptions& options) {
  const double reach_max = 128 * options.temperature;  // beyond it, weights are zero
  for (double reach = GuessReach(logits, max, total, options);; reach *= 2) {
    reach = std::min(reach, reach_max);
    candidates_ = Select(logits, static_cast<float>(max - reach), &candidate_buffer_);
    StartBins(max, reach);
    for (int32_t id : candidates_) AddToBin(static_cast<size_t>(id), logits[id]);
    double mass = 0;
    for (const Bin& bin : bins_) mass += bin.mass;
    const bool enough = options.top_k > 0
                            ? static_cast<int64_t>(candidates_.size()) >= options.top_k
                            : mass >= options.top_p * total;
    if (enough || reach == reach_max) return;
  }
}

double Sampler::GuessReach(absl::Span<const float> logits, float max, double total,
                           const SamplingOptions& options) {
  const size_t stride = std::max<size_t>(logits.size() / kSample, 1);
  const double reach = 32 * options.temperature;
  StartBins(max, reach);
  for (size_t id = stride / 2; id < logits.size(); id += stride) AddToBin(id, logits[id]);
  // With a margin, since too little must be collected again.
  const double share = 1.0 / static_cast<double>(stride);
  const double tokens_wanted = 1.5 * share * static_cast<double>(options.top_k) + 4;
  const double tail_allowed = 0.85 * share * (1 - options.top_p) * total;
  double tokens = 0, tail = 0;
  for (const Bin& bin : bins_) tail += bin.mass;
  size_t bin = 0;
  for (; bin < kBins; ++bin) {
    tokens += static_cast<double>(bins_[bin].tokens);
    tail -= bins_[bin].mass;
    if (options.top_k > 0 ? tokens >= tokens_wanted : tail <= tail_allowed) break;
  }
  return reach * static_cast<double>(bin + 1) / kBins;
}

void Sampler::StartBins(float begin, double reach) {
  bins_.assign(kBins, Bin());
  bins_begin_ = begin;
  bins_per_logit_ = kBins / reach;
}

void Sampler::AddToBin(size_t id, float logit) {
  Bin& bin = bins_[BinOf(logit)];
  ++bin.tokens;
  bin.mass += weights_[id];
}

size_t Sampler::BinOf(float logit) const {
  const double bin = (static_cast<double>(bins_begin_) - logit) * bins_per_logit_;
  return bin < kBins ? static_cast<size_t>(bin) : kBins - 1;
}

void Sampler::SortBin(size_t bin, absl::Span<const float> logits) {
  sorted_.clear();
  for (int32_t id : candidates_) {
    if (BinOf(logits[id]) == bin) sorted_.push_back(id);
  }
  std::sort(sorted_.begin(), sorted_.end(), [&](int32_t a, int32_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  });
}

}  // namespace attune
