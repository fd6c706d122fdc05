#include "model/kernels.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "model/kernels_table.h"
#include "tests/unit/model/kernel_reference.h"
#include "tests/unit/model/tiny_model.h"

namespace attune {
namespace {

using Floats = std::vector<float>;
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr TensorType kTypes[] = {TensorType::kF32, TensorType::kBf16, TensorType::kF16};

absl::Span<const float> Row(const Floats& x, int64_t row, int64_t width) {
  return absl::MakeConstSpan(x).subspan(row * width, width);
}

void ExpectNear(const reference::Vector& wanted, absl::Span<const float> actual, double tolerance) {
  ASSERT_EQ(wanted.size(), actual.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    ASSERT_NEAR(wanted[i], actual[i], tolerance) << "element " << i;
  }
}

::testing::AssertionResult SameBits(const Floats& a, const Floats& b) {
  if (a.size() != b.size()) return ::testing::AssertionFailure() << "sizes differ";
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::memcmp(&a[i], &b[i], sizeof(float)) == 0) continue;
    return ::testing::AssertionFailure() << "element " << i << ": " << a[i] << " and " << b[i];
  }
  return ::testing::AssertionSuccess();
}

// |actual - wanted| in steps of the floats around `wanted`.
double UlpsBetween(double wanted, float actual) {
  const float rounded = std::abs(static_cast<float>(wanted));
  return std::abs(actual - wanted) / (std::nextafter(rounded, kInf) - static_cast<double>(rounded));
}

// `values` as a tensor of `type`, one byte off any alignment. They are `values` again when read,
// if `type` can hold them.
class Stored {
 public:
  Stored(const Floats& values, TensorType type) : type_(type), bytes_(1) {
    for (float value : values) {
      const uint16_t half = type == TensorType::kBf16 ? Bf16OfFloat(value) : F16Of(value);
      const char* const from = type == TensorType::kF32 ? reinterpret_cast<const char*>(&value)
                                                        : reinterpret_cast<const char*>(&half);
      bytes_.insert(bytes_.end(), from, from + BytesOf(type));
    }
  }
  TensorView view() const { return {type_, bytes_.data() + 1}; }

 private:
  // Of zero and values that a normal half holds.
  static uint16_t F16Of(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    const uint16_t sign = bits >> 16 & 0x8000;
    const uint16_t magnitude = ((bits & 0x7fffffff) >> 13) - (112 << 10);
    return value == 0 ? sign : sign | magnitude;
  }

  TensorType type_;
  std::vector<char> bytes_;
};

// Multiples of 1/64 in [-2, 2]: all three types hold them.
Floats CoarseFloats(size_t count, uint64_t seed) {
  Floats values = RandomFloats(count, seed, 128);
  for (float& value : values) value = std::round(value) / 64;
  return values;
}

PackedMatrix Pack(const Floats& w, int64_t n, int64_t k) {
  return PackedMatrix(ViewOf(w.data()), {n, k, k, 1}, TensorType::kF32);
}

Floats RowsOf(const PackedMatrix& matrix) {
  Floats rows(matrix.n() * matrix.k());
  for (int64_t j = 0; j < matrix.n(); ++j) matrix.CopyRow(j, &rows[j * matrix.k()]);
  return rows;
}

struct Size {
  int64_t n;
  int64_t k;
};
constexpr Size kSizes[] = {{1, 1},    {7, 3},   {32, 16},   {31, 1},  {33, 65},
                           {64, 172}, {70, 40}, {200, 129}, {96, 600}};

TEST(PackedMatrixTest, HoldsStoredValuesOfEveryType) {
  for (const auto [n, k] : kSizes) {
    const Floats w = CoarseFloats(n * k, 1);
    for (TensorType type : kTypes) {
      const Stored stored(w, type);
      const PackedMatrix packed(stored.view(), {n, k, k, 1}, type);
      EXPECT_TRUE(SameBits(w, RowsOf(packed))) << n << " x " << k;
      EXPECT_TRUE(SameBits(w, RowsOf(PackedMatrix(stored.view(), {n, k, k, 1}, TensorType::kF32))));
    }
  }
}

