// Expected frequencies are those that transformers' own tests pin for a Llama of 4096 / 32 heads.
#include "tests/reference/reference_rope.h"

#include <cmath>
#include <map>

#include "gtest/gtest.h"

namespace attune {
namespace {

using nlohmann::json;

constexpr int64_t kHeadDim = 128;

ReferenceRope RopeOf(const json& scaling, int64_t sequence_length = 1) {
  return MakeReferenceRope({{"model_type", "llama"},
                            {"max_position_embeddings", 2048},
                            {"rope_theta", 10000.0},
                            {"rope_scaling", scaling}},
                           kHeadDim, sequence_length);
}

// Given to five digits.
void ExpectFrequencies(const std::map<size_t, double>& expected, const ReferenceRope& rope) {
  ASSERT_EQ(64u, rope.frequencies.size());
  for (const auto& [index, frequency] : expected) {
    EXPECT_NEAR(frequency, rope.frequencies[index], 6e-5 * frequency) << index;
  }
}

TEST(ReferenceRopeTest, Default) {
  const ReferenceRope rope = RopeOf(nullptr);
  ExpectFrequencies({{0, 1}, {1, 8.6596e-01}, {16, 1e-01}, {63, 1.1548e-04}}, rope);
  EXPECT_EQ(1, rope.attention_factor);
}

TEST(ReferenceRopeTest, Linear) {
  ExpectFrequencies({{0, 1e-1}, {1, 8.6596e-02}, {63, 1.1548e-05}},
                    RopeOf({{"rope_type", "linear"}, {"factor", 10.0}}));
}

TEST(ReferenceRopeTest, DynamicChangesBeyondTheTrainedLength) {
  const json scaling = {{"rope_type", "dynamic"}, {"factor", 10.0}};
  ExpectFrequencies({{1, 8.6596e-01}, {63, 1.1548e-04}}, RopeOf(scaling, 2048));
  ExpectFrequencies({{0, 1}, {1, 8.0931e-01}, {30, 1.7517e-03}, {63, 1.6265e-06}},
                    RopeOf(scaling, 16384));
}

TEST(ReferenceRopeTest, Llama3) {
  const ReferenceRope rope = RopeOf({{"rope_type", "llama3"},
                                     {"factor", 10.0},
                                     {"original_max_position_embeddings", 2048},
                                     {"low_freq_factor", 1},
                                     {"high_freq_factor", 4}});
  ExpectFrequencies(
      {{30, 1.3335e-02}, {31, 1.0730e-02}, {36, 1.9675e-03}, {40, 3.4539e-04}, {41, 2.7384e-04}},
      rope);
  EXPECT_EQ(1, rope.attention_factor);
}

TEST(ReferenceRopeTest, Yarn) {
  const ReferenceRope rope =
      RopeOf({{"type", "yarn"}, {"factor", 10.0}, {"beta_fast", 32}, {"beta_slow", 1}});
  ExpectFrequencies(
      {{16, 1e-01}, {17, 8.3479e-02}, {28, 1.0101e-02}, {40, 4.3007e-04}, {63, 1.1548e-05}}, rope);
  EXPECT_DOUBLE_EQ(0.1 * std::log(10) + 1, rope.attention_factor);
  EXPECT_EQ(
      0.5,
      RopeOf({{"type", "yarn"}, {"factor", 10.0}, {"attention_factor", 0.5}}).attention_factor);
}

TEST(ReferenceRopeTest, LongropeTakesItsFactorsByTheLength) {
  json scaling = {{"rope_type", "longrope"}, {"factor", 10.0}};
  for (int i = 0; i < 64; ++i) {
    scaling["short_factor"].push_back(2.0);
    scaling["long_factor"].push_back(i + 1.0);
  }
  const ReferenceRope rope = RopeOf(scaling, 2048);
  ExpectFrequencies({{0, 0.5}, {1, 8.6596e-01 / 2}, {63, 1.1548e-04 / 2}}, rope);
  EXPECT_DOUBLE_EQ(std::sqrt(1 + std::log(10) / std::log(2048)), rope.attention_factor);
  ExpectFrequencies({{0, 1}, {1, 8.6596e-01 / 2}, {63, 1.1548e-04 / 64}}, RopeOf(scaling, 2049));
}

}  // namespace
}  // namespace attune
