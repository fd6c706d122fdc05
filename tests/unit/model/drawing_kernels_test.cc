// The kernels of model/kernels.h that draw tokens.
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <vector>

#include "gtest/gtest.h"
#include "model/kernels.h"
#include "model/kernels_table.h"
#include "tests/unit/model/tiny_model.h"

namespace attune {
namespace {

using Floats = std::vector<float>;
constexpr float kInf = std::numeric_limits<float>::infinity();

// The kernels of drawing on many sizes: floats, and doubles and ids as their bits.
std::vector<uint64_t> RunDrawing(const KernelTable& kernels) {
  std::vector<uint64_t> all;
  for (int64_t size : {1, 7, 8, 15, 16, 17, 255, 256, 257, 1000}) {
    Floats x = RandomFloats(size, 39, 9);
    if (size > 8) x[5] = -kInf;
    Floats y(size);
    std::vector<double> sums((size + kSumBlock - 1) / kSumBlock);
    const auto keep = [&](float number) {
      for (float v : y) all.push_back(std::bit_cast<uint32_t>(v));
      for (double sum : sums) all.push_back(std::bit_cast<uint64_t>(sum));
      all.push_back(std::bit_cast<uint32_t>(number));
    };
    kernels.scaled_exp_sums(x.data(), size, 0.3f, 1.7f, y.data(), sums.data());
    keep(kernels.max(x.data(), size));
    keep(kernels.log_sum_exp_sums(x.data(), size, y.data(), sums.data()));
    for (float bound : {-kInf, -3.0f, x[0], 8.0f, kInf}) {
      std::vector<int32_t> ids(size + kSelectPadding);
      ids.resize(kernels.select_at_least(x.data(), size, bound, ids.data()));
      all.insert(all.end(), ids.begin(), ids.end());
      all.push_back(ids.size());
    }
  }
  return all;
}

TEST(DrawingKernelsTest, EveryInstructionSetGivesTheSameBits) {
  const std::vector<uint64_t> portable = RunDrawing(kPortableKernels);
  for (const KernelTable* kernels : {&kAvx2Kernels, &kAvx512Kernels, &kAvx512Bf16Kernels}) {
    if (!CanRun(*kernels)) {
      std::printf("this machine cannot run the %s kernels\n", kernels->name);
      continue;
    }
    EXPECT_EQ(portable, RunDrawing(*kernels)) << kernels->name;
  }
}

TEST(DrawingKernelsTest, MaxLooksAtEveryValue) {
  for (int64_t n : {1, 15, 16, 17, 300}) {
    for (int64_t at = 0; at < n; ++at) {
      Floats x(n, -2.0f);
      x[at] = -1.5f;
      EXPECT_EQ(-1.5f, Max(x.data(), n)) << at << " of " << n;
    }
  }
}

TEST(DrawingKernelsTest, SumsOfExpAreThoseOfEveryBlock) {
  for (int64_t n : {1, 16, 100, 256, 257, 700}) {
    const Floats x = RandomFloats(n, 40, 5);
    Floats wanted(n), y(n);
    ScaledExp(x.data(), n, 0.5f, 0.7f, wanted.data());
    std::vector<double> sums((n + kSumBlock - 1) / kSumBlock);
    ScaledExpSums(x.data(), n, 0.5f, 0.7f, y.data(), sums.data());
    EXPECT_EQ(wanted, y);
    std::vector<double> wanted_sums(sums.size());
    for (int64_t i = 0; i < n; ++i) wanted_sums[i / kSumBlock] += wanted[i];
    for (size_t b = 0; b < sums.size(); ++b) {
      EXPECT_NEAR(wanted_sums[b], sums[b], 1e-12 * wanted_sums[b]) << b << " of " << n;
    }
    const float max = Max(x.data(), n);
    ScaledExp(x.data(), n, max, 1, wanted.data());
    EXPECT_EQ(LogSumExp(x.data(), n), LogSumExpSums(x.data(), n, y.data(), sums.data()));
    EXPECT_EQ(wanted, y);
  }
}

TEST(DrawingKernelsTest, SelectsTheIdsOfLargeValues) {
  for (int64_t n : {1, 16, 17, 40}) {
    Floats x = RandomFloats(n, 41, 3);
    if (n > 20) x[20] = std::nanf("");
    for (float bound : {-kInf, -1.0f, x[n / 2], kInf}) {
      std::vector<int32_t> wanted;
      for (int64_t i = 0; i < n; ++i) {
        if (x[i] >= bound) wanted.push_back(static_cast<int32_t>(i));
      }
      std::vector<int32_t> ids(n + kSelectPadding);
      ids.resize(SelectAtLeast(x.data(), n, bound, ids.data()));
      EXPECT_EQ(wanted, ids) << bound << " of " << n;
    }
  }
}

}  // namespace
}  // namespace attune
