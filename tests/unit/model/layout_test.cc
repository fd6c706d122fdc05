#include "model/layout.h"

#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/model/tiny_model.h"

namespace attune {
namespace {

using ::testing::ElementsAre;

// The tensors of `config` whose names contain `part`, as "name [shape]".
std::vector<std::string> TensorsWith(const ModelConfig& config, const std::string& part) {
  std::vector<std::string> lines;
  for (const TensorSpec& spec : WeightLayout(config)) {
    if (!absl::StrContains(spec.name, part)) continue;
    lines.push_back(absl::StrCat(spec.name, " [", absl::StrJoin(spec.shape, ", "), "]"));
  }
  return lines;
}

TEST(LayoutTest, IsSortedByNameAndWithoutGaps) {
  ModelConfig config = TinyConfig(false);
  config.num_layers = 11;  // layer 10 sorts before layer 2
  const std::vector<TensorSpec> layout = WeightLayout(config);
  EXPECT_EQ(3u + 11 * 9, layout.size());
  int64_t offset = 0;
  for (size_t i = 0; i < layout.size(); ++i) {
    EXPECT_TRUE(i == 0 || layout[i - 1].name < layout[i].name) << layout[i].name;
    EXPECT_EQ(offset, layout[i].offset);
    offset += layout[i].size;
  }
  EXPECT_EQ(offset, WeightCount(layout));
  EXPECT_EQ(std::vector<int64_t>({20, 48}),
            FindTensor(layout, "model.layers.10.self_attn.k_proj.weight").shape);
  EXPECT_EQ("lm_head.weight", layout[0].name);
  EXPECT_EQ("model.embed_tokens.weight", WeightLayout(TinyConfig(true))[0].name);
}

TEST(LayoutTest, NamesTheTensorsOfLlama) {
  EXPECT_THAT(TensorsWith(TinyConfig(true), "layers.1."),
              ElementsAre("model.layers.1.input_layernorm.weight [48]",
                          "model.layers.1.mlp.down_proj.weight [48, 70]",
                          "model.layers.1.mlp.gate_proj.weight [70, 48]",
                          "model.layers.1.mlp.up_proj.weight [70, 48]",
                          "model.layers.1.post_attention_layernorm.weight [48]",
                          "model.layers.1.self_attn.k_proj.weight [20, 48]",
                          "model.layers.1.self_attn.o_proj.weight [48, 60]",
                          "model.layers.1.self_attn.q_proj.weight [60, 48]",
                          "model.layers.1.self_attn.v_proj.weight [20, 48]"));
}

TEST(LayoutTest, AddsTheBiasesOfQwen2) {
  ModelConfig config = TinyConfig(true);
  config.qkv_bias = true;
  EXPECT_THAT(TensorsWith(config, "layers.0.self_attn"),
              ElementsAre("model.layers.0.self_attn.k_proj.bias [20]",
                          "model.layers.0.self_attn.k_proj.weight [20, 48]",
                          "model.layers.0.self_attn.o_proj.weight [48, 60]",
                          "model.layers.0.self_attn.q_proj.bias [60]",
                          "model.layers.0.self_attn.q_proj.weight [60, 48]",
                          "model.layers.0.self_attn.v_proj.bias [20]",
                          "model.layers.0.self_attn.v_proj.weight [20, 48]"));
}

TEST(LayoutTest, AddsTheHeadNormsOfQwen3) {
  ModelConfig config = TinyConfig(true);
  config.qk_norm = true;
  EXPECT_THAT(TensorsWith(config, "layers.0.self_attn.k"),
              ElementsAre("model.layers.0.self_attn.k_norm.weight [10]",
                          "model.layers.0.self_attn.k_proj.weight [20, 48]"));
  EXPECT_THAT(TensorsWith(config, "layers.1.self_attn.q_n"),
              ElementsAre("model.layers.1.self_attn.q_norm.weight [10]"));
}

TEST(LayoutTest, NamesTheFourNormsOfGemma2) {
  ModelConfig config = TinyConfig(true);
  config.post_norms = true;
  EXPECT_THAT(TensorsWith(config, "layers.0.p"),
              ElementsAre("model.layers.0.post_attention_layernorm.weight [48]",
                          "model.layers.0.post_feedforward_layernorm.weight [48]",
                          "model.layers.0.pre_feedforward_layernorm.weight [48]"));
  const LayerRefs layer = RefsOf(config).layers[0];
  EXPECT_EQ("model.layers.0.input_layernorm.weight", layer.attention_norm.weight);
  EXPECT_EQ("model.layers.0.post_attention_layernorm.weight", layer.attention_post_norm.weight);
  EXPECT_EQ("model.layers.0.pre_feedforward_layernorm.weight", layer.mlp_norm.weight);
  EXPECT_EQ("model.layers.0.post_feedforward_layernorm.weight", layer.mlp_post_norm.weight);
}

TEST(LayoutTest, SplitsTheRowsOfPhi3) {
  ModelConfig config = TinyConfig(false);
  config.naming = TensorNaming::kPhi3;
  EXPECT_THAT(TensorsWith(config, "layers.0."),
              ElementsAre("model.layers.0.input_layernorm.weight [48]",
                          "model.layers.0.mlp.down_proj.weight [48, 70]",
                          "model.layers.0.mlp.gate_up_proj.weight [140, 48]",
                          "model.layers.0.post_attention_layernorm.weight [48]",
                          "model.layers.0.self_attn.o_proj.weight [48, 60]",
                          "model.layers.0.self_attn.qkv_proj.weight [100, 48]"));
  const LayerRefs layer = RefsOf(config).layers[0];
  EXPECT_EQ(layer.q.weight, layer.v.weight);
  EXPECT_EQ(0, layer.q.first);
  EXPECT_EQ(60, layer.q.outputs);
  EXPECT_EQ(60, layer.k.first);
  EXPECT_EQ(80, layer.v.first);
  EXPECT_EQ(20, layer.v.outputs);
  EXPECT_EQ(0, layer.gate.first);
  EXPECT_EQ(70, layer.up.first);
}

TEST(LayoutTest, TransposesTheLinearMapsOfGpt2) {
  EXPECT_THAT(
      TensorsWith(TinyGpt2Config(), ""),
      ::testing::IsSupersetOf(
          {"transformer.h.0.attn.c_attn.bias [144]", "transformer.h.0.attn.c_attn.weight [48, 144]",
           "transformer.h.0.attn.c_proj.weight [48, 48]", "transformer.h.0.ln_1.bias [48]",
           "transformer.h.0.mlp.c_fc.bias [70]", "transformer.h.0.mlp.c_fc.weight [48, 70]",
           "transformer.h.0.mlp.c_proj.weight [70, 48]", "transformer.ln_f.bias [48]",
           "transformer.ln_f.weight [48]", "transformer.wpe.weight [64, 48]",
           "transformer.wte.weight [101, 48]"}));
  EXPECT_EQ(4u + 2 * 12, WeightLayout(TinyGpt2Config()).size());
  const LayerRefs layer = RefsOf(TinyGpt2Config()).layers[1];
  EXPECT_TRUE(layer.k.transposed);
  EXPECT_EQ(48, layer.k.first);
  EXPECT_EQ(144, layer.k.stored_outputs);
  EXPECT_EQ("", layer.gate.weight);
}

TEST(LayoutTest, TheHeadIsTheEmbeddingsOrItsOwnOrTheScore) {
  ModelConfig config = TinyConfig(true);
  EXPECT_EQ("model.embed_tokens.weight", RefsOf(config).head.weight);
  EXPECT_THAT(TensorsWith(config, "head"), ElementsAre());
  EXPECT_THAT(TensorsWith(TinyConfig(false), "head"), ElementsAre("lm_head.weight [101, 48]"));
  config.num_labels = 3;
  EXPECT_EQ("score.weight", RefsOf(config).head.weight);
  EXPECT_THAT(TensorsWith(config, "score"), ElementsAre("score.weight [3, 48]"));
  EXPECT_THAT(TensorsWith(config, "head"), ElementsAre());
}

}  // namespace
}  // namespace attune