TEST(PackedMatrixTest, ReadsMatricesStoredAsInputsByOutputs) {
  for (const auto [n, k] : kSizes) {
    const Floats w = CoarseFloats((n + 3) * k, 2);  // [k, n + 3], of which the first n columns
    Floats wanted(n * k);
    for (int64_t j = 0; j < n; ++j) {
      for (int64_t i = 0; i < k; ++i) wanted[j * k + i] = w[i * (n + 3) + j];
    }
    for (TensorType type : kTypes) {
      const Stored stored(w, type);
      EXPECT_TRUE(SameBits(wanted, RowsOf(PackedMatrix(stored.view(), {n, k, 1, n + 3}, type))))
          << n << " x " << k;
    }
  }
}

TEST(PackedMatrixTest, ReadsRowsWithGapsBetween) {
  const int64_t n = 45, k = 37;
  const Floats w = CoarseFloats(n * (k + 5), 3);
  Floats wanted;
  for (int64_t j = 0; j < n; ++j) wanted.insert(wanted.end(), &w[j * (k + 5)], &w[j * (k + 5) + k]);
  const PackedMatrix packed(ViewOf(w.data()), {n, k, k + 5, 1}, TensorType::kF32);
  EXPECT_TRUE(SameBits(wanted, RowsOf(packed)));
}

TEST(PackedMatrixTest, RoundsToBf16WhenAsked) {
  const int64_t n = 45, k = 37;
  Floats w = RandomFloats(n * k, 4);
  w[3] = kInf;
  w[4] = -0.0f;
  w[5] = 3.4e38f;  // rounds to infinity
  Floats wanted;
  for (float value : w) wanted.push_back(FloatOfBf16(Bf16OfFloat(value)));
  for (const MatrixShape& shape : {MatrixShape{n, k, k, 1}, MatrixShape{n * k, 1, 1, 1}}) {
    const PackedMatrix packed(ViewOf(w.data()), shape, TensorType::kBf16);
    EXPECT_EQ(TensorType::kBf16, packed.type());
    EXPECT_TRUE(SameBits(wanted, RowsOf(packed)));
  }
  w[6] = std::nanf("");
  const PackedMatrix packed(ViewOf(w.data()), {n, k, k, 1}, TensorType::kBf16);
  EXPECT_TRUE(std::isnan(RowsOf(packed)[6]));
}

TEST(PackedMatrixTest, RoundsF16ToBf16WhenAsked) {
  std::vector<uint16_t> halves(1 << 16);
  for (size_t i = 0; i < halves.size(); ++i) halves[i] = i;
  const TensorView view = {TensorType::kF16, reinterpret_cast<const char*>(halves.data())};
  const Floats rounded = RowsOf(PackedMatrix(view, {256, 256, 256, 1}, TensorType::kBf16));
  const Floats exact = RowsOf(PackedMatrix(view, {256, 256, 256, 1}, TensorType::kF32));
  for (size_t i = 0; i < halves.size(); ++i) {
    const float value = FloatOfF16(halves[i]);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(rounded[i]) && std::isnan(exact[i]));
    } else {
      EXPECT_EQ(value, exact[i]);
      EXPECT_EQ(FloatOfBf16(Bf16OfFloat(value)), rounded[i]);
    }
  }
}

TEST(PackedMatrixTest, FillsItsLastPanelWithZeros) {
  const int64_t n = 33, k = 5;
  for (TensorType type : kTypes) {
    const Stored stored(Floats(n * k, 1.0f), type);
    const PackedMatrix packed(stored.view(), {n, k, k, 1}, type);
    const TensorView panel = {type, static_cast<const char*>(packed.panels())};
    for (int64_t i = 0; i < k; ++i) {
      for (int64_t lane = 0; lane < 32; ++lane) {
        EXPECT_EQ(lane == 0, panel.At((k + i) * 32 + lane)) << i << " " << lane;
      }
    }
  }
}

TEST(MatMulTest, IsCloseToDoublePrecision) {
  for (const auto [n, k] : kSizes) {
    const Floats w = RandomFloats(n * k, 5);
    const Floats x = RandomFloats(11 * k, 6);
    Floats y(11 * n);
    MatMul(x.data(), 11, Pack(w, n, k), y.data());
    for (int64_t row = 0; row < 11; ++row) {
      ExpectNear(reference::MatVec(w, Row(x, row, k)), Row(y, row, n), 1e-6 * k);
    }
  }
}

