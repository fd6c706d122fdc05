#include "model/memory_estimate.h"

#include "gtest/gtest.h"
#include "model/layout.h"
#include "tests/unit/model/tiny_model.h"

namespace attune {
namespace {

// Of TinyConfig: outputs in whole panels of 32, times inputs.
constexpr int64_t kPackedLayer = 64 * 48        // q: 60
                                 + 2 * 32 * 48  // k, v: 20
                                 + 64 * 60      // o: 48
                                 + 2 * 96 * 48  // gate, up: 70
                                 + 64 * 70;     // down: 48
constexpr int64_t kPackedHead = 128 * 48;       // 101
constexpr int64_t kNorms = 5 * 48;

int64_t WeightBytes(const ModelConfig& config, TensorType type) {
  return SamplingWeightBytes(config, [type](const std::string&) { return type; });
}

TEST(MemoryEstimateTest, MatricesAreHeldInPanelsAndNormsInFp32) {
  const ModelConfig tied = TinyConfig(true);
  EXPECT_EQ(4 * (2 * kPackedLayer + kPackedHead + kNorms), WeightBytes(tied, TensorType::kF32));
  EXPECT_EQ(2 * (2 * kPackedLayer + kPackedHead) + 4 * kNorms,
            WeightBytes(tied, TensorType::kBf16));
  const ModelConfig untied = TinyConfig(false);
  EXPECT_EQ(4 * (2 * kPackedLayer + 2 * kPackedHead + kNorms),
            WeightBytes(untied, TensorType::kF32));
}

TEST(MemoryEstimateTest, EachTensorCountsInItsOwnType) {
  const ModelConfig config = TinyConfig(true);
  const int64_t bytes = SamplingWeightBytes(config, [](const std::string& name) {
    return name == "model.embed_tokens.weight" ? TensorType::kF32 : TensorType::kF16;
  });
  EXPECT_EQ(2 * 2 * kPackedLayer + 4 * (kPackedHead + kNorms), bytes);
}

TEST(MemoryEstimateTest, APositionHasAKeyAndAValueInEveryLayer) {
  // Values of heads are padded to 16 columns.
  const ModelConfig config = TinyConfig(true);
  const int64_t padded = (config.head_dim + 15) / 16 * 16;
  EXPECT_EQ(config.num_layers * config.num_kv_heads * (config.head_dim + padded) * 4,
            KvCacheBytesPerToken(config));
}

TEST(MemoryEstimateTest, StagesOfZeroShareOutMoreAndMore) {
  const ModelConfig config = TinyConfig(true);
  const int64_t count = WeightCount(WeightLayout(config));
  const int64_t slice = (count + 3) / 4;
  const int64_t packed = 4 * (2 * kPackedLayer + kPackedHead);
  const auto memory = [&](int stage) {
    return TrainingMemoryPerRank(config, stage, 4, TensorType::kF32);
  };
  EXPECT_EQ(4 * slice * 4 + packed, memory(0).weights);
  EXPECT_EQ(4 * slice * (4 + 8), memory(0).gradients);
  EXPECT_EQ(4 * slice * 12 + slice * 8, memory(0).optimizer);
  EXPECT_EQ(slice * 8, memory(0).published);
  EXPECT_EQ(memory(0).gradients, memory(1).gradients);
  EXPECT_EQ(slice * 20, memory(1).optimizer);
  EXPECT_EQ(memory(1).weights, memory(2).weights);
  EXPECT_EQ(4 * slice * 4 + slice * 8, memory(2).gradients);
  EXPECT_EQ(slice * 4 + packed / 4, memory(3).weights);
  for (int stage = 1; stage <= 3; ++stage) {
    EXPECT_LT(memory(stage).total(), memory(stage - 1).total()) << stage;
  }
}

TEST(MemoryEstimateTest, Bf16HalvesThePackedWeightsOnly) {
  const ModelConfig config = TinyConfig(true);
  const TrainingMemory fp32 = TrainingMemoryPerRank(config, 1, 2, TensorType::kF32);
  const TrainingMemory bf16 = TrainingMemoryPerRank(config, 1, 2, TensorType::kBf16);
  EXPECT_EQ(2 * (2 * kPackedLayer + kPackedHead), fp32.total() - bf16.total());
  EXPECT_EQ(fp32.optimizer, bf16.optimizer);
}

}  // namespace
}  // namespace attune
