#include "model/rope.h"

#include <cmath>
#include <map>
#include <vector>

#include "gtest/gtest.h"

namespace attune {
namespace {

// Expected values were computed with PyTorch's float tensors by the formulas of transformers'
// modeling_rope_utils. PyTorch's pow is off by a last bit here and there.
void ExpectFrequencies(const std::map<int, float>& expected, const std::vector<float>& actual) {
  for (const auto& [d, frequency] : expected) {
    EXPECT_NEAR(1, actual[d] / frequency, 1.3e-7) << "dimension " << d;
  }
}

TEST(RopeTest, FrequenciesAreRoundedAsPyTorchRoundsThem) {
  const std::vector<float> frequencies = RopeFrequencies(10000, 96);
  EXPECT_EQ(48u, frequencies.size());
  ExpectFrequencies(
      {{0, 1}, {1, 0.825404167f}, {10, 0.146779925f}, {24, 0.01f}, {47, 0.000121152749f}},
      frequencies);
}

TEST(RopeTest, Llama3SlowsLongWavelengthsKeepsShortOnesAndBlendsBetween) {
  const std::vector<float> plain = RopeFrequencies(500000, 128);
  const std::vector<float> scaled = Llama3Frequencies(plain, {8, 1, 4, 8192});
  EXPECT_EQ(plain[28], scaled[28]);
  EXPECT_EQ(plain[35] / 8, scaled[35]);
  ExpectFrequencies({{0, 1},
                     {28, 0.00321144611f},
                     {29, 0.00216657063f},
                     {30, 0.00137189368f},
                     {32, 0.000524846022f},
                     {34, 0.000178507791f},
                     {35, 9.55621217e-05f},
                     {63, 3.06892588e-07f}},
                    scaled);
}

TEST(RopeTest, YarnRampsBetweenKeptAndSlowedDimensions) {
  YarnScaling scaling;
  scaling.factor = 4;
  scaling.original_max_position_embeddings = 32768;
  ExpectFrequencies({{0, 1},
                     {23, 0.00697830599f},
                     {24, 0.00537532149f},
                     {30, 0.00106436096f},
                     {39, 6.4903943e-05f},
                     {40, 4.44569851e-05f},
                     {63, 3.10234441e-07f}},
                    YarnFrequencies(1e6, 128, scaling));
  scaling.truncate = false;
  ExpectFrequencies({{23, 0.00697830599f}, {24, 0.00551727042f}, {39, 6.18780759e-05f}},
                    YarnFrequencies(1e6, 128, scaling));
}

TEST(RopeTest, YarnStaysFiniteWhenTheRampHasNoWidth) {
  YarnScaling scaling;
  scaling.factor = 2;
  scaling.beta_fast = scaling.beta_slow = 1;
  scaling.original_max_position_embeddings = 1;  // below one turn: the ramp starts and ends at 0
  for (const float frequency : YarnFrequencies(10000, 8, scaling)) {
    EXPECT_TRUE(std::isfinite(frequency));
  }
}

TEST(RopeTest, YarnMscaleIsOneWithoutExtension) {
  EXPECT_EQ(1, YarnMscale(1, 1));
  EXPECT_NEAR(1.138629436, YarnMscale(4, 1), 1e-9);
  EXPECT_NEAR(1.098011011, YarnMscale(4, 0.707), 1e-9);
}

TEST(RopeTest, LongRopeDividesEachFrequencyByItsFactor) {
  ExpectFrequencies({{0, 0.952381015f}, {1, 0.0909090936f}, {2, 0.004f}, {3, 3.00751872e-05f}},
                    LongRopeFrequencies(10000, 8, {1.05f, 1.1f, 2.5f, 33.25f}));
}

TEST(RopeTest, AnglesAreOfTheRoundedProductAndScaled) {
  Rope rope;
  rope.frequencies = RopeFrequencies(10000, 8);
  rope.scale = 1.19f;
  EXPECT_EQ(8, rope.rotary_dim());
  std::vector<float> cosines(4), sines(4);
  rope.Angles(4095, cosines.data(), sines.data());
  const float expected_cosines[] = {-0.0785114393f, 0.547237396f, -1.18289948f, -0.688900471f};
  const float expected_sines[] = {-1.18740726f, 1.05670774f, -0.129803777f, -0.970317602f};
  for (int d = 0; d < 4; ++d) {
    EXPECT_NEAR(expected_cosines[d], cosines[d], 2e-7) << d;
    EXPECT_NEAR(expected_sines[d], sines[d], 2e-7) << d;
  }
  rope.Angles(0, cosines.data(), sines.data());
  EXPECT_EQ(std::vector<float>(4, 1.19f), cosines);
  EXPECT_EQ(std::vector<float>(4, 0.0f), sines);
}

}  // namespace
}  // namespace attune