TEST(MatMulTest, NumbersOfARowDoNotDependOnTheOtherRows) {
  for (const auto [n, k] : kSizes) {
    for (TensorType type : kTypes) {
      const Stored w(CoarseFloats(n * k, 7), type);
      const Floats x = RandomFloats(140 * k, 8);
      const PackedMatrix packed(w.view(), {n, k, k, 1}, type);
      Floats alone(140 * n);
      for (int64_t row = 0; row < 140; ++row) MatMul(&x[row * k], 1, packed, &alone[row * n]);
      for (int64_t m : {2, 3, 4, 5, 6, 7, 8, 9, 13, 17, 64, 65, 140}) {
        Floats together(m * n);
        MatMul(x.data(), m, packed, together.data());
        EXPECT_TRUE(SameBits(Floats(alone.begin(), alone.begin() + m * n), together))
            << m << " rows, " << n << " x " << k;
      }
    }
  }
}

TEST(MatMulTest, GivesTheSameBitsForEveryTypeThatHoldsTheValues) {
  for (const auto [n, k] : kSizes) {
    const Floats w = CoarseFloats(n * k, 9);
    for (int64_t m : {1, 5, 8, 20, 70}) {
      const Floats x = RandomFloats(m * k, 10);
      Floats wanted(m * n);
      MatMul(x.data(), m, Pack(w, n, k), wanted.data());
      for (TensorType type : {TensorType::kBf16, TensorType::kF16}) {
        const Stored stored(w, type);
        Floats y(m * n);
        MatMul(x.data(), m, PackedMatrix(stored.view(), {n, k, k, 1}, type), y.data());
        EXPECT_TRUE(SameBits(wanted, y)) << m << " rows, " << n << " x " << k;
      }
    }
  }
}

TEST(MatMulTest, OfBf16IsTheSumOfRoundedProducts) {
  for (const auto [n, k] : kSizes) {
    const Floats w = RandomFloats(n * k, 42);
    const PackedMatrix packed(ViewOf(w.data()), {n, k, k, 1}, TensorType::kBf16, Products::kBf16);
    EXPECT_TRUE(SameBits(RowsOf(PackedMatrix(ViewOf(w.data()), {n, k, k, 1}, TensorType::kBf16)),
                         RowsOf(packed)));
    const Floats x = RandomFloats(140 * k, 43);
    Floats alone(140 * n);
    for (int64_t row = 0; row < 140; ++row) {
      MatMul(&x[row * k], 1, packed, &alone[row * n]);
      const absl::Span<const float> inputs = Row(x, row, k);
      Floats rounded(inputs.begin(), inputs.end());
      for (float& value : rounded) value = FloatOfBf16(Bf16OfFloat(value));
      ExpectNear(reference::MatVec(RowsOf(packed), rounded), Row(alone, row, n), 1e-6 * k);
    }
    for (int64_t m : {2, 3, 4, 5, 6, 7, 8, 9, 13, 17, 64, 65, 140}) {
      Floats together(m * n);
      MatMul(x.data(), m, packed, together.data());
      EXPECT_TRUE(SameBits(Floats(alone.begin(), alone.begin() + m * n), together))
          << m << " rows, " << n << " x " << k;
    }
  }
}

TEST(MatMulTest, PanelsTogetherAreTheWhole) {
  const int64_t n = 100, k = 7, m = 9;
  const Floats w = RandomFloats(n * k, 44);
  const Floats x = RandomFloats(m * k, 45);
  Floats whole(m * n), parts(m * n);
  MatMul(x.data(), m, Pack(w, n, k), whole.data());
  for (int64_t panel : {3, 0, 2, 1}) {
    MatMulPanels(x.data(), m, Pack(w, n, k), {panel, panel + 1}, parts.data());
  }
  EXPECT_TRUE(SameBits(whole, parts));
}

TEST(MatMulTest, WritesNothingBesideItsResult) {
  const Floats w = RandomFloats(33 * 5, 11);
  for (int64_t m : {2, 20}) {
    const Floats x = RandomFloats(m * 5, 12);
    Floats y(m * 33 + 1, 77.0f);
    MatMul(x.data(), m, Pack(w, 33, 5), y.data());
    EXPECT_EQ(77.0f, y.back());
  }
}

// Every product of a variant, as one long vector.
Floats RunMatMul(const KernelTable& kernels) {
  Floats all;
  for (const auto [n, k] : kSizes) {
    for (TensorType type : kTypes) {
      const Stored stored(CoarseFloats(n * k, 13), type);
      const PackedMatrix w(stored.view(), {n, k, k, 1}, type);
      for (int64_t m = 1; m <= 19; ++m) {
        Floats y(m * n);
        kernels.mat_mul(RandomFloats(m * k, 14).data(), m, type, w.panels(), {0, w.panel_count()},
                        n, k, y.data());
        all.insert(all.end(), y.begin(), y.end());
      }
    }
  }
  return all;
}

