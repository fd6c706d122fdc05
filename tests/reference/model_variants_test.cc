// The variants are worth comparing: their numbers are well scaled, and every option of a config
// moves them by far more than rounding does.
#include "tests/reference/model_variants.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "common/check.h"
#include "gtest/gtest.h"
#include "tests/reference/model_factory.h"
#include "tests/reference/reference_model.h"

namespace attune {
namespace {

using nlohmann::json;

std::vector<int32_t> SomeIds() {
  std::vector<int32_t> ids;
  for (int i = 0; i < kVariantPositions; ++i) ids.push_back(i * i * 11 % kVariantVocabulary);
  return ids;
}

ModelVariant VariantNamed(const std::string& name) {
  const std::vector<ModelVariant> variants = AllVariants();
  const auto found = std::find_if(variants.begin(), variants.end(),
                                  [&name](const ModelVariant& v) { return v.name == name; });
  ATTUNE_CHECK(found != variants.end());
  return *found;
}

TEST(ModelVariantsTest, NamesAreUnique) {
  std::set<std::string> names;
  for (const ModelVariant& variant : AllVariants()) {
    EXPECT_TRUE(names.insert(variant.name).second) << variant.name;
  }
}

TEST(ModelVariantsTest, LogitsAreOfTheOrderOfOne) {
  for (const ModelVariant& variant : AllVariants()) {
    double squares = 0, count = 0;
    for (const std::vector<double>& row :
         ReferenceLogits(variant.config, MakeTensors(variant), SomeIds())) {
      for (double logit : row) squares += logit * logit;
      count += static_cast<double>(row.size());
    }
    EXPECT_GT(std::sqrt(squares / count), 0.3) << variant.name;
    EXPECT_LT(std::sqrt(squares / count), 3) << variant.name;
  }
}

// A variant and one value of its config that is replaced: its tensors stay the same.
struct Change {
  std::string variant;
  json patch;
};

TEST(ModelVariantsTest, EveryOptionMovesTheLogits) {
  const std::vector<Change> changes = {
      {"llama", {{"rms_norm_eps", 1e-2}}},
      {"llama", {{"rope_theta", 5000.0}}},
      {"llama", {{"hidden_act", "gelu"}}},
      {"llama_biases", {{"attention_bias", false}}},
      {"llama_biases", {{"mlp_bias", false}}},
      {"llama_linear", {{"rope_scaling", nullptr}}},
      {"llama_dynamic", {{"max_position_embeddings", 24}}},
      {"llama_llama3", {{"rope_scaling", nullptr}}},
      {"llama_llama3", {{"rope_scaling", {{"high_freq_factor", 3.0}}}}},
      {"llama_yarn", {{"rope_scaling", {{"factor", 3.0}}}}},
      {"llama_yarn", {{"rope_scaling", {{"attention_factor", 1.0}}}}},
      {"llama_yarn_betas", {{"rope_scaling", {{"beta_fast", 8.0}}}}},
      {"llama_yarn_betas", {{"rope_scaling", {{"beta_slow", 1.0}}}}},
      {"llama_yarn_untruncated", {{"rope_scaling", {{"truncate", true}}}}},
      {"llama_yarn_mscale", {{"rope_scaling", {{"mscale", 0.8}}}}},
      {"llama_rope_parameters", {{"rope_parameters", {{"rope_theta", 10000.0}}}}},
      {"mistral_window", {{"sliding_window", 8}}},
      {"qwen2_window", {{"use_sliding_window", false}}},
      {"qwen2_window", {{"max_window_layers", 2}}},
      {"qwen2_layer_types", {{"layer_types", nullptr}}},
      {"qwen2_yarn", {{"rope_scaling", nullptr}}},
      {"qwen3_biases", {{"attention_bias", false}}},
      {"qwen3_window", {{"sliding_window", 6}}},
      {"phi3_window", {{"sliding_window", 10}}},
      {"phi3_partial", {{"partial_rotary_factor", 0.6}}},
      {"phi3_longrope", {{"original_max_position_embeddings", 39}}},
      {"phi3_longrope", {{"max_position_embeddings", 40}}},
      {"phi3_longrope_partial", {{"rope_scaling", {{"attention_factor", 1.2}}}}},
      {"gemma", {{"hidden_act", "silu"}}},
      {"gemma2", {{"attn_logit_softcapping", 2.1}}},
      {"gemma2", {{"final_logit_softcapping", 1.6}}},
      {"gemma2", {{"query_pre_attn_scalar", 12}}},
      {"gemma2", {{"sliding_window", 7}}},
      {"gemma2_layer_types", {{"layer_types", nullptr}}},
      {"gemma2_defaults", {{"final_logit_softcapping", 40.0}}},
      {"gpt2", {{"activation_function", "gelu"}}},
      {"gpt2", {{"layer_norm_epsilon", 1e-2}}},
      {"gpt2", {{"scale_attn_weights", false}}},
      {"gpt2", {{"scale_attn_by_inverse_layer_idx", true}}},
  };
  const std::vector<int32_t> ids = SomeIds();
  for (const Change& change : changes) {
    const ModelVariant variant = VariantNamed(change.variant);
    json config = variant.config;
    config.merge_patch(change.patch);
    const ReferenceTensors tensors = MakeTensors(variant);
    const auto before = ReferenceLogits(variant.config, tensors, ids);
    const auto after = ReferenceLogits(config, tensors, ids);
    double moved = 0;
    for (size_t t = 0; t < before.size(); ++t) {
      for (size_t i = 0; i < before[t].size(); ++i) {
        moved = std::max(moved, std::fabs(before[t][i] - after[t][i]));
      }
    }
    EXPECT_GT(moved, 5e-4) << change.variant << " " << change.patch;
  }
}

}  // namespace
}  // namespace attune
