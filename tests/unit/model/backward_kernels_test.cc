// The backward kernels against their definitions in double precision, and their variants against
// each other bit for bit.
#include "model/backward_kernels.h"

#include <cmath>
#include <random>
#include <tuple>
#include <vector>

#include "gtest/gtest.h"
#include "model/kernels_table.h"

namespace attune {
namespace {

using Floats = std::vector<float>;
using Doubles = std::vector<double>;

Floats RandomFloats(int64_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  Floats values(count);
  for (float& value : values) value = normal(random);
  return values;
}

const KernelTable* const kTables[] = {&kPortableKernels, &kAvx2Kernels, &kAvx512Kernels,
                                      &kAvx512Bf16Kernels};

// run(table) gives the same on every variant that this machine has; returns it.
template <class Run>
auto OnEveryVariant(const Run& run) {
  const auto wanted = run(kPortableKernels);
  for (const KernelTable* table : kTables) {
    if (CanRun(*table)) EXPECT_EQ(run(*table), wanted) << table->name;
  }
  return wanted;
}

void ExpectNear(const Floats& values, const Doubles& wanted, double tolerance) {
  ASSERT_EQ(values.size(), wanted.size());
  for (size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], wanted[i], tolerance) << i;
}

// d sum(dy * function(x)) / dx by central differences.
template <class Function>
Doubles Differences(const Function& function, const Floats& x, const Floats& dy) {
  constexpr double kStep = 1e-5;
  Doubles exact(x.begin(), x.end()), slopes;
  const auto sum = [&] {
    const Doubles y = function(exact);
    double total = 0;
    for (size_t i = 0; i < y.size(); ++i) total += dy[i] * y[i];
    return total;
  };
  for (double& value : exact) {
    const double kept = value;
    value = kept + kStep;
    const double above = sum();
    value = kept - kStep;
    slopes.push_back((above - sum()) / (2 * kStep));
    value = kept;
  }
  return slopes;
}

TEST(BackwardKernelsTest, TransposesAnyShape) {
  for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{1, 1}, {16, 16}, {37, 50}}) {
    const Floats x = RandomFloats(rows * (columns + 3), 1);
    const Floats out = OnEveryVariant([&, rows = rows, columns = columns](const KernelTable& t) {
      Floats y(columns * (rows + 2), 7.0f);
      t.transpose(x.data(), rows, columns, columns + 3, y.data(), rows + 2);
      return y;
    });
    for (int64_t c = 0; c < columns; ++c) {
      for (int64_t r = 0; r < rows; ++r) {
        EXPECT_EQ(out[c * (rows + 2) + r], x[r * (columns + 3) + c]);
      }
      EXPECT_EQ(out[c * (rows + 2) + rows], 7.0f);  // nothing behind a row is written
    }
  }
}

TEST(BackwardKernelsTest, InterleavedPairsAreThoseOfRoundPairs) {
  const Floats even = RandomFloats(45, 2), odd = RandomFloats(45, 3);
  Floats alternating;
  for (size_t i = 0; i < even.size(); ++i) {
    alternating.push_back(even[i]);
    alternating.push_back(odd[i]);
  }
  std::vector<uint32_t> wanted(even.size());
  RoundPairs(alternating.data(), 1, 2 * even.size(), wanted.data());
  EXPECT_EQ(OnEveryVariant([&](const KernelTable& table) {
              std::vector<uint32_t> pairs(even.size());
              table.interleave_pairs(even.data(), odd.data(), even.size(), pairs.data());
              return pairs;
            }),
            wanted);
}

// Packed by floats or by pairs, of rows or of columns: what the matrix holds, added up.
TEST(BackwardKernelsTest, ProductsAreAddedToWhatIsThere) {
  constexpr int64_t kM = 19, kN = 70, kK = 33;
  const Floats x = RandomFloats(kM * kK, 4), w = RandomFloats(kN * kK, 5);
  Floats columns(kN * kK);
  Transpose(w.data(), kN, kK, kK, columns.data(), kN);
  for (const Products products : {Products::kFp32, Products::kBf16}) {
    const bool pairs = products == Products::kBf16;
    const TensorType type = pairs ? TensorType::kBf16 : TensorType::kF32;
    const PackedMatrix by_rows(ViewOf(w.data()), {kN, kK, kK, 1}, type, products);
    const PackedMatrix by_columns(ViewOf(columns.data()), {kN, kK, 1, kN}, type, products);
    Floats product(kM * kN);
    MatMul(x.data(), kM, by_rows, product.data());
    std::vector<uint32_t> rounded(kM * by_rows.pairs());
    RoundPairs(x.data(), kM, kK, rounded.data());
    const void* const input = pairs ? static_cast<const void*>(rounded.data()) : x.data();
    for (const PackedMatrix* packed : {&by_rows, &by_columns}) {
      const Doubles sums = OnEveryVariant([&](const KernelTable& table) {
        Doubles y(kM * (kN + 1), 0.5);
        if (pairs) {
          table.add_mat_mul_pairs(rounded.data(), kM, packed->panels(), {0, packed->panel_count()},
                                  kN, packed->pairs(), y.data(), kN + 1);
        } else {
          table.add_mat_mul(x.data(), kM, packed->panels(), {0, packed->panel_count()}, kN, kK,
                            y.data(), kN + 1);
        }
        return y;
      });
      for (int64_t i = 0; i < kM; ++i) {
        for (int64_t j = 0; j < kN; ++j) {
          EXPECT_EQ(sums[i * (kN + 1) + j], 0.5 + product[i * kN + j]);
        }
        EXPECT_EQ(sums[i * (kN + 1) + kN], 0.5);
      }
    }
    Doubles y(kM * kN);
    AddMatMulPanels(input, kM, by_rows, {0, by_rows.panel_count()}, y.data(), kN);
    EXPECT_EQ(Doubles(product.begin(), product.end()), y);
  }
}