// Every value of 16 bits but NaN, taken from panels by a variant.
Floats ReadAllHalves(const KernelTable& kernels, TensorType type) {
  std::vector<uint16_t> halves;
  for (int i = 0; i < 1 << 16; ++i) {
    const uint16_t bits = i;
    const TensorView view = {type, reinterpret_cast<const char*>(&bits)};
    if (!std::isnan(view.At(0))) halves.push_back(bits);
  }
  const int64_t n = halves.size();
  const TensorView view = {type, reinterpret_cast<const char*>(halves.data())};
  const PackedMatrix w(view, {n, 1, 1, 1}, type);
  const float one = 1;
  Floats y(n), wanted(n);
  kernels.mat_mul(&one, 1, type, w.panels(), {0, w.panel_count()}, n, 1, y.data());
  for (int64_t i = 0; i < n; ++i) wanted[i] = view.At(i);
  for (int64_t i = 0; i < n; ++i) EXPECT_EQ(wanted[i], y[i]) << halves[i];
  return y;
}

// Every kernel on rows of a variant on many sizes, as one long vector.
Floats RunRowKernels(const KernelTable& kernels) {
  Floats all;
  const auto keep = [&](const Floats& y) { all.insert(all.end(), y.begin(), y.end()); };
  for (int64_t size : {1, 2, 8, 15, 16, 17, 31, 64, 100}) {
    const Floats x = RandomFloats(3 * size, 15, 20);
    const Floats up = RandomFloats(3 * size, 16);
    const Floats weight = RandomFloats(size, 17);
    const Floats bias = RandomFloats(size, 18);
    Floats y(3 * size);
    kernels.rms_norm(x.data(), 3, size, weight.data(), 1e-5f, y.data());
    keep(y);
    kernels.layer_norm(x.data(), 3, size, weight.data(), bias.data(), 1e-5f, y.data());
    keep(y);
    for (auto activate : {kernels.silu, kernels.gelu_tanh}) {
      activate(x.data(), up.data(), 3 * size, y.data());
      keep(y);
      activate(x.data(), nullptr, 3 * size, y.data());
      keep(y);
    }
    kernels.scaled_exp(x.data(), 3 * size, 0.3f, 1.7f, y.data());
    keep(y);
    kernels.add_into(x.data(), 3 * size, y.data());
    kernels.add_bias(bias.data(), 3, size, y.data());
    kernels.scale(0.7f, 3 * size, y.data());
    keep(y);
    keep({kernels.log_sum_exp(x.data(), 3 * size)});
    y = x;
    kernels.soft_cap(3, 3 * size, y.data());
    keep(y);
    y = RandomFloats(3 * 2 * size, 19);
    kernels.apply_rope(y.data(), 3, 2 * size, size, bias.data(), weight.data());
    kernels.apply_rope(y.data(), 3, 2 * size, size / 2, bias.data(), weight.data());
    keep(y);
  }
  return all;
}

// Products of bf16 of a variant, roundings included, as one long vector.
Floats RunPairs(const KernelTable& kernels) {
  Floats all;
  for (const auto [n, k] : kSizes) {
    const Floats weights = RandomFloats(n * k, 40);
    const PackedMatrix w(ViewOf(weights.data()), {n, k, k, 1}, TensorType::kBf16, Products::kBf16);
    for (int64_t m = 1; m <= 19; ++m) {
      Floats x = RandomFloats(m * k, 41);
      x[m * k / 2] = 1e-39f;  // too small for bf16 as processors multiply it
      std::vector<uint32_t> pairs(m * w.pairs());
      kernels.round_pairs(x.data(), m, k, pairs.data());
      Floats y(m * n);
      kernels.mat_mul_pairs(pairs.data(), m, w.panels(), {0, w.panel_count()}, n, w.pairs(),
                            y.data());
      all.insert(all.end(), y.begin(), y.end());
    }
  }
  return all;
}

