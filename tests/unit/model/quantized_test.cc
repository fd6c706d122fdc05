// Weights in 8 bits: the matrix against a slow product, the policy against the exact one.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "model/engine.h"
#include "model/kernels.h"
#include "model/kernels_table.h"
#include "model/scorer.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/engine_testing.h"

namespace attune {
namespace {

using Floats = std::vector<float>;

constexpr struct { int64_t n, k; } kSizes[] = {{1, 1}, {33, 5}, {70, 48}, {257, 31}};

Floats RowOf(const PackedMatrix& w, int64_t j) {
  Floats row(w.k());
  w.CopyRow(j, row.data());
  return row;
}

TEST(QuantizedMatrixTest, IsWithinHalfAStepOfTheExactOne) {
  for (const auto [n, k] : kSizes) {
    Floats weights = RandomFloats(n * k, 1);
    std::fill_n(weights.begin(), k, 0.0f);  // an output of nothing
    const PackedMatrix exact(ViewOf(weights.data()), {n, k, k, 1}, TensorType::kF32);
    const PackedMatrix quantized = exact.Quantized();
    for (int64_t j = 0; j < n; ++j) {
      const Floats wanted = RowOf(exact, j), row = RowOf(quantized, j);
      float largest = 0;
      for (float value : wanted) largest = std::max(largest, std::abs(value));
      EXPECT_EQ(quantized.scales()[j], largest / 127);
      for (int64_t i = 0; i < k; ++i) {
        EXPECT_LE(std::abs(row[i] - wanted[i]), largest / 127 * 0.501f) << j << " " << i;
      }
    }
  }
}

TEST(QuantizedMatrixTest, ProductsAreThoseOfTheFormulaOnEveryInstructionSet) {
  for (const auto [n, k] : kSizes) {
    const Floats weights = RandomFloats(n * k, 2);
    const PackedMatrix exact(ViewOf(weights.data()), {n, k, k, 1}, TensorType::kF32);
    const PackedMatrix w = exact.Quantized();
    for (const int64_t m : {1, 3, 8, 19, 70}) {
      const Floats x = RandomFloats(m * k, 3);
      Floats wanted(m * n), unscaled(m * n), y(m * n);
      for (int64_t row = 0; row < m; ++row) {
        for (int64_t j = 0; j < n; ++j) {
          const Floats column = RowOf(w, j);
          float sum = 0;
          for (int64_t i = 0; i < k; ++i) {
            const float step = w.scales()[j] > 0 ? std::round(column[i] / w.scales()[j]) : 0;
            sum = std::fma(x[row * k + i], step, sum);
          }
          unscaled[row * n + j] = sum;
          wanted[row * n + j] = sum * w.scales()[j];
        }
      }
      MatMul(x.data(), m, w, y.data());
      EXPECT_EQ(wanted, y) << m << " rows";
      for (const KernelTable* kernels :
           {&kPortableKernels, &kAvx2Kernels, &kAvx512Kernels, &kAvx512Bf16Kernels}) {
        if (!CanRun(*kernels)) continue;
        kernels->mat_mul_int8(x.data(), m, w.panels(), {0, w.panel_count()}, n, k, y.data());
        EXPECT_EQ(unscaled, y) << kernels->name << ", " << m << " rows";
      }
    }
  }
}

TEST(QuantizedPolicyTest, IsNearTheExactOneAndItsResponsesDoNotDependOnTheirBatch) {
  for (const uint64_t seed : {1, 2}) {  // with a head of its own, and tied
    const auto exact = TinyPolicy(seed, TensorType::kF32);
    const auto quantized = exact->Quantized();
    Engine engine({.threads = 2, .rows_max = 30, .sequences_max = 9});
    std::vector<std::pair<EngineRequest, std::vector<Generation>>> answers;
    for (uint64_t i = 0; i < 30; ++i) {
      const EngineRequest request = RandomRequest(quantized, i);
      answers.emplace_back(request, std::vector<Generation>(request.sample_keys.size()));
    }
    for (uint64_t i = 0; i < 30; ++i) {
      EngineRequest request = answers[i].first;
      request.on_done = [&answers, i](size_t sample, absl::StatusOr<Generation> response) {
        answers[i].second[sample] = *std::move(response);
      };
      engine.Add(i, std::move(request));
    }
    while (!engine.idle()) engine.Step();
    double gap = 0, tokens = 0;
    for (const auto& [request, responses] : answers) {
      for (size_t s = 0; s < responses.size(); ++s) {
        EXPECT_TRUE(responses[s] == AloneResponse(request, s));
        ASSERT_OK_AND_ASSIGN(const Floats logps, CompletionLogProbs(*exact, request.prompt_ids,
                                                                    responses[s].token_ids));
        for (size_t i = 0; i < logps.size(); ++i) gap += std::abs(logps[i] - responses[s].logps[i]);
        tokens += static_cast<double>(logps.size());
      }
    }
    EXPECT_GT(gap, 0);
    EXPECT_LT(gap / tokens, 0.1);
  }
}

}  // namespace
}  // namespace attune
