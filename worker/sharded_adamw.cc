#include "worker/sharded_adamw.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "common/status_macros.h"

namespace attune {
namespace {

struct AdamWStep {
  float beta1;
  float beta2;
  float keep;        // 1 - learning rate * weight decay
  float step_size;   // learning rate / (1 - beta1^t)
  float correction;  // sqrt(1 - beta2^t)
  float epsilon;
  float clip;        // factor on the gradient
};

void UpdateRun(const AdamWStep& step, int64_t count, const float* __restrict gradient,
               float* __restrict first, float* __restrict second, float* __restrict parameter) {
  for (int64_t i = 0; i < count; ++i) {
    const float g = gradient[i] * step.clip;
    first[i] = step.beta1 * first[i] + (1 - step.beta1) * g;
    second[i] = step.beta2 * second[i] + (1 - step.beta2) * g * g;
    const float denominator = std::sqrt(second[i]) / step.correction + step.epsilon;
    parameter[i] = step.keep * parameter[i] - step.step_size * first[i] / denominator;
  }
}

double SquaredNorm(absl::Span<const double> values) {
  double sum = 0;
  for (double value : values) sum += value * value;
  return sum;
}

}  // namespace

int64_t SliceSize(int64_t count, int ranks) { return (count + ranks - 1) / ranks; }

ShardedAdamW::ShardedAdamW(std::vector<TensorSpec> layout, const AdamWOptions& options,
                           const Collective& ranks)
    : layout_(std::move(layout)),
      options_(options),
      slice_size_(SliceSize(WeightCount(layout_), ranks.size())),
      sum_slice_(slice_size_),
      gradient_(options.zero_stage == 0 ? slice_size_ * ranks.size() : slice_size_),
      first_moments_(gradient_.size()),
      second_moments_(first_moments_.size()) {}

absl::StatusOr<double> ShardedAdamW::Step(Collective& ranks, double learning_rate,
                                          absl::Span<float> parameters,
                                          absl::Span<double> gradients) {
  const int64_t begin = ranks.rank() * slice_size_;
  ATTUNE_CHECK(static_cast<int64_t>(parameters.size()) == slice_size_ * ranks.size());
  ATTUNE_RETURN_IF_ERROR(ranks.ReduceScatterSum(gradients, absl::MakeSpan(sum_slice_)));
  double squared_norm = SquaredNorm(sum_slice_);
  ATTUNE_RETURN_IF_ERROR(ranks.AllReduceSum(absl::MakeSpan(&squared_norm, 1)));
  const double norm = std::sqrt(squared_norm);
  if (!std::isfinite(norm)) {
    return absl::FailedPreconditionError(absl::StrCat("the gradient norm is ", norm));
  }
  // As torch.nn.utils.clip_grad_norm_.
  const bool clips = options_.max_grad_norm > 0;
  const float clip = clips ? std::min(1.0, options_.max_grad_norm / (norm + 1e-6)) : 1.0;
  ++steps_;
  absl::Span<float> rounded = absl::MakeSpan(gradient_);
  if (options_.zero_stage == 0) rounded = rounded.subspan(begin, slice_size_);
  std::copy(sum_slice_.begin(), sum_slice_.end(), rounded.begin());
  if (options_.zero_stage == 0) {
    ATTUNE_RETURN_IF_ERROR(ranks.AllGather(rounded, absl::MakeSpan(gradient_)));
    Update(0, gradient_, clip, learning_rate, parameters);
  } else {
    Update(begin, gradient_, clip, learning_rate, parameters);
    ATTUNE_RETURN_IF_ERROR(ranks.AllGather(parameters.subspan(begin, slice_size_), parameters));
  }
  std::fill(gradients.begin(), gradients.end(), 0.0);
  return norm;
}

void ShardedAdamW::Update(int64_t begin, absl::Span<const float> gradient, float clip,
                          double learning_rate, absl::Span<float> parameters) {
  const double t = static_cast<double>(steps_);
  const double step_size = learning_rate / (1 - std::pow(options_.beta1, t));
  AdamWStep step = {.beta1 = static_cast<float>(options_.beta1),
                    .beta2 = static_cast<float>(options_.beta2),
                    .keep = 1,
                    .step_size = static_cast<float>(step_size),
                    .correction = static_cast<float>(std::sqrt(1 - std::pow(options_.beta2, t))),
                    .epsilon = static_cast<float>(options_.epsilon),
                    .clip = clip};
  const int64_t end = begin + static_cast<int64_t>(gradient.size());
  for (const TensorSpec& spec : layout_) {
    const int64_t first = std::max(begin, spec.offset);
    const int64_t count = std::min(end, spec.offset + spec.size) - first;
    if (count <= 0) continue;
    const bool decays = spec.shape.size() >= 2;
    step.keep = static_cast<float>(1 - (decays ? learning_rate * options_.weight_decay : 0));
    const int64_t at = first - begin;
    UpdateRun(step, count, gradient.data() + at, first_moments_.data() + at,
              second_moments_.data() + at, parameters.data() + first);
  }
}

}  // namespace attune
