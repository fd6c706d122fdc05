#include "model/kernels.h"

#include <cmath>
#include <cstring>

#include "model/kernels_table.h"

namespace attune {
namespace {

const KernelTable& BestKernels() {
  if (CanRun(kAvx512Kernels)) return kAvx512Kernels;
  if (CanRun(kAvx2Kernels)) return kAvx2Kernels;
  return kPortableKernels;
}

const KernelTable& Kernels() {
  static const KernelTable& table = BestKernels();
  return table;
}

}  // namespace

bool CanRun(const KernelTable& table) {
  if (&table == &kAvx512Kernels) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && CanRun(kAvx2Kernels);
  }
  if (&table == &kAvx2Kernels) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  }
  return true;
}

PackedMatrix::PackedMatrix(const float* weight, int64_t n, int64_t k)
    : n_(n), k_(k), panels_((n + kPanelWidth - 1) / kPanelWidth * k * kPanelWidth / 16) {
  float* panels = reinterpret_cast<float*>(panels_.data());
  for (int64_t column = 0; column < n; ++column) {
    float* to = panels + column / kPanelWidth * k * kPanelWidth + column % kPanelWidth;
    for (int64_t i = 0; i < k; ++i) to[i * kPanelWidth] = weight[column * k + i];
  }
}

// The angles are rounded to float as Hugging Face's are: models were trained with those.
RopeTable::RopeTable(int64_t positions, int64_t head_dim, double theta)
    : positions_(positions), half_(head_dim / 2), cos_(positions * half_), sin_(positions * half_) {
  for (int64_t d = 0; d < half_; ++d) {
    const float power = std::pow(theta, static_cast<double>(2 * d) / head_dim);
    const float frequency = 1.0f / power;
    for (int64_t position = 0; position < positions; ++position) {
      const double angle = static_cast<float>(position) * frequency;
      cos_[position * half_ + d] = static_cast<float>(std::cos(angle));
      sin_[position * half_ + d] = static_cast<float>(std::sin(angle));
    }
  }
}

void MatMul(const float* x, int64_t m, const PackedMatrix& w, float* y) {
  Kernels().mat_mul(x, m, w.panels(), w.n(), w.k(), y);
}

void RmsNorm(const float* x, int64_t rows, int64_t dim, const float* weight, float eps, float* y) {
  Kernels().rms_norm(x, rows, dim, weight, eps, y);
}

void ApplyRope(float* x, int64_t heads, int64_t head_dim, const float* cosines,
               const float* sines) {
  Kernels().apply_rope(x, heads, head_dim, cosines, sines);
}

void AttendRow(const float* q, const float* keys, const float* values, int64_t length,
               int64_t stride, int64_t heads, int64_t kv_heads, int64_t head_dim, float* scores,
               float* out) {
  Kernels().attend_row(q, keys, values, length, stride, heads, kv_heads, head_dim, scores, out);
}

void SiluMul(const float* gate, const float* up, int64_t count, float* out) {
  Kernels().silu_mul(gate, up, count, out);
}

float LogSumExp(const float* x, int64_t n) { return Kernels().log_sum_exp(x, n); }

void ScaledExp(const float* x, int64_t n, float shift, float scale, float* y) {
  Kernels().scaled_exp(x, n, shift, scale, y);
}

void AddInto(const float* x, int64_t count, float* y) { Kernels().add_into(x, count, y); }

}  // namespace attune
