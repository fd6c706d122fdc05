#include "model/kernels.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "model/kernels_table.h"
#include "model/reference.h"
#include "tests/unit/model/tiny_model.h"

namespace attune {
namespace {

using Floats = std::vector<float>;

reference::Vector ToDouble(absl::Span<const float> x) { return {x.begin(), x.end()}; }

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

struct MatMulShape {
  int64_t n;
  int64_t k;
};
constexpr MatMulShape kShapes[] = {{1, 1}, {7, 3}, {32, 16}, {33, 65}, {64, 172}, {200, 129}};

TEST(MatMulTest, IsCloseToDoublePrecision) {
  for (const auto [n, k] : kShapes) {
    const Floats w = RandomFloats(n * k, 1);
    const Floats x = RandomFloats(11 * k, 2);
    const PackedMatrix packed(w.data(), n, k);
    Floats y(11 * n);
    MatMul(x.data(), 11, packed, y.data());
    for (int64_t row = 0; row < 11; ++row) {
      const auto input = absl::MakeConstSpan(x).subspan(row * k, k);
      ExpectNear(reference::MatVec(w, ToDouble(input)), absl::MakeConstSpan(y).subspan(row * n, n),
                 1e-6 * k);
    }
  }
}

TEST(MatMulTest, NumbersOfARowDoNotDependOnTheOtherRows) {
  for (const auto [n, k] : kShapes) {
    const Floats w = RandomFloats(n * k, 3);
    const Floats x = RandomFloats(140 * k, 4);
    const PackedMatrix packed(w.data(), n, k);
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

TEST(MatMulTest, WritesNothingBesideItsResult) {
  const Floats w = RandomFloats(33 * 5, 5);
  const Floats x = RandomFloats(2 * 5, 6);
  Floats y(2 * 33 + 1, 77.0f);
  MatMul(x.data(), 2, PackedMatrix(w.data(), 33, 5), y.data());
  EXPECT_EQ(77.0f, y.back());
}

// Every kernel of a variant on many shapes, as one long vector.
Floats RunAll(const KernelTable& kernels) {
  Floats all;
  const auto keep = [&](const Floats& y) { all.insert(all.end(), y.begin(), y.end()); };
  for (const auto [n, k] : kShapes) {
    const PackedMatrix w(RandomFloats(n * k, 7).data(), n, k);
    for (int64_t m = 1; m <= 19; ++m) {
      Floats y(m * n);
      kernels.mat_mul(RandomFloats(m * k, 8).data(), m, w.panels(), n, k, y.data());
      keep(y);
    }
  }
  for (int64_t size : {1, 2, 8, 15, 16, 17, 31, 64, 100}) {
    const Floats x = RandomFloats(3 * size, 9, 20);
    const Floats weight = RandomFloats(size, 10);
    Floats y(3 * size);
    kernels.rms_norm(x.data(), 3, size, weight.data(), 1e-5f, y.data());
    keep(y);
    kernels.silu_mul(x.data(), RandomFloats(3 * size, 11).data(), 3 * size, y.data());
    keep(y);
    kernels.scaled_exp(x.data(), 3 * size, 0.3f, 1.7f, y.data());
    keep(y);
    kernels.add_into(x.data(), 3 * size, y.data());
    keep(y);
    keep({kernels.log_sum_exp(x.data(), 3 * size)});
    y = x;
    const Floats angles = RandomFloats(size, 12);
    kernels.apply_rope(y.data(), 1, 2 * size, angles.data(), weight.data());
    keep(y);
  }
  for (int64_t head_dim : {2, 8, 16, 20, 64}) {
    for (int64_t length : {1, 2, 3, 4, 5, 16, 17, 50}) {
      const int64_t stride = 2 * head_dim + 3;
      const Floats q = RandomFloats(6 * head_dim, 13);
      const Floats keys = RandomFloats(length * stride, 14);
      const Floats values = RandomFloats(length * stride, 15);
      Floats scores(length);
      Floats out(6 * head_dim);
      kernels.attend_row(q.data(), keys.data(), values.data(), length, stride, 6, 2, head_dim,
                         scores.data(), out.data());
      keep(out);
    }
  }
  return all;
}

TEST(KernelsTest, EveryInstructionSetGivesTheSameBits) {
  const Floats wanted = RunAll(kPortableKernels);
  for (const KernelTable* kernels : {&kAvx2Kernels, &kAvx512Kernels}) {
    if (!CanRun(*kernels)) {
      std::printf("this machine cannot run the %s kernels\n", kernels->name);
      continue;
    }
    EXPECT_TRUE(SameBits(wanted, RunAll(*kernels))) << kernels->name;
  }
}

TEST(KernelsTest, ExpIsWithinTwoUlp) {
  Floats x, y;
  for (double v = -87.3; v < 88.7; v += 0.001237) x.push_back(static_cast<float>(v));
  y.resize(x.size());
  ScaledExp(x.data(), x.size(), 0, 1, y.data());
  for (size_t i = 0; i < x.size(); ++i) {
    const double wanted = std::exp(static_cast<double>(x[i]));
    const float rounded = static_cast<float>(wanted);
    const double ulp = std::nextafter(rounded, INFINITY) - rounded;
    ASSERT_LE(std::abs(y[i] - wanted), 2 * ulp) << x[i];
  }
}

TEST(KernelsTest, ExpHandlesTheEndsOfItsRange) {
  const float inf = std::numeric_limits<float>::infinity();
  const Floats x = {-inf, -200, -90, 0, 89, inf, std::nanf("")};
  Floats y(x.size());
  ScaledExp(x.data(), x.size(), 0, 1, y.data());
  EXPECT_EQ(0, y[0]);
  EXPECT_EQ(0, y[1]);
  EXPECT_NEAR(std::exp(-90.0), y[2], 1e-44);
  EXPECT_EQ(1, y[3]);
  EXPECT_EQ(inf, y[4]);
  EXPECT_EQ(inf, y[5]);
  EXPECT_TRUE(std::isnan(y[6]));
}

TEST(KernelsTest, LogSumExpIsCloseToDoublePrecision) {
  for (int64_t n : {1, 2, 15, 16, 17, 512, 32000}) {
    const Floats x = RandomFloats(n, 16, 30);
    EXPECT_NEAR(reference::LogSumExp(ToDouble(x)), LogSumExp(x.data(), n), 4e-6) << n;
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
    const Floats x = RandomFloats(2 * dim, 17, 3);
    const Floats weight = RandomFloats(dim, 18);
    Floats y = x;
    RmsNorm(y.data(), 2, dim, weight.data(), 1e-5f, y.data());  // in place
    for (int64_t row = 0; row < 2; ++row) {
      const auto input = absl::MakeConstSpan(x).subspan(row * dim, dim);
      ExpectNear(reference::RmsNorm(ToDouble(input), weight, 1e-5f),
                 absl::MakeConstSpan(y).subspan(row * dim, dim), 1e-6);
    }
  }
}

TEST(KernelsTest, RopeIsCloseToDoublePrecision) {
  const RopeTable table(100, 20, 10000);
  for (int64_t position : {0, 1, 57, 99}) {
    Floats x = RandomFloats(3 * 20, 19);
    reference::Vector wanted = ToDouble(x);
    reference::ApplyRope(position, 20, 10000, &wanted);
    ApplyRope(x.data(), 3, 20, table.cosines(position), table.sines(position));
    ExpectNear(wanted, x, 1e-5);  // the angles are rounded to float, as Hugging Face's are
  }
}

TEST(KernelsTest, AttentionIsCloseToDoublePrecision) {
  const int64_t head_dim = 20, length = 37, kv_width = 2 * head_dim;
  const Floats q = RandomFloats(6 * head_dim, 20, 3);
  const Floats keys = RandomFloats(length * kv_width, 21, 3);
  const Floats values = RandomFloats(length * kv_width, 22);
  std::vector<reference::Vector> key_rows, value_rows;
  for (int64_t t = 0; t < length; ++t) {
    key_rows.push_back(ToDouble(absl::MakeConstSpan(keys).subspan(t * kv_width, kv_width)));
    value_rows.push_back(ToDouble(absl::MakeConstSpan(values).subspan(t * kv_width, kv_width)));
  }
  Floats scores(length), out(6 * head_dim);
  AttendRow(q.data(), keys.data(), values.data(), length, kv_width, 6, 2, head_dim, scores.data(),
            out.data());
  ExpectNear(reference::Attend(ToDouble(q), key_rows, value_rows, head_dim), out, 1e-5);
}

TEST(KernelsTest, SiluMulIsCloseToDoublePrecision) {
  Floats gate = RandomFloats(77, 23, 30);
  const Floats up = RandomFloats(77, 24);
  reference::Vector wanted;
  for (size_t i = 0; i < gate.size(); ++i) {
    const double g = gate[i];
    wanted.push_back(g / (1 + std::exp(-g)) * up[i]);
  }
  SiluMul(gate.data(), up.data(), gate.size(), gate.data());  // in place
  ExpectNear(wanted, gate, 5e-6);
}

}  // namespace
}  // namespace attune
