#include "model/kernels.h"

#include <cpuid.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "common/check.h"
#include "model/backward_kernels.h"
#include "model/kernels_table.h"
#include "model/kv_cache.h"

namespace attune {
namespace {

bool HasF16c() {  // compilers do not all know its name
  unsigned a, b, c, d;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}

const KernelTable& BestKernels() {
  if (CanRun(kAvx512Bf16Kernels)) return kAvx512Bf16Kernels;
  if (CanRun(kAvx512Kernels)) return kAvx512Kernels;
  if (CanRun(kAvx2Kernels)) return kAvx2Kernels;
  return kPortableKernels;
}

const KernelTable& Kernels() {
  static const KernelTable& table = BestKernels();
  return table;
}

int64_t RoundUp(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

}  // namespace

bool CanRun(const KernelTable& table) {
  if (&table == &kAvx512Bf16Kernels) {
    return __builtin_cpu_supports("avx512bf16") && CanRun(kAvx512Kernels);
  }
  if (&table == &kAvx512Kernels) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && CanRun(kAvx2Kernels);
  }
  if (&table == &kAvx2Kernels) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") && HasF16c();
  }
  return true;
}

void MatMul(const float* x, int64_t m, const PackedMatrix& w, float* y) {
  const PanelRange all = {0, w.panel_count()};
  if (w.products() != Products::kBf16) return MatMulPanels(x, m, w, all, y);
  std::vector<uint32_t> pairs(m * w.pairs());
  RoundPairs(x, m, w.k(), pairs.data());
  MatMulPanels(pairs.data(), m, w, all, y);
}

void MatMulPanels(const void* x, int64_t m, const PackedMatrix& w, PanelRange panels, float* y) {
  const KernelTable& kernels = Kernels();
  const float* const floats = static_cast<const float*>(x);
  switch (w.products()) {
    case Products::kFp32:
      return kernels.mat_mul(floats, m, w.type(), w.panels(), panels, w.n(), w.k(), y);
    case Products::kBf16:
      return kernels.mat_mul_pairs(static_cast<const uint32_t*>(x), m, w.panels(), panels, w.n(),
                                   w.pairs(), y);
    case Products::kInt8:
      break;
  }
  kernels.mat_mul_int8(floats, m, w.panels(), panels, w.n(), w.k(), y);
  const int64_t end = std::min(panels.end * PackedMatrix::kPanelWidth, w.n());
  for (int64_t row = 0; row < m; ++row, y += w.n()) {
    for (int64_t j = panels.begin * PackedMatrix::kPanelWidth; j < end; ++j) y[j] *= w.scales()[j];
  }
}

void RoundPairs(const float* x, int64_t rows, int64_t k, uint32_t* pairs) {
  Kernels().round_pairs(x, rows, k, pairs);
}

void AddBias(const float* bias, int64_t rows, int64_t n, float* y) {
  Kernels().add_bias(bias, rows, n, y);
}

void RmsNorm(const float* x, int64_t rows, int64_t dim, const float* weight, float eps, float* y) {
  Kernels().rms_norm(x, rows, dim, weight, eps, y);
}

void LayerNorm(const float* x, int64_t rows, int64_t dim, const float* weight, const float* bias,
               float eps, float* y) {
  Kernels().layer_norm(x, rows, dim, weight, bias, eps, y);
}

void ApplyRope(float* x, int64_t heads, int64_t head_dim, int64_t half, const float* cosines,
               const float* sines) {
  Kernels().apply_rope(x, heads, head_dim, half, cosines, sines);
}

void StoreKeysAndValues(const KvLayout& layout, int64_t place, const float* k, const float* v,
                        char* keys, char* values) {
  const int64_t dim = layout.head_dim;
  const int64_t width = RoundUp(dim, kValueColumns);
  if (!layout.bf16) {
    float* const key = reinterpret_cast<float*>(keys) + place;
    for (int64_t i = 0; i < layout.kv_heads * dim; ++i) key[i * kPagePositions] = k[i];
    for (int64_t head = 0; head < layout.kv_heads; ++head) {
      float* const row = reinterpret_cast<float*>(values) + (head * kPagePositions + place) * width;
      std::copy_n(v + head * dim, dim, row);
    }
    return;
  }
  const int64_t inputs = (dim + 1) / 2;
  std::vector<uint32_t> rounded(inputs);
  const auto* const halves = reinterpret_cast<const uint16_t*>(rounded.data());
  for (int64_t head = 0; head < layout.kv_heads; ++head) {
    RoundPairs(k + head * dim, 1, dim, rounded.data());
    uint32_t* const key =
        reinterpret_cast<uint32_t*>(keys) + head * inputs * kPagePositions + place;
    for (int64_t i = 0; i < inputs; ++i) key[i * kPagePositions] = rounded[i];
    RoundPairs(v + head * dim, 1, dim, rounded.data());
    uint16_t* const row = reinterpret_cast<uint16_t*>(values) +
                          (head * kPagePositions / 2 + place / 2) * width * 2 + place % 2;
    for (int64_t i = 0; i < dim; ++i) row[2 * i] = halves[i];
  }
}

