#include "worker/sharded_optimizer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "common/status_macros.h"
#include "worker/pieces.h"

namespace attune {
namespace {

constexpr int64_t kPiece = 1 << 16;     // elements that one thread runs over at a time
constexpr double kRmspropDecay = 0.99;  // as in torch.optim, and in what DPO's authors ran

// What is the same for all elements of a tensor.
struct Scales {
  float beta1;
  float beta2;
  float keep;          // AdamW: 1 - learning rate * weight decay
  float weight_decay;  // the others
  float step_size;     // the learning rate; AdamW: / (1 - beta1^t)
  float correction;    // AdamW: sqrt(1 - beta2^t)
  float epsilon;
  float clip;  // factor on the gradient
};

void AdamW(const Scales& of, int64_t count, const double* __restrict gradient,
           float* __restrict first, float* __restrict second, float* __restrict parameter) {
  for (int64_t i = 0; i < count; ++i) {
    const float g = static_cast<float>(gradient[i]) * of.clip;
    first[i] = of.beta1 * first[i] + (1 - of.beta1) * g;
    second[i] = of.beta2 * second[i] + (1 - of.beta2) * g * g;
    const float denominator = std::sqrt(second[i]) / of.correction + of.epsilon;
    parameter[i] = of.keep * parameter[i] - of.step_size * first[i] / denominator;
  }
}

void Rmsprop(const Scales& of, int64_t count, const double* __restrict gradient,
             float* __restrict second, float* __restrict parameter) {
  for (int64_t i = 0; i < count; ++i) {
    const float g = static_cast<float>(gradient[i]) * of.clip + of.weight_decay * parameter[i];
    second[i] = of.beta2 * second[i] + (1 - of.beta2) * g * g;
    parameter[i] -= of.step_size * g / (std::sqrt(second[i]) + of.epsilon);
  }
}

void Sgd(const Scales& of, int64_t count, const double* __restrict gradient,
         float* __restrict parameter) {
  for (int64_t i = 0; i < count; ++i) {
    const float g = static_cast<float>(gradient[i]) * of.clip + of.weight_decay * parameter[i];
    parameter[i] -= of.step_size * g;
  }
}

double SquaredNorm(absl::Span<const double> values) {
  const auto count = static_cast<int64_t>(values.size());
  std::vector<double> parts((count + kPiece - 1) / kPiece);
  ForPieces(count, kPiece, [&](int64_t begin, int64_t end) {
    double sum = 0;
    for (int64_t i = begin; i < end; ++i) sum += values[i] * values[i];
    parts[begin / kPiece] = sum;
  });
  double sum = 0;
  for (double part : parts) sum += part;
  return sum;
}

}  // namespace

int64_t SliceSize(int64_t count, int ranks) { return (count + ranks - 1) / ranks; }

ShardedOptimizer::ShardedOptimizer(std::vector<TensorSpec> layout, const OptimizerOptions& options,
                                   const Collective& ranks)
    : layout_(std::move(layout)),
      options_(options),
      slice_size_(SliceSize(WeightCount(layout_), ranks.size())) {
  const int64_t kept = options.zero_stage == 0 ? slice_size_ * ranks.size() : slice_size_;
  if (options.optimizer == Optimizer::kAdamW) first_moments_.resize(kept);
  if (options.optimizer != Optimizer::kSgd) second_moments_.resize(kept);
}

absl::StatusOr<double> ShardedOptimizer::Step(Collective& ranks, double learning_rate,
                                              absl::Span<float> parameters,
                                              absl::Span<double> gradients) {
  const int64_t begin = ranks.rank() * slice_size_;
  ATTUNE_CHECK(static_cast<int64_t>(parameters.size()) == slice_size_ * ranks.size());
  const absl::Span<double> mine = gradients.subspan(begin, slice_size_);
  const bool whole = options_.zero_stage == 0;
  ATTUNE_RETURN_IF_ERROR(whole ? ranks.AllReduceSum(gradients) : ranks.ReduceScatterSum(gradients));
  double squared_norm = SquaredNorm(mine);
  ATTUNE_RETURN_IF_ERROR(ranks.AllReduceSum(absl::MakeSpan(&squared_norm, 1)));
  const double norm = std::sqrt(squared_norm);
  if (!std::isfinite(norm)) {
    return absl::FailedPreconditionError(absl::StrCat("the gradient norm is ", norm));
  }
  // As torch.nn.utils.clip_grad_norm_.
  const bool clips = options_.max_grad_norm > 0;
  const float clip = clips ? std::min(1.0, options_.max_grad_norm / (norm + 1e-6)) : 1.0;
  ++steps_;
  if (whole) {
    Update(0, gradients, clip, learning_rate, parameters);
  } else {
    Update(begin, mine, clip, learning_rate, parameters);
    ATTUNE_RETURN_IF_ERROR(ranks.AllGather(parameters.subspan(begin, slice_size_), parameters));
  }
  ForPieces(static_cast<int64_t>(gradients.size()), kPiece, [&](int64_t first, int64_t end) {
    std::fill(gradients.begin() + first, gradients.begin() + end, 0.0);
  });
  return norm;
}

void ShardedOptimizer::Update(int64_t begin, absl::Span<const double> gradient, float clip,
                              double learning_rate, absl::Span<float> parameters) {
  const bool adam = options_.optimizer == Optimizer::kAdamW;
  const double t = static_cast<double>(steps_);
  const double beginning = adam ? 1 - std::pow(options_.beta1, t) : 1;
  const Scales scales = {
      .beta1 = static_cast<float>(options_.beta1),
      .beta2 = static_cast<float>(adam ? options_.beta2 : kRmspropDecay),
      .keep = 1,
      .weight_decay = 0,
      .step_size = static_cast<float>(learning_rate / beginning),
      .correction = static_cast<float>(std::sqrt(1 - std::pow(options_.beta2, t))),
      .epsilon = static_cast<float>(options_.epsilon),
      .clip = clip};
  const int64_t end = begin + static_cast<int64_t>(gradient.size());
  for (const TensorSpec& spec : layout_) {
    const int64_t first = std::max(begin, spec.offset);
    const int64_t count = std::min(end, spec.offset + spec.size) - first;
    if (count <= 0) continue;
    Scales of = scales;
    if (spec.shape.size() >= 2) {
      of.keep = static_cast<float>(1 - learning_rate * options_.weight_decay);
      of.weight_decay = static_cast<float>(options_.weight_decay);
    }
    ForPieces(count, kPiece, [&](int64_t piece, int64_t piece_end) {
      const int64_t at = first - begin + piece;
      const int64_t size = piece_end - piece;
      float* const parameter = parameters.data() + first + piece;
      switch (options_.optimizer) {
        case Optimizer::kAdamW:
          return AdamW(of, size, gradient.data() + at, first_moments_.data() + at,
                       second_moments_.data() + at, parameter);
        case Optimizer::kRmsprop:
          return Rmsprop(of, size, gradient.data() + at, second_moments_.data() + at, parameter);
        case Optimizer::kSgd:
          return Sgd(of, size, gradient.data() + at, parameter);
      }
    });
  }
}

}  // namespace attune
