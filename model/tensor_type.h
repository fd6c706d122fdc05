// The number formats in which weights are stored, and their exact conversions.
#ifndef ATTUNE_MODEL_TENSOR_TYPE_H_
#define ATTUNE_MODEL_TENSOR_TYPE_H_

#include <cstdint>
#include <cstring>

#include "absl/base/casts.h"

namespace attune {

enum class TensorType { kF32, kBf16, kF16 };

inline int64_t BytesOf(TensorType type) { return type == TensorType::kF32 ? 4 : 2; }

inline float FloatOfBf16(uint16_t bits) {
  return absl::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

inline float FloatOfF16(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t exponent = (half >> 10) & 0x1f;
  const uint32_t fraction = half & 0x3ff;
  if (exponent == 0) {  // zero and subnormal: fraction * 2^-24
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return sign != 0 ? -magnitude : magnitude;
  }
  if (exponent == 31) return absl::bit_cast<float>(sign | 0x7f800000 | fraction << 13);
  return absl::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
}

// Rounds to the nearest, ties to even; NaN stays NaN.
inline uint16_t Bf16OfFloat(float value) {
  const uint32_t bits = absl::bit_cast<uint32_t>(value);
  if (value != value) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// Values in memory that somebody else owns. They need no alignment: those of a file have none.
struct TensorView {
  TensorType type;
  const char* bytes;

  float At(int64_t i) const {
    if (type == TensorType::kF32) {
      float value;
      std::memcpy(&value, bytes + 4 * i, 4);
      return value;
    }
    uint16_t bits;
    std::memcpy(&bits, bytes + 2 * i, 2);
    return type == TensorType::kBf16 ? FloatOfBf16(bits) : FloatOfF16(bits);
  }
  TensorView From(int64_t first) const { return {type, bytes + first * BytesOf(type)}; }
  void Read(int64_t count, float* out) const {
    if (type == TensorType::kF32) {
      std::memcpy(out, bytes, static_cast<size_t>(count) * 4);
    } else {
      for (int64_t i = 0; i < count; ++i) out[i] = At(i);
    }
  }
};

inline TensorView ViewOf(const float* values) {
  return {TensorType::kF32, reinterpret_cast<const char*>(values)};
}

}  // namespace attune

#endif  // ATTUNE_MODEL_TENSOR_TYPE_H_
