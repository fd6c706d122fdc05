#include "model/packed_matrix.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "common/check.h"
#include "model/backward_kernels.h"
#include "model/kernels.h"

namespace attune {
namespace {

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

// The same of floats and exact, and of floats rounded to pairs, where one of the strides is 1.
void PackFloats(const float* weight, int64_t rows, const MatrixShape& shape, float* panel) {
  if (shape.column_stride == 1) {
    return Transpose(weight, rows, shape.k, shape.row_stride, panel, kPanelWidth);
  }
  for (int64_t i = 0; i < shape.k; ++i) {
    std::copy_n(weight + i * shape.column_stride, rows, panel + i * kPanelWidth);
  }
}

void PackPairs(const float* weight, int64_t rows, const MatrixShape& shape, uint32_t* panel) {
  if (shape.column_stride != 1) {
    for (int64_t i = 0; i < shape.k; i += 2, panel += kPanelWidth) {
      const float* const even = weight + i * shape.column_stride;
      InterleavePairs(even, i + 1 < shape.k ? even + shape.column_stride : nullptr, rows, panel);
    }
    return;
  }
  constexpr int64_t kInputs = 256;  // at a time
  std::array<uint32_t, kPanelWidth * kInputs / 2> pairs;
  for (int64_t begin = 0; begin < shape.k; begin += kInputs) {
    const int64_t inputs = std::min(kInputs, shape.k - begin);
    for (int64_t row = 0; row < rows; ++row) {
      RoundPairs(weight + row * shape.row_stride + begin, 1, inputs,
                 pairs.data() + row * kInputs / 2);
    }
    Transpose(reinterpret_cast<const float*>(pairs.data()), rows, (inputs + 1) / 2, kInputs / 2,
              reinterpret_cast<float*>(panel + begin / 2 * kPanelWidth), kPanelWidth);
  }
}

// Of what is stored, [n, k] with a unit stride, as floats.
struct Floats {
  std::vector<float> values;
  MatrixShape shape;
};
Floats FloatsOf(TensorView weight, int64_t rows, const MatrixShape& shape) {
  Floats floats = {std::vector<float>(rows * shape.k), {rows, shape.k, shape.k, 1}};
  for (int64_t j = 0; j < rows; ++j) {
    const TensorView from = weight.From(j * shape.row_stride);
    float* const row = floats.values.data() + j * shape.k;
    if (shape.column_stride == 1) {
      from.Read(shape.k, row);
    } else {
      for (int64_t i = 0; i < shape.k; ++i) row[i] = from.At(i * shape.column_stride);
    }
  }
  return floats;
}

// A panel of PackedMatrix::type() = `type`, of what is stored.
void PackValues(TensorView weight, int64_t rows, const MatrixShape& shape, TensorType type,
                char* panel) {
  auto* const floats = reinterpret_cast<float*>(panel);
  auto* const halves = reinterpret_cast<uint16_t*>(panel);
  const auto same = [](auto value) { return value; };
  const auto round = [](float value) { return Bf16OfFloat(value); };
  const auto bf16_value = [](uint16_t bits) { return FloatOfBf16(bits); };
  const auto f16_value = [](uint16_t bits) { return FloatOfF16(bits); };
  const auto f16_round = [](uint16_t bits) { return Bf16OfFloat(FloatOfF16(bits)); };
  ATTUNE_CHECK(type == weight.type || type != TensorType::kF16);
  if (type == weight.type && type == TensorType::kF32) {
    PackPanel<float>(weight.bytes, rows, shape, same, floats);
  } else if (type == weight.type) {
    PackPanel<uint16_t>(weight.bytes, rows, shape, same, halves);
  } else if (weight.type == TensorType::kF32) {
    PackPanel<float>(weight.bytes, rows, shape, round, halves);
  } else if (type == TensorType::kBf16) {
    PackPanel<uint16_t>(weight.bytes, rows, shape, f16_round, halves);
  } else if (weight.type == TensorType::kBf16) {
    PackPanel<uint16_t>(weight.bytes, rows, shape, bf16_value, floats);
  } else {
    PackPanel<uint16_t>(weight.bytes, rows, shape, f16_value, floats);
  }
}

bool HasUnitStride(const MatrixShape& shape) {
  return shape.column_stride == 1 || shape.row_stride == 1;
}

}  // namespace

PackedMatrix::PackedMatrix(int64_t n, int64_t k, TensorType type, Products products)
    : n_(n), k_(k), type_(type), products_(products) {
  ATTUNE_CHECK(products != Products::kInt8);
  ATTUNE_CHECK(products == Products::kFp32 || type == TensorType::kBf16);
  panels_.resize(panel_count() * panel_bytes() / sizeof(CacheLine));
}

PackedMatrix::PackedMatrix(TensorView weight, const MatrixShape& shape, TensorType type,
                           Products products)
    : PackedMatrix(shape.n, shape.k, type, products) {
  FillPanels(weight, shape, {0, panel_count()});
}

void PackedMatrix::FillPanels(TensorView weight, const MatrixShape& shape, PanelRange range) {
  ATTUNE_CHECK(shape.n == n_ && shape.k == k_);
  for (int64_t p = range.begin; p < range.end; ++p) {
    const TensorView from = weight.From(p * kPanelWidth * shape.row_stride);
    const int64_t rows = std::min(kPanelWidth, n_ - p * kPanelWidth);
    char* const panel = reinterpret_cast<char*>(panels_.data()) + p * panel_bytes();
    const bool fast = from.type == TensorType::kF32 && HasUnitStride(shape);
    const auto* const floats = reinterpret_cast<const float*>(from.bytes);
    if (products_ == Products::kBf16) {
      auto* const pairs = reinterpret_cast<uint32_t*>(panel);
      if (fast) {
        PackPairs(floats, rows, shape, pairs);
      } else {
        const Floats read = FloatsOf(from, rows, shape);
        PackPairs(read.values.data(), rows, read.shape, pairs);
      }
    } else if (fast && type_ == TensorType::kF32) {
      PackFloats(floats, rows, shape, reinterpret_cast<float*>(panel));
    } else {
      PackValues(from, rows, shape, type_, panel);
    }
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

}  // namespace attune
