// The kernels of model/kernels.h again, in double precision and the plainest form: what tests
// compare the fast ones with.
#ifndef ATTUNE_TESTS_UNIT_MODEL_KERNEL_REFERENCE_H_
#define ATTUNE_TESTS_UNIT_MODEL_KERNEL_REFERENCE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "model/kernels.h"

namespace attune::reference {

using Vector = std::vector<double>;

// W x, W [n, k] row-major.
inline Vector MatVec(absl::Span<const float> w, absl::Span<const float> x) {
  Vector y(w.size() / x.size());
  for (size_t j = 0; j < y.size(); ++j) {
    for (size_t i = 0; i < x.size(); ++i) y[j] += static_cast<double>(w[j * x.size() + i]) * x[i];
  }
  return y;
}

inline Vector RmsNorm(absl::Span<const float> x, absl::Span<const float> weight, double eps) {
  double squares = 0;
  for (double v : x) squares += v * v;
  const double scale = 1 / std::sqrt(squares / static_cast<double>(x.size()) + eps);
  Vector y(x.size());
  for (size_t i = 0; i < x.size(); ++i) y[i] = x[i] * scale * weight[i];
  return y;
}

inline Vector LayerNorm(absl::Span<const float> x, absl::Span<const float> weight,
                        absl::Span<const float> bias, double eps) {
  const double size = static_cast<double>(x.size());
  double mean = 0;
  for (double v : x) mean += v / size;
  double variance = 0;
  for (double v : x) variance += (v - mean) * (v - mean) / size;
  Vector y(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    y[i] = (x[i] - mean) / std::sqrt(variance + eps) * weight[i] + bias[i];
  }
  return y;
}

// x [heads, head_dim]; cosines.size() pairs of a head turn.
inline Vector ApplyRope(absl::Span<const float> x, int64_t head_dim,
                        absl::Span<const float> cosines, absl::Span<const float> sines) {
  const size_t half = cosines.size();
  Vector y(x.begin(), x.end());
  for (size_t head = 0; head < x.size(); head += head_dim) {
    for (size_t d = 0; d < half; ++d) {
      const double a = x[head + d];
      const double b = x[head + d + half];
      y[head + d] = a * cosines[d] - b * sines[d];
      y[head + d + half] = b * cosines[d] + a * sines[d];
    }
  }
  return y;
}

inline double SoftCap(double cap, double x) { return cap * std::tanh(x / cap); }

// keys and values: `length` rows of `stride` floats.
inline Vector Attend(absl::Span<const float> q, absl::Span<const float> keys,
                     absl::Span<const float> values, int64_t length, int64_t stride,
                     const AttendArguments& shape) {
  const int64_t group = shape.heads / shape.kv_heads;
  Vector out(q.size());
  for (int64_t head = 0; head < shape.heads; ++head) {
    const int64_t kv = head / group * shape.head_dim;
    Vector weights(length);
    double sum = 0;
    for (int64_t t = 0; t < length; ++t) {
      double score = 0;
      for (int64_t d = 0; d < shape.head_dim; ++d) {
        score += static_cast<double>(q[head * shape.head_dim + d]) * keys[t * stride + kv + d];
      }
      score *= shape.scale;
      if (shape.softcap > 0) score = SoftCap(shape.softcap, score);
      weights[t] = std::exp(score);
      sum += weights[t];
    }
    for (int64_t t = 0; t < length; ++t) {
      for (int64_t d = 0; d < shape.head_dim; ++d) {
        out[head * shape.head_dim + d] += weights[t] / sum * values[t * stride + kv + d];
      }
    }
  }
  return out;
}

inline double Silu(double z) { return z / (1 + std::exp(-z)); }

inline double GeluTanh(double z) {
  return 0.5 * z * (1 + std::tanh(std::sqrt(2 / M_PI) * (z + 0.044715 * z * z * z)));
}

inline double LogSumExp(absl::Span<const float> x) {
  const double max = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (double v : x) sum += std::exp(v - max);
  return max + std::log(sum);
}

}  // namespace attune::reference

#endif  // ATTUNE_TESTS_UNIT_MODEL_KERNEL_REFERENCE_H_
