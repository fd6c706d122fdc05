#include "model/kernels.h"

#include <cpuid.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "common/check.h"
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

constexpr int64_t kPanelWidth = PackedMatrix::kPanelWidth;
constexpr int64_t kPackedInputs = 16;  // values of a row read at once: a cache line of floats

// Up to kPanelWidth rows from `weight` on, of stored values From, become a panel of To: some inputs
// of all rows at a time, so that both sides stay in the cache.
template <class From, class To, class Convert>
void PackPanel(const char* weight, int64_t rows, const MatrixShape& shape, Convert convert,
               To* panel) {
  for (int64_t begin = 0; begin < shape.k; begin += kPackedInputs) {
    const int64_t count = std::min(kPackedInputs, shape.k - begin);
    for (int64_t lane = 0; lane < rows; ++lane) {
      const char* const from =
          weight + (lane * shape.row_stride + begin * shape.column_stride) * sizeof(From);
      To* const to = panel + begin * kPanelWidth + lane;
      for (int64_t i = 0; i < count; ++i) {
        From value;
        std::memcpy(&value, from + i * shape.column_stride * sizeof(From), sizeof(From));
        to[i * kPanelWidth] = convert(value);
      }
    }
  }
}

template <class From, class To, class Convert>
void Pack(const char* weight, const MatrixShape& shape, Convert convert, To* panels) {
  for (int64_t first = 0; first < shape.n; first += kPanelWidth) {
    PackPanel<From>(weight + first * shape.row_stride * sizeof(From),
                    std::min(kPanelWidth, shape.n - first), shape, convert,
                    panels + first * shape.k);
  }
}

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

PackedMatrix::PackedMatrix(TensorView weight, const MatrixShape& shape, TensorType type,
                           Products products)
    : PackedMatrix() {
  if (products == Products::kFp32) {
    *this = PackedMatrix(weight, shape, type);
    return;
  }
  ATTUNE_CHECK(type == TensorType::kBf16);
  n_ = shape.n;
  k_ = shape.k;
  type_ = type;
  products_ = products;
  const int64_t pairs_of_panel = pairs() * kPanelWidth;
  panels_.resize(panel_count() * pairs_of_panel * sizeof(uint32_t) / sizeof(CacheLine));
  uint32_t* const out = reinterpret_cast<uint32_t*>(panels_.data());
  std::vector<float> row(k_);
  std::vector<uint32_t> rounded(pairs());
  for (int64_t j = 0; j < n_; ++j) {
    const TensorView from = weight.From(j * shape.row_stride);
    if (shape.column_stride == 1) {
      from.Read(k_, row.data());
    } else {
      for (int64_t i = 0; i < k_; ++i) row[i] = from.At(i * shape.column_stride);
    }
    RoundPairs(row.data(), 1, k_, rounded.data());
    uint32_t* const lane = out + j / kPanelWidth * pairs_of_panel + j % kPanelWidth;
    for (int64_t i = 0; i < pairs(); ++i) lane[i * kPanelWidth] = rounded[i];
  }
}

PackedMatrix::PackedMatrix(TensorView weight, const MatrixShape& shape, TensorType type)
    : n_(shape.n),
      k_(shape.k),
      type_(type),
      panels_((n_ + kPanelWidth - 1) / kPanelWidth * k_ * kPanelWidth * BytesOf(type) /
              sizeof(CacheLine)) {
  float* const floats = reinterpret_cast<float*>(panels_.data());
  uint16_t* const halves = reinterpret_cast<uint16_t*>(panels_.data());
  const char* const from = weight.bytes;
  const auto same = [](auto value) { return value; };
  const auto round = [](float value) { return Bf16OfFloat(value); };
  const auto bf16_value = [](uint16_t bits) { return FloatOfBf16(bits); };
  const auto f16_value = [](uint16_t bits) { return FloatOfF16(bits); };
  const auto f16_round = [](uint16_t bits) { return Bf16OfFloat(FloatOfF16(bits)); };
  ATTUNE_CHECK(type == weight.type || type != TensorType::kF16);
  if (type == weight.type && type == TensorType::kF32) {
    Pack<float>(from, shape, same, floats);
  } else if (type == weight.type) {
    Pack<uint16_t>(from, shape, same, halves);
  } else if (weight.type == TensorType::kF32) {
    Pack<float>(from, shape, round, halves);
  } else if (type == TensorType::kBf16) {
    Pack<uint16_t>(from, shape, f16_round, halves);
  } else if (weight.type == TensorType::kBf16) {
    Pack<uint16_t>(from, shape, bf16_value, floats);
  } else {
    Pack<uint16_t>(from, shape, f16_value, floats);
  }
}

PackedMatrix PackedMatrix::Quantized() const {
  PackedMatrix to;
  to.n_ = n_;
  to.k_ = k_;
  to.products_ = Products::kInt8;
  to.panels_.resize(panel_count() * k_ * kPanelWidth / sizeof(CacheLine) + 1);
  to.scales_.resize(n_);
  int8_t* const out = reinterpret_cast<int8_t*>(to.panels_.data());
  std::vector<float> row(k_);
  for (int64_t j = 0; j < n_; ++j) {
    CopyRow(j, row.data());
    float largest = 0;
    for (float value : row) largest = std::max(largest, std::abs(value));
    to.scales_[j] = largest / 127;
    const float inverse = largest > 0 ? 127 / largest : 0;
    int8_t* const lane = out + j / kPanelWidth * k_ * kPanelWidth + j % kPanelWidth;
    for (int64_t i = 0; i < k_; ++i) {
      lane[i * kPanelWidth] = static_cast<int8_t>(std::lrintf(row[i] * inverse));
    }
  }
  return to;
}

void PackedMatrix::CopyRow(int64_t j, float* out) const {
  if (products_ == Products::kInt8) {
    const int8_t* const lane = reinterpret_cast<const int8_t*>(panels_.data()) +
                               j / kPanelWidth * k_ * kPanelWidth + j % kPanelWidth;
    for (int64_t i = 0; i < k_; ++i) out[i] = scales_[j] * lane[i * kPanelWidth];
    return;
  }
  if (products_ == Products::kBf16) {
    const uint32_t* const lane = reinterpret_cast<const uint32_t*>(panels_.data()) +
                                 j / kPanelWidth * pairs() * kPanelWidth + j % kPanelWidth;
    for (int64_t i = 0; i < k_; ++i) {
      out[i] = FloatOfBf16(static_cast<uint16_t>(lane[i / 2 * kPanelWidth] >> (i % 2 * 16)));
    }
    return;
  }
  const TensorView panels = {type_, reinterpret_cast<const char*>(panels_.data())};
  const TensorView row = panels.From(j / kPanelWidth * k_ * kPanelWidth + j % kPanelWidth);
  for (int64_t i = 0; i < k_; ++i) out[i] = row.At(i * kPanelWidth);
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

}  // namespace attune
