#include "model/rope_config.h"

#include <cmath>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace attune {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Json = nlohmann::json;

struct Result {
  ModelConfig config{};
  std::vector<std::string> problems;
};

// Of a model with heads of 8 values and 4096 positions.
Result Read(const Json& value, bool phi3 = false) {
  const Json json = Json::parse(value.dump());  // numbers as those of a file
  Result result;
  result.config.head_dim = 8;
  result.config.max_position_embeddings = 4096;
  ConfigReader reader(&json, "", &result.problems);
  ReadRope(&reader, phi3, &result.config);
  return result;
}

std::vector<float> MustRead(const Json& json, bool phi3 = false) {
  const Result result = Read(json, phi3);
  EXPECT_THAT(result.problems, IsEmpty());
  return result.config.rope.frequencies;
}

const Json kLlama3 = {{"rope_type", "llama3"},
                      {"factor", 8.0},
                      {"low_freq_factor", 1.0},
                      {"high_freq_factor", 4.0},
                      {"original_max_position_embeddings", 512}};
const Json kYarn = {{"type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 2048}};
const Json kLongRope = {
    {"type", "longrope"}, {"short_factor", {1.0, 1.5, 2, 2.5}}, {"long_factor", {4, 5, 6, 7}}};

TEST(RopeConfigTest, ThetaStandsBesideOrInside) {
  EXPECT_EQ(RopeFrequencies(10000, 8), MustRead(Json::object()));
  EXPECT_EQ(RopeFrequencies(500, 8), MustRead({{"rope_theta", 500}, {"rope_scaling", nullptr}}));
  const Json inside = {{"rope_theta", 700.0}, {"rope_type", "default"}};
  EXPECT_EQ(RopeFrequencies(700, 8), MustRead({{"rope_parameters", inside}}));
}

TEST(RopeConfigTest, LinearDividesFrequencies) {
  const Json linear = {{"type", "linear"}, {"factor", 4}};
  std::vector<float> expected = RopeFrequencies(10000, 8);
  for (float& frequency : expected) frequency /= 4;
  EXPECT_EQ(expected, MustRead({{"rope_scaling", linear}}));
}

TEST(RopeConfigTest, DynamicIsPlainWithinTheTrainedContext) {
  const Result result = Read({{"rope_scaling", {{"type", "dynamic"}, {"factor", 2.0}}}});
  EXPECT_THAT(result.problems, IsEmpty());
  EXPECT_EQ(RopeFrequencies(10000, 8), result.config.rope.frequencies);
  EXPECT_EQ(4096, result.config.max_position_embeddings);
}

TEST(RopeConfigTest, Llama3) {
  EXPECT_EQ(Llama3Frequencies(RopeFrequencies(500000, 8), {8, 1, 4, 512}),
            MustRead({{"rope_theta", 500000}, {"rope_scaling", kLlama3}}));
}

TEST(RopeConfigTest, YarnGoesByItsFactor) {
  YarnScaling scaling;
  scaling.factor = 4;
  scaling.original_max_position_embeddings = 2048;
  const Result result = Read({{"rope_scaling", kYarn}});
  EXPECT_THAT(result.problems, IsEmpty());
  EXPECT_EQ(YarnFrequencies(10000, 8, scaling), result.config.rope.frequencies);
  EXPECT_FLOAT_EQ(0.1 * std::log(4.0) + 1, result.config.rope.scale);
  EXPECT_EQ(4096, result.config.max_position_embeddings);
  Json implied = kYarn;  // 4096 / 2048
  implied["factor"] = nullptr;
  scaling.factor = 2;
  EXPECT_EQ(YarnFrequencies(10000, 8, scaling), MustRead({{"rope_scaling", implied}}));
}

TEST(RopeConfigTest, YarnScalesByMscaleOrAttentionFactor) {
  Json yarn = kYarn;
  yarn["mscale"] = 0.707;
  yarn["mscale_all_dim"] = 1.0;
  EXPECT_FLOAT_EQ((0.0707 * std::log(4.0) + 1) / (0.1 * std::log(4.0) + 1),
                  Read({{"rope_scaling", yarn}}).config.rope.scale);
  yarn["mscale_all_dim"] = 0;
  EXPECT_FLOAT_EQ(0.1 * std::log(4.0) + 1, Read({{"rope_scaling", yarn}}).config.rope.scale);
  yarn["attention_factor"] = 1.5;
  EXPECT_EQ(1.5, Read({{"rope_scaling", yarn}}).config.rope.scale);
}

TEST(RopeConfigTest, LongRopeUsesItsShortFactorsUpToTheOriginalContext) {
  const Json json = {{"rope_scaling", kLongRope}, {"original_max_position_embeddings", 1024}};
  const Result result = Read(json, /*phi3=*/true);
  EXPECT_THAT(result.problems, IsEmpty());
  EXPECT_EQ(LongRopeFrequencies(10000, 8, {1, 1.5, 2, 2.5}), result.config.rope.frequencies);
  EXPECT_FLOAT_EQ(std::sqrt(1 + std::log(4.0) / std::log(1024.0)), result.config.rope.scale);
  EXPECT_EQ(1024, result.config.max_position_embeddings);
}

TEST(RopeConfigTest, Phi3sFirstNamesAreLongRope) {
  for (const char* name : {"su", "yarn"}) {
    Json rope = kLongRope;
    rope["type"] = name;
    const Json json = {{"rope_scaling", rope}, {"original_max_position_embeddings", 1024}};
    EXPECT_EQ(LongRopeFrequencies(10000, 8, {1, 1.5, 2, 2.5}), MustRead(json, /*phi3=*/true));
  }
}

TEST(RopeConfigTest, APartOfAPhi3HeadTurns) {
  EXPECT_EQ(RopeFrequencies(10000, 6), MustRead({{"partial_rotary_factor", 0.75}}, true));
  EXPECT_EQ(RopeFrequencies(10000, 4),
            MustRead({{"rope_parameters", {{"partial_rotary_factor", 0.5}}}}, true));
}

TEST(RopeConfigTest, RefusesWhatItDoesNotKnow) {
  const auto problems = [](const Json& rope, bool phi3 = false) {
    return Read({{"rope_scaling", rope}}, phi3).problems;
  };
  EXPECT_THAT(problems({{"type", "mrope"}}),
              ElementsAre(HasSubstr("rope_scaling.rope_type is \"mrope\"; only default, linear")));
  EXPECT_THAT(problems({{"factor", 8.0}}), ElementsAre(HasSubstr("rope_scaling.factor is 8.0")));
  Json finetuned = kYarn;
  finetuned["finetuned"] = true;
  EXPECT_THAT(problems(finetuned), ElementsAre(HasSubstr("rope_scaling.finetuned is true")));
  EXPECT_THAT(problems(kLlama3, /*phi3=*/true),
              ElementsAre(HasSubstr("only default and longrope")));
  EXPECT_THAT(problems(3), ElementsAre(HasSubstr("rope_scaling is 3")));
  EXPECT_THAT(problems({{"type", "linear"}}),
              ElementsAre(HasSubstr("rope_scaling.factor is missing")));
  EXPECT_THAT(problems({{"type", "linear"}, {"factor", -1}}),
              ElementsAre(HasSubstr("rope_scaling.factor is -1")));
}

TEST(RopeConfigTest, RefusesValuesThatDoNotFitTogether) {
  Json inverted = kLlama3;
  inverted["high_freq_factor"] = 1.0;
  EXPECT_THAT(Read({{"rope_scaling", inverted}}).problems,
              ElementsAre(HasSubstr("high_freq_factor is 1.0; it must be above low_freq_factor")));
  Json odd = kLongRope;
  odd["short_factor"] = {1, 1};
  EXPECT_THAT(Read({{"rope_scaling", odd}}).problems,
              ElementsAre(HasSubstr("short_factor is [1,1]; it must list 4 numbers")));
  EXPECT_THAT(
      Read({{"rope_scaling", kYarn}, {"original_max_position_embeddings", 64}}).problems,
      ElementsAre(HasSubstr("original_max_position_embeddings is 2048; it must be that beside")));
  EXPECT_THAT(Read({{"rope_theta", 0.5}}).problems, ElementsAre(HasSubstr("rope_theta is 0.5")));
  EXPECT_THAT(Read({{"rope_theta", 1}, {"rope_scaling", kYarn}}).problems,
              ElementsAre(HasSubstr("yarn needs one above 1")));
  EXPECT_THAT(Read({{"partial_rotary_factor", 0.6}}, /*phi3=*/true).problems, IsEmpty());
  EXPECT_THAT(Read({{"partial_rotary_factor", 0.4}}, /*phi3=*/true).problems,
              ElementsAre(HasSubstr("head_dim is 8; rotary embeddings turn 0.4 of it")));
}

}  // namespace
}  // namespace attune