void AttendRow(const float* q, const char* const* pages, const AttendArguments& arguments,
               float* scratch, float* out) {
  Kernels().attend_row(q, pages, arguments, scratch, out);
}

int64_t AttendScratch(const AttendArguments& arguments) {
  // Scores from the first page on, and pairs of them or of a query.
  const int64_t base = arguments.first / kPagePositions * kPagePositions;
  return 2 * RoundUp(arguments.length - base, kPagePositions) + RoundUp(arguments.head_dim, 32);
}

void Activate(Activation activation, const float* gate, const float* up, int64_t count,
              float* out) {
  const auto run = activation == Activation::kSilu ? Kernels().silu : Kernels().gelu_tanh;
  run(gate, up, count, out);
}

void SoftCap(float cap, int64_t count, float* x) { Kernels().soft_cap(cap, count, x); }

float LogSumExp(const float* x, int64_t n) { return Kernels().log_sum_exp(x, n); }

void ScaledExp(const float* x, int64_t n, float shift, float scale, float* y) {
  Kernels().scaled_exp(x, n, shift, scale, y);
}

void Scale(float factor, int64_t count, float* x) { Kernels().scale(factor, count, x); }

void AddInto(const float* x, int64_t count, float* y) { Kernels().add_into(x, count, y); }

float Max(const float* x, int64_t n) { return Kernels().max(x, n); }

void ScaledExpSums(const float* x, int64_t n, float shift, float scale, float* y, double* sums) {
  Kernels().scaled_exp_sums(x, n, shift, scale, y, sums);
}

float LogSumExpSums(const float* x, int64_t n, float* y, double* sums) {
  return Kernels().log_sum_exp_sums(x, n, y, sums);
}

int64_t SelectAtLeast(const float* x, int64_t n, float bound, int32_t* ids) {
  return Kernels().select_at_least(x, n, bound, ids);
}

void Transpose(const float* x, int64_t rows, int64_t columns, int64_t stride, float* out,
               int64_t out_stride) {
  Kernels().transpose(x, rows, columns, stride, out, out_stride);
}

void InterleavePairs(const float* even, const float* odd, int64_t count, uint32_t* pairs) {
  Kernels().interleave_pairs(even, odd, count, pairs);
}

void AddMatMulPanels(const void* x, int64_t m, const PackedMatrix& w, PanelRange panels, double* y,
                     int64_t stride) {
  if (w.products() == Products::kBf16) {
    return Kernels().add_mat_mul_pairs(static_cast<const uint32_t*>(x), m, w.panels(), panels,
                                       w.n(), w.pairs(), y, stride);
  }
  ATTUNE_CHECK(w.products() == Products::kFp32 && w.type() == TensorType::kF32);
  Kernels().add_mat_mul(static_cast<const float*>(x), m, w.panels(), panels, w.n(), w.k(), y,
                        stride);
}

void RmsNormBackward(const float* x, const float* dy, int64_t rows, int64_t dim,
                     const float* weight, float eps, float* dx, double* dweight) {
  Kernels().rms_norm_backward(x, dy, rows, dim, weight, eps, dx, dweight);
}

void LayerNormBackward(const float* x, const float* dy, int64_t rows, int64_t dim,
                       const float* weight, float eps, float* dx, double* dweight, double* dbias) {
  Kernels().layer_norm_backward(x, dy, rows, dim, weight, eps, dx, dweight, dbias);
}

void ActivateBackward(Activation activation, const float* gate, const float* up, const float* dout,
                      int64_t count, float* dgate, float* dup) {
  const auto run =
      activation == Activation::kSilu ? Kernels().silu_backward : Kernels().gelu_tanh_backward;
  run(gate, up, dout, count, dgate, dup);
}

}  // namespace attune