TEST(KernelsTest, EveryInstructionSetGivesTheSameBits) {
  const Floats products = RunMatMul(kPortableKernels);
  const Floats f16 = ReadAllHalves(kPortableKernels, TensorType::kF16);
  const Floats bf16 = ReadAllHalves(kPortableKernels, TensorType::kBf16);
  const Floats rows = RunRowKernels(kPortableKernels);
  const Floats pairs = RunPairs(kPortableKernels);
  for (const KernelTable* kernels : {&kAvx2Kernels, &kAvx512Kernels, &kAvx512Bf16Kernels}) {
    if (!CanRun(*kernels)) {
      std::printf("this machine cannot run the %s kernels\n", kernels->name);
      continue;
    }
    EXPECT_TRUE(SameBits(products, RunMatMul(*kernels))) << kernels->name;
    EXPECT_TRUE(SameBits(f16, ReadAllHalves(*kernels, TensorType::kF16))) << kernels->name;
    EXPECT_TRUE(SameBits(bf16, ReadAllHalves(*kernels, TensorType::kBf16))) << kernels->name;
    EXPECT_TRUE(SameBits(rows, RunRowKernels(*kernels))) << kernels->name;
    EXPECT_TRUE(SameBits(pairs, RunPairs(*kernels))) << kernels->name;
  }
}

TEST(KernelsTest, ExpIsWithinTwoUlp) {
  Floats x;
  for (double v = -87.3; v < 88.7; v += 0.001237) x.push_back(static_cast<float>(v));
  Floats y(x.size());
  ScaledExp(x.data(), x.size(), 0, 1, y.data());
  for (size_t i = 0; i < x.size(); ++i) {
    ASSERT_LE(UlpsBetween(std::exp(static_cast<double>(x[i])), y[i]), 2) << x[i];
  }
}

TEST(KernelsTest, ExpHandlesTheEndsOfItsRange) {
  const Floats x = {-kInf, -200, -90, 0, 89, kInf, std::nanf("")};
  Floats y(x.size());
  ScaledExp(x.data(), x.size(), 0, 1, y.data());
  EXPECT_EQ(0, y[0]);
  EXPECT_EQ(0, y[1]);
  EXPECT_NEAR(std::exp(-90.0), y[2], 1e-44);
  EXPECT_EQ(1, y[3]);
  EXPECT_EQ(kInf, y[4]);
  EXPECT_EQ(kInf, y[5]);
  EXPECT_TRUE(std::isnan(y[6]));
}

TEST(KernelsTest, LogSumExpIsCloseToDoublePrecision) {
  for (int64_t n : {1, 2, 15, 16, 17, 512, 32000}) {
    const Floats x = RandomFloats(n, 23, 30);
    EXPECT_NEAR(reference::LogSumExp(x), LogSumExp(x.data(), n), 4e-6) << n;
  }
  const Floats big = {1000, 1000};
  EXPECT_NEAR(1000 + std::log(2), LogSumExp(big.data(), 2), 1e-4);
}

TEST(KernelsTest, LogSumExpOfNanIsNan) {
  Floats x(40, 1.0f);
  x[37] = std::nanf("");
  EXPECT_TRUE(std::isnan(LogSumExp(x.data(), x.size())));
}

TEST(KernelsTest, RmsNormIsCloseToDoublePrecision) {
  for (int64_t dim : {1, 8, 48, 100}) {
    const Floats x = RandomFloats(2 * dim, 24, 3);
    const Floats weight = RandomFloats(dim, 25);
    Floats y = x;
    RmsNorm(y.data(), 2, dim, weight.data(), 1e-5f, y.data());  // in place
    for (int64_t row = 0; row < 2; ++row) {
      ExpectNear(reference::RmsNorm(Row(x, row, dim), weight, 1e-5f), Row(y, row, dim), 1e-6);
    }
  }
}

TEST(KernelsTest, LayerNormIsCloseToDoublePrecision) {
  for (int64_t dim : {1, 8, 48, 100}) {
    Floats x = RandomFloats(2 * dim, 26, 3);
    for (float& value : x) value += 50;  // a mean that would swamp a one-pass variance
    const Floats weight = RandomFloats(dim, 27);
    const Floats bias = RandomFloats(dim, 28);
    Floats y = x;
    LayerNorm(y.data(), 2, dim, weight.data(), bias.data(), 1e-5f, y.data());  // in place
    for (int64_t row = 0; row < 2; ++row) {
      ExpectNear(reference::LayerNorm(Row(x, row, dim), weight, bias, 1e-5f), Row(y, row, dim),
                 2e-5);
    }
  }
}

