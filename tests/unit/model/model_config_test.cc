#include "model/model_config.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tiny_model.h"

namespace attune {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ModelConfigTest : public ::testing::Test {
 protected:
  // Loads the tiny model's config.json with `changes` merged in.
  absl::StatusOr<ModelConfig> LoadWith(const nlohmann::json& changes) {
    auto json = nlohmann::json::parse(ConfigJson(TinyConfig(true)));
    json.merge_patch(changes);  // null removes
    for (const auto& [key, value] : changes.items()) {
      if (value.is_null()) json[key] = nullptr;
    }
    EXPECT_OK(WriteFile(directory_.File("config.json"), json.dump()));
    return LoadModelConfig(directory_.path());
  }

  ScratchDirectory directory_;
};

TEST_F(ModelConfigTest, ReadsEveryField) {
  ASSERT_OK_AND_ASSIGN(const ModelConfig config, LoadWith({{"rms_norm_eps", 1e-6}}));
  EXPECT_EQ(101, config.vocab_size);
  EXPECT_EQ(48, config.hidden_size);
  EXPECT_EQ(70, config.intermediate_size);
  EXPECT_EQ(2, config.num_layers);
  EXPECT_EQ(6, config.num_heads);
  EXPECT_EQ(2, config.num_kv_heads);
  EXPECT_EQ(10, config.head_dim);
  EXPECT_EQ(1e-6f, config.rms_norm_eps);
  EXPECT_EQ(10000, config.rope_theta);
  EXPECT_TRUE(config.tie_word_embeddings);
  EXPECT_EQ(64, config.max_position_embeddings);
}

TEST_F(ModelConfigTest, FallsBackToLlamasDefaults) {
  ASSERT_OK_AND_ASSIGN(const ModelConfig config, LoadWith({{"head_dim", nullptr},
                                                           {"num_key_value_heads", nullptr},
                                                           {"tie_word_embeddings", nullptr},
                                                           {"eos_token_id", nullptr}}));
  EXPECT_EQ(8, config.head_dim);
  EXPECT_EQ(6, config.num_kv_heads);
  EXPECT_FALSE(config.tie_word_embeddings);
  EXPECT_THAT(config.eos_token_ids, IsEmpty());
}

TEST_F(ModelConfigTest, EndsOfSequenceComeFromTheGenerationConfigWhereItHasThem) {
  EXPECT_THAT(LoadWith({{"eos_token_id", 5}})->eos_token_ids, ElementsAre(5));
  ASSERT_OK(WriteFile(directory_.File("generation_config.json"), R"({"eos_token_id": [2, 1]})"));
  EXPECT_THAT(LoadWith({{"eos_token_id", 5}})->eos_token_ids, ElementsAre(2, 1));
  ASSERT_OK(WriteFile(directory_.File("generation_config.json"), R"({"do_sample": true})"));
  EXPECT_THAT(LoadWith({{"eos_token_id", 5}})->eos_token_ids, ElementsAre(5));
}

TEST_F(ModelConfigTest, ReadsTheRopeThetaOfNewerFiles) {
  const nlohmann::json rope = {{"rope_theta", 500000.0}, {"rope_type", "default"}};
  EXPECT_EQ(500000, LoadWith({{"rope_theta", nullptr}, {"rope_parameters", rope}})->rope_theta);
}

TEST_F(ModelConfigTest, RefusesByNameAndValueWhatWouldChangeNumbers) {
  const std::vector<std::pair<nlohmann::json, std::string>> cases = {
      {{{"model_type", "mistral"}}, "model_type is \"mistral\""},
      {{{"hidden_act", "gelu"}}, "hidden_act is \"gelu\""},
      {{{"attention_bias", true}}, "attention_bias is true"},
      {{{"mlp_bias", true}}, "mlp_bias is true"},
      {{{"sliding_window", 128}}, "sliding_window is 128"},
      {{{"rope_scaling", {{"type", "linear"}, {"factor", 2.0}}}}, "rope_scaling is {"},
      {{{"rope_parameters", {{"rope_type", "llama3"}}}}, "rope_parameters is {"},
      {{{"quantization_config", {{"bits", 4}}}}, "quantization_config is {\"bits\":4}"},
      {{{"partial_rotary_factor", 0.5}}, "partial_rotary_factor is 0.5"},
      {{{"layer_types", {"full_attention", "sliding_attention"}}}, "layer_types is ["},
  };
  for (const auto& [changes, words] : cases) {
    EXPECT_THAT(LoadWith(changes), StatusIs(absl::StatusCode::kInvalidArgument, words));
  }
}

TEST_F(ModelConfigTest, RefusesImpossibleValues) {
  const std::vector<std::pair<nlohmann::json, std::string>> cases = {
      {{{"vocab_size", nullptr}}, "vocab_size is missing"},
      {{{"vocab_size", -1}}, "vocab_size is -1"},
      {{{"hidden_size", "48"}}, "hidden_size is \"48\""},
      {{{"num_hidden_layers", 1000000}}, "num_hidden_layers is 1000000"},
      {{{"num_key_value_heads", 4}}, "num_key_value_heads is 4; it must divide"},
      {{{"head_dim", 7}}, "head_dim is 7"},
      {{{"rms_norm_eps", 0}}, "rms_norm_eps is 0"},
      {{{"tie_word_embeddings", 1}}, "tie_word_embeddings is 1"},
      {{{"eos_token_id", "</s>"}}, "eos_token_id is \"</s>\""},
  };
  for (const auto& [changes, words] : cases) {
    EXPECT_THAT(LoadWith(changes), StatusIs(absl::StatusCode::kInvalidArgument, words));
  }
}

TEST_F(ModelConfigTest, NamesAFileThatIsMissingOrNoJson) {
  EXPECT_THAT(LoadModelConfig(directory_.path()),
              StatusIs(absl::StatusCode::kNotFound, "config.json"));
  ASSERT_OK(WriteFile(directory_.File("config.json"), "{"));
  EXPECT_THAT(LoadModelConfig(directory_.path()),
              StatusIs(absl::StatusCode::kInvalidArgument, "config.json is not a JSON object"));
}

}  // namespace
}  // namespace attune