struct NormSlopes {
  Floats dx;
  Doubles dweight, dbias;
  bool operator==(const NormSlopes& other) const {
    return dx == other.dx && dweight == other.dweight && dbias == other.dbias;
  }
};

class NormBackwardTest : public testing::TestWithParam<bool> {};

TEST_P(NormBackwardTest, EqualsDifferences) {
  const bool layer = GetParam();
  constexpr int64_t kRows = 3, kDim = 21;
  constexpr double kEps = 1e-5;
  const Floats x = RandomFloats(kRows * kDim, 6), dy = RandomFloats(kRows * kDim, 7);
  const Floats weight = RandomFloats(kDim, 8);
  const auto normal = [&](const Doubles& values) {
    Doubles y(values.size());
    for (int64_t row = 0; row < kRows; ++row) {
      double mean = 0, square = 0;
      const double* const v = values.data() + row * kDim;
      if (layer) {
        for (int64_t i = 0; i < kDim; ++i) mean += v[i] / kDim;
      }
      for (int64_t i = 0; i < kDim; ++i) square += (v[i] - mean) * (v[i] - mean) / kDim;
      for (int64_t i = 0; i < kDim; ++i) {
        y[row * kDim + i] = (v[i] - mean) / std::sqrt(square + kEps);
      }
    }
    return y;
  };
  const NormSlopes slopes = OnEveryVariant([&](const KernelTable& table) {
    NormSlopes out = {Floats(x.size()), Doubles(kDim, 1.0), Doubles(kDim, 1.0)};
    if (layer) {
      table.layer_norm_backward(x.data(), dy.data(), kRows, kDim, weight.data(), kEps,
                                out.dx.data(), out.dweight.data(), out.dbias.data());
    } else {
      table.rms_norm_backward(x.data(), dy.data(), kRows, kDim, weight.data(), kEps, out.dx.data(),
                              out.dweight.data());
    }
    return out;
  });
  const auto weighted = [&](const Doubles& values) {
    Doubles y = normal(values);
    for (size_t i = 0; i < y.size(); ++i) y[i] *= weight[i % kDim];
    return y;
  };
  ExpectNear(slopes.dx, Differences(weighted, x, dy), 2e-5);
  const Doubles n = normal(Doubles(x.begin(), x.end()));
  for (int64_t i = 0; i < kDim; ++i) {
    double dweight = 1, dbias = 1;
    for (int64_t row = 0; row < kRows; ++row) {
      dweight += dy[row * kDim + i] * n[row * kDim + i];
      dbias += dy[row * kDim + i];
    }
    EXPECT_NEAR(slopes.dweight[i], dweight, 1e-5);
    if (layer) EXPECT_NEAR(slopes.dbias[i], dbias, 1e-5);
  }
}

INSTANTIATE_TEST_SUITE_P(Norms, NormBackwardTest, testing::Bool());

TEST(BackwardKernelsTest, ActivationsEqualDifferences) {
  const Floats gate = RandomFloats(53, 9), up = RandomFloats(53, 10), dout = RandomFloats(53, 11);
  for (const bool gelu : {false, true}) {
    const auto activated = [&](const Doubles& z) {
      Doubles y;
      for (double v : z) {
        const double u = gelu ? 1.5957691216057308 * (v + 0.044715 * v * v * v) : v;
        y.push_back(v / (1 + std::exp(-u)));
      }
      return y;
    };
    for (const bool gated : {false, true}) {
      const auto [dgate, dup] = OnEveryVariant([&](const KernelTable& table) {
        std::pair<Floats, Floats> out = {Floats(gate.size()), Floats(gate.size())};
        const auto run = gelu ? table.gelu_tanh_backward : table.silu_backward;
        run(gate.data(), gated ? up.data() : nullptr, dout.data(), gate.size(), out.first.data(),
            gated ? out.second.data() : nullptr);
        return out;
      });
      const Doubles values = activated(Doubles(gate.begin(), gate.end()));
      Doubles wanted_dup;
      Floats weighted = dout;
      for (size_t i = 0; i < gate.size(); ++i) {
        wanted_dup.push_back(gated ? dout[i] * values[i] : 0);
        if (gated) weighted[i] *= up[i];
      }
      ExpectNear(dup, wanted_dup, 2e-6);
      ExpectNear(dgate, Differences(activated, gate, weighted), 2e-5);
    }
  }
}

}  // namespace
}  // namespace attune