TEST(KernelsTest, RopeIsCloseToDoublePrecision) {
  for (int64_t half : {1, 6, 10}) {  // of heads of 20: the rest stays
    const Floats x = RandomFloats(3 * 20, 29);
    const Floats cosines = RandomFloats(half, 30);
    const Floats sines = RandomFloats(half, 31);
    Floats y = x;
    ApplyRope(y.data(), 3, 20, half, cosines.data(), sines.data());
    ExpectNear(reference::ApplyRope(x, 20, cosines, sines), y, 1e-6);
    for (int64_t i = 0; i < 3 * 20; ++i) {
      if (i % 20 < 2 * half) continue;
      EXPECT_EQ(x[i], y[i]) << half;
    }
  }
}

TEST(KernelsTest, ActivationsAreCloseToDoublePrecision) {
  const Floats gate = RandomFloats(77, 35, 30);
  const Floats up = RandomFloats(77, 36);
  for (Activation activation : {Activation::kSilu, Activation::kGeluTanh}) {
    const auto formula = activation == Activation::kSilu ? reference::Silu : reference::GeluTanh;
    reference::Vector wanted, gated;
    for (size_t i = 0; i < gate.size(); ++i) {
      wanted.push_back(formula(gate[i]));
      gated.push_back(formula(gate[i]) * up[i]);
    }
    Floats y = gate;
    Activate(activation, y.data(), up.data(), y.size(), y.data());  // in place
    ExpectNear(gated, y, 5e-6);
    y = up;
    Activate(activation, gate.data(), y.data(), y.size(), y.data());  // in the other's place
    ExpectNear(gated, y, 5e-6);
    Activate(activation, gate.data(), nullptr, y.size(), y.data());
    ExpectNear(wanted, y, 5e-6);
  }
}

TEST(KernelsTest, ActivationsGoToZeroAndToTheIdentity) {
  for (Activation activation : {Activation::kSilu, Activation::kGeluTanh}) {
    const Floats z = {-1e30f, -200, 0, 200, 1e30f};
    Floats y(z.size());
    Activate(activation, z.data(), nullptr, z.size(), y.data());
    EXPECT_EQ((Floats{0, 0, 0, 200, 1e30f}), y);
  }
}

TEST(KernelsTest, SoftCapIsWithinTwoUlpOfTanh) {
  Floats x;
  for (double v = 1e-30; v < 20; v *= 1.0003) x.push_back(static_cast<float>(v));
  for (double v = -2; v < 2; v += 0.000123) x.push_back(static_cast<float>(v));
  Floats y = x;
  SoftCap(1, y.size(), y.data());
  for (size_t i = 0; i < x.size(); ++i) {
    ASSERT_LE(UlpsBetween(std::tanh(static_cast<double>(x[i])), y[i]), 2) << x[i];
  }
}

TEST(KernelsTest, SoftCapBoundsItsValues) {
  const Floats x = {-kInf, -1e30f, -30, 0, 1e-3f, 20, 100, kInf, std::nanf("")};
  Floats y = x;
  SoftCap(30, y.size(), y.data());
  for (size_t i = 1; i < 7; ++i) {
    EXPECT_NEAR(reference::SoftCap(30, x[i]), y[i], std::abs(x[i]) * 3e-7) << x[i];
  }
  EXPECT_EQ(-30, y[0]);
  EXPECT_EQ(30, y[7]);
  EXPECT_TRUE(std::isnan(y[8]));
}

TEST(KernelsTest, AddsAndScalesElements) {
  for (int64_t n : {1, 16, 21}) {
    const Floats bias = RandomFloats(n, 37);
    const Floats x = RandomFloats(3 * n, 38);
    Floats y = x;
    AddBias(bias.data(), 3, n, y.data());
    for (int64_t i = 0; i < 3 * n; ++i) EXPECT_EQ(x[i] + bias[i % n], y[i]);
    y = x;
    AddInto(x.data(), 3 * n, y.data());
    for (int64_t i = 0; i < 3 * n; ++i) EXPECT_EQ(x[i] + x[i], y[i]);
    y = x;
    Scale(0.3f, 3 * n, y.data());
    for (int64_t i = 0; i < 3 * n; ++i) EXPECT_EQ(0.3f * x[i], y[i]);
  }
}

}  // namespace
}  // namespace attune
