#include "model/model_config.h"

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tiny_model.h"

namespace attune {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using Json = nlohmann::json;

// Small sizes, so that what follows from them is easy to see; everything else is left to defaults.
Json Small(const std::string& model_type) {
  if (model_type == "gpt2") {
    return {
        {"model_type", "gpt2"}, {"vocab_size", 50}, {"n_embd", 48}, {"n_layer", 4}, {"n_head", 6}};
  }
  return {{"model_type", model_type}, {"vocab_size", 50},       {"hidden_size", 48},
          {"intermediate_size", 20},  {"num_hidden_layers", 4}, {"num_attention_heads", 6},
          {"num_key_value_heads", 2}};
}

class ModelConfigTest : public ::testing::Test {
 protected:
  void Write(const std::string& name, const std::string& text) {
    EXPECT_OK(WriteFile(directory_.File(name), text));
  }
  // Loads `json` with `changes`; the value "MISSING" takes a field away.
  absl::StatusOr<ModelConfig> Load(Json json, const Json& changes = Json::object()) {
    for (const auto& [key, value] : changes.items()) {
      if (value == "MISSING") {
        json.erase(key);
      } else {
        json[key] = value;
      }
    }
    Write("config.json", json.dump());
    return LoadModelConfig(directory_.path());
  }
  ModelConfig MustLoad(const Json& json, const Json& changes = Json::object()) {
    const absl::StatusOr<ModelConfig> config = Load(json, changes);
    EXPECT_OK(config);
    return config.ok() ? *config : ModelConfig{};
  }
  void ExpectRefused(const Json& json, const std::vector<std::pair<Json, std::string>>& cases) {
    for (const auto& [changes, words] : cases) {
      EXPECT_THAT(Load(json, changes), StatusIs(absl::StatusCode::kInvalidArgument, words));
    }
  }

  ScratchDirectory directory_;
};

TEST_F(ModelConfigTest, ReadsLlama) {
  const ModelConfig config = MustLoad(Small("llama"), {{"architectures", {"LlamaForCausalLM"}},
                                                       {"head_dim", 10},
                                                       {"rms_norm_eps", 1e-5},
                                                       {"tie_word_embeddings", true},
                                                       {"max_position_embeddings", 64},
                                                       {"attention_bias", true},
                                                       {"mlp_bias", true},
                                                       {"eos_token_id", 7}});
  EXPECT_EQ("llama", config.model_type);
  EXPECT_EQ(TensorNaming::kLlama, config.naming);
  EXPECT_EQ(50, config.vocab_size);
  EXPECT_EQ(48, config.hidden_size);
  EXPECT_EQ(20, config.intermediate_size);
  EXPECT_EQ(4, config.num_layers);
  EXPECT_EQ(6, config.num_heads);
  EXPECT_EQ(2, config.num_kv_heads);
  EXPECT_EQ(10, config.head_dim);
  EXPECT_EQ(1e-5f, config.norm_eps);
  EXPECT_EQ(NormKind::kRms, config.norm);
  EXPECT_EQ(RopeFrequencies(10000, 10), config.rope.frequencies);
  EXPECT_FLOAT_EQ(1 / std::sqrt(10.0f), config.attention_scale);
  EXPECT_TRUE(config.tie_word_embeddings);
  EXPECT_EQ(64, config.max_position_embeddings);
  EXPECT_TRUE(config.qkv_bias && config.output_bias && config.mlp_bias && config.gated_mlp);
  EXPECT_THAT(config.attention_windows, IsEmpty());
  EXPECT_THAT(config.eos_token_ids, ElementsAre(7));
  EXPECT_EQ(0, config.num_labels);
}

TEST_F(ModelConfigTest, MissingFieldsHaveTheDefaultsOfTransformers) {
  const ModelConfig llama = MustLoad({{"model_type", "llama"}});
  EXPECT_EQ(32000, llama.vocab_size);
  EXPECT_EQ(11008, llama.intermediate_size);
  EXPECT_EQ(32, llama.num_kv_heads);
  EXPECT_EQ(128, llama.head_dim);
  EXPECT_EQ(2048, llama.max_position_embeddings);
  EXPECT_FALSE(llama.tie_word_embeddings);
  EXPECT_THAT(llama.eos_token_ids, ElementsAre(2));
  const ModelConfig mistral = MustLoad({{"model_type", "mistral"}});
  EXPECT_EQ(8, mistral.num_kv_heads);
  EXPECT_EQ(131072, mistral.max_position_embeddings);
  EXPECT_EQ(std::vector<int64_t>(32, 4096), mistral.attention_windows);
  EXPECT_THAT(MustLoad({{"model_type", "qwen2"}}).eos_token_ids, IsEmpty());
  EXPECT_EQ(128, MustLoad(Small("qwen3")).head_dim);
  EXPECT_EQ(1e-5f, MustLoad({{"model_type", "phi3"}}).norm_eps);
  EXPECT_EQ(256, MustLoad(Small("gemma")).head_dim);
  EXPECT_TRUE(MustLoad(Small("gemma")).tie_word_embeddings);
  const ModelConfig gpt2 = MustLoad({{"model_type", "gpt2"}});
  EXPECT_EQ(50257, gpt2.vocab_size);
  EXPECT_EQ(3072, gpt2.intermediate_size);
  EXPECT_EQ(1024, gpt2.max_position_embeddings);
  EXPECT_TRUE(gpt2.tie_word_embeddings);
  EXPECT_THAT(gpt2.eos_token_ids, ElementsAre(50256));
}

TEST_F(ModelConfigTest, NullIsNotMissing) {
  const Json mistral = Small("mistral");
  EXPECT_THAT(MustLoad(mistral, {{"sliding_window", nullptr}}).attention_windows, IsEmpty());
  EXPECT_EQ(6, MustLoad(mistral, {{"num_key_value_heads", nullptr}}).num_kv_heads);
  EXPECT_EQ(8, MustLoad(mistral, {{"head_dim", nullptr}}).head_dim);
  EXPECT_THAT(MustLoad(mistral, {{"eos_token_id", nullptr}}).eos_token_ids, IsEmpty());
  ExpectRefused(mistral, {{{{"vocab_size", nullptr}}, "vocab_size is null"}});
}

TEST_F(ModelConfigTest, WindowsThatReachOverTheWholeContextAreNone) {
  const Json mistral = Small("mistral");
  EXPECT_THAT(MustLoad(mistral, {{"max_position_embeddings", 4096}}).attention_windows, IsEmpty());
  EXPECT_THAT(MustLoad(mistral, {{"sliding_window", 5}}).attention_windows,
              ElementsAre(5, 5, 5, 5));
}

TEST_F(ModelConfigTest, Qwen2HasBiasesAndWindowsFromALayerOnWhenTheyAreUsed) {
  const Json qwen2 = Small("qwen2");
  const ModelConfig plain = MustLoad(qwen2, {{"sliding_window", 8}, {"max_window_layers", 1}});
  EXPECT_TRUE(plain.qkv_bias);
  EXPECT_FALSE(plain.output_bias);
  EXPECT_THAT(plain.attention_windows, IsEmpty());
  const Json used = {{"use_sliding_window", true}, {"sliding_window", 8}, {"max_window_layers", 3}};
  EXPECT_THAT(MustLoad(qwen2, used).attention_windows, ElementsAre(0, 0, 0, 8));
  Json all = used;
  all["max_window_layers"] = 0;
  EXPECT_THAT(MustLoad(qwen2, all).attention_windows, ElementsAre(8, 8, 8, 8));
  Json listed = used;
  listed["layer_types"] = {"sliding_attention", "full_attention", "full_attention",
                           "sliding_attention"};
  EXPECT_THAT(MustLoad(qwen2, listed).attention_windows, ElementsAre(8, 0, 0, 8));
}

TEST_F(ModelConfigTest, Qwen3NormalisesHeads) {
  const ModelConfig config = MustLoad(Small("qwen3"), {{"head_dim", 16}});
  EXPECT_TRUE(config.qk_norm);
  EXPECT_FALSE(config.qkv_bias);
  EXPECT_EQ(16, config.head_dim);
  EXPECT_EQ(0.25f, config.attention_scale);
}

TEST_F(ModelConfigTest, Phi3TurnsAPartOfEachHead) {
  const ModelConfig config =
      MustLoad(Small("phi3"), {{"partial_rotary_factor", 0.5}, {"sliding_window", 2047}});
  EXPECT_EQ(TensorNaming::kPhi3, config.naming);
  EXPECT_EQ(8, config.head_dim);
  EXPECT_EQ(4, config.rope.rotary_dim());
  EXPECT_THAT(config.attention_windows, ElementsAre(2047, 2047, 2047, 2047));
}

TEST_F(ModelConfigTest, GemmaScalesEmbeddingsAndAddsOneToNorms) {
  const ModelConfig config = MustLoad(Small("gemma"), {{"hidden_act", "gelu"}});
  EXPECT_TRUE(config.norm_adds_one);
  EXPECT_FALSE(config.post_norms);
  EXPECT_FLOAT_EQ(std::sqrt(48.0f), config.embedding_scale);
  EXPECT_EQ(Activation::kGeluTanh, config.activation);
  EXPECT_EQ(Activation::kSilu,
            MustLoad(Small("gemma"), {{"hidden_activation", "silu"}}).activation);
}

TEST_F(ModelConfigTest, Gemma2CapsScoresAndAlternatesWindows) {
  const Json gemma2 = Small("gemma2");
  const ModelConfig config = MustLoad(gemma2, {{"query_pre_attn_scalar", 64}});
  EXPECT_TRUE(config.post_norms);
  EXPECT_EQ(0.125f, config.attention_scale);
  EXPECT_EQ(50, config.attention_softcap);
  EXPECT_EQ(30, config.logit_softcap);
  EXPECT_THAT(config.attention_windows, ElementsAre(4096, 0, 4096, 0));
  const ModelConfig uncapped = MustLoad(gemma2, {{"attn_logit_softcapping", nullptr},
                                                 {"final_logit_softcapping", nullptr},
                                                 {"sliding_window", nullptr}});
  EXPECT_EQ(0, uncapped.attention_softcap);
  EXPECT_EQ(0, uncapped.logit_softcap);
  EXPECT_THAT(uncapped.attention_windows, IsEmpty());
  EXPECT_EQ(
      0, MustLoad(gemma2, {{"architectures", {"Gemma2ForSequenceClassification"}}}).logit_softcap);
}

TEST_F(ModelConfigTest, Gpt2HasItsOwnNamesOfFields) {
  const ModelConfig config = MustLoad(Small("gpt2"), {{"architectures", {"GPT2LMHeadModel"}},
                                                      {"n_inner", 100},
                                                      {"n_positions", 32},
                                                      {"layer_norm_epsilon", 1e-3},
                                                      {"eos_token_id", nullptr}});
  EXPECT_EQ(TensorNaming::kGpt2, config.naming);
  EXPECT_EQ(NormKind::kLayer, config.norm);
  EXPECT_EQ(Activation::kGeluTanh, config.activation);
  EXPECT_EQ(48, config.hidden_size);
  EXPECT_EQ(100, config.intermediate_size);
  EXPECT_EQ(8, config.head_dim);
  EXPECT_EQ(32, config.max_position_embeddings);
  EXPECT_EQ(1e-3f, config.norm_eps);
  EXPECT_TRUE(config.qkv_bias && config.output_bias && config.mlp_bias);
  EXPECT_FALSE(config.gated_mlp);
  EXPECT_THAT(config.rope.frequencies, IsEmpty());
  EXPECT_FLOAT_EQ(1 / std::sqrt(8.0f), config.attention_scale);
  EXPECT_EQ(1, MustLoad(Small("gpt2"), {{"scale_attn_weights", false}}).attention_scale);
  EXPECT_EQ(192, MustLoad(Small("gpt2"), {{"n_inner", nullptr}}).intermediate_size);
}

TEST_F(ModelConfigTest, ClassifiersHaveLabels) {
  const Json json = Small("qwen2");
  const Json names = {{"0", "bad"}, {"1", "fair"}, {"2", "good"}};
  const Json classes = {"Qwen2ForSequenceClassification"};
  EXPECT_EQ(3, MustLoad(json, {{"architectures", classes}, {"id2label", names}}).num_labels);
  EXPECT_EQ(1, MustLoad(json, {{"architectures", classes}, {"num_labels", 1}}).num_labels);
  EXPECT_EQ(2, MustLoad(json, {{"architectures", classes}}).num_labels);
  EXPECT_EQ(0, MustLoad(json, {{"id2label", names}}).num_labels);
}

TEST_F(ModelConfigTest, PaddingIsThatOfTheFileOrOfTheFamily) {
  EXPECT_EQ(-1, MustLoad(Small("llama"), Json::object()).pad_token_id);
  EXPECT_EQ(0, MustLoad(Small("gemma2"), Json::object()).pad_token_id);
  EXPECT_EQ(-1, MustLoad(Small("gemma2"), {{"pad_token_id", nullptr}}).pad_token_id);
  EXPECT_EQ(5, MustLoad(Small("llama"), {{"pad_token_id", 5}}).pad_token_id);
  EXPECT_EQ(-1, MustLoad(Small("llama"), {{"pad_token_id", -1}}).pad_token_id);
}

TEST_F(ModelConfigTest, EndsOfSequenceComeFromTheGenerationConfigWhereItHasThem) {
  const Json json = Small("llama");
  Write("generation_config.json", R"({"eos_token_id": [2, 1]})");
  EXPECT_THAT(MustLoad(json, {{"eos_token_id", 5}}).eos_token_ids, ElementsAre(2, 1));
  Write("generation_config.json", R"({"do_sample": true})");
  EXPECT_THAT(MustLoad(json, {{"eos_token_id", 5}}).eos_token_ids, ElementsAre(5));
  Write("generation_config.json", R"({"eos_token_id": "</s>"})");
  ExpectRefused(json, {{{}, "in generation_config.json: eos_token_id is \"</s>\""}});
}

TEST_F(ModelConfigTest, TellsAllProblemsTogether) {
  Json json = Small("llama");
  json["hidden_act"] = "relu";
  json["quantization_config"] = {{"bits", 4}};
  json["num_hidden_layers"] = 1000000;
  const absl::StatusOr<ModelConfig> config = Load(json);
  EXPECT_THAT(config, StatusIs(absl::StatusCode::kInvalidArgument,
                               "cannot use " + directory_.File("config.json") + ": "));
  EXPECT_THAT(config, StatusIs(absl::StatusCode::kInvalidArgument, "hidden_act is \"relu\""));
  EXPECT_THAT(config,
              StatusIs(absl::StatusCode::kInvalidArgument, "quantization_config is {\"bits\":4}"));
  EXPECT_THAT(config, StatusIs(absl::StatusCode::kInvalidArgument,
                               "num_hidden_layers is 1000000; it must be an integer from 1 to"));
}

TEST_F(ModelConfigTest, ReportsWhatCanBeKnownBesideTheProblems) {
  Json json = Small("llama");
  json["quantization_config"] = {{"bits", 4}};
  Write("config.json", json.dump());
  ASSERT_OK_AND_ASSIGN(const ConfigReport report, InspectModelConfig(directory_.path()));
  EXPECT_THAT(report.problems, ElementsAre(HasSubstr("quantization_config")));
  ASSERT_TRUE(report.config.has_value());
  EXPECT_EQ(48, report.config->hidden_size);
  json["hidden_size"] = 0;
  Write("config.json", json.dump());
  ASSERT_OK_AND_ASSIGN(const ConfigReport unusable, InspectModelConfig(directory_.path()));
  EXPECT_FALSE(unusable.config.has_value());
  EXPECT_THAT(unusable.problems, UnorderedElementsAre(HasSubstr("quantization_config"),
                                                      HasSubstr("hidden_size is 0")));
}

TEST_F(ModelConfigTest, RefusesByNameAndValueWhatWouldChangeNumbers) {
  ExpectRefused(
      Small("llama"),
      {{{{"model_type", "bert"}}, "model_type is \"bert\"; supported are llama, mistral, qwen2"},
       {{{"model_type", "MISSING"}}, "model_type is null; supported are"},
       {{{"architectures", {"LlamaForTokenClassification"}}}, "architectures is ["},
       {{{"architectures", {"MiniCPMForCausalLM"}}}, "architectures is [\"MiniCPMForCausalLM\"]"},
       {{{"auto_map", {{"AutoModelForCausalLM", "modeling_x.XForCausalLM"}}}}, "auto_map is {"},
       {{{"hidden_act", "gelu"}}, "hidden_act is \"gelu\""},
       {{{"sliding_window", 128}}, "sliding_window is 128"},
       {{{"clip_qkv", 8}}, "clip_qkv is 8"},
       {{{"logit_scale", 0.5}}, "logit_scale is 0.5"},
       {{{"embedding_multiplier", 12}}, "embedding_multiplier is 12"},
       {{{"final_logit_softcapping", 30}}, "final_logit_softcapping is 30"},
       {{{"partial_rotary_factor", 0.5}}, "partial_rotary_factor is 0.5"},
       {{{"no_rope_layers", {0, 1, 1, 1}}}, "no_rope_layers is ["},
       {{{"num_local_experts", 8}}, "num_local_experts is 8"},
       {{{"alibi", true}}, "alibi is true"},
       {{{"position_embedding_type", "alibi"}}, "position_embedding_type is \"alibi\""},
       {{{"layer_types",
          {"chunked_attention", "full_attention", "full_attention", "full_attention"}}},
        "layer_types is \"chunked_attention\""}});
  ExpectRefused(Small("mistral"),
                {{{{"attention_bias", true}}, "attention_bias is true"},
                 {{{"layer_types", {"full_attention"}}}, "only sliding_attention"}});
  ExpectRefused(Small("qwen2"),
                {{{{"layer_types",
                    {"sliding_attention", "full_attention", "full_attention", "full_attention"}}},
                  "sliding_attention needs a sliding_window in use"},
                 {{{"layer_types", {"full_attention"}}}, "a list for 4 layers"}});
  ExpectRefused(Small("gemma"),
                {{{{"hidden_act", "silu2"}}, "hidden_act is \"silu2\""},
                 {{{"use_bidirectional_attention", true}}, "use_bidirectional_attention is true"}});
  ExpectRefused(Small("gpt2"),
                {{{{"add_cross_attention", true}}, "add_cross_attention is true"},
                 {{{"scale_attn_by_inverse_layer_idx", true}}, "scale_attn_by_inverse_layer_idx"},
                 {{{"hidden_size", 64}}, "hidden_size is 64; it must be that of n_embd"},
                 {{{"n_head", 7}}, "n_embd is 48; without head_dim"}});
}

TEST_F(ModelConfigTest, TakesNeutralValuesOfWhatItDoesNotSupport) {
  EXPECT_OK(Load(
      Small("llama"),
      {{"quantization_config", nullptr},
       {"attention_dropout", 0.1},
       {"use_cache", false},
       {"pretraining_tp", 4},
       {"logit_scale", 1.0},
       {"residual_multiplier", 1},
       {"clip_qkv", nullptr},
       {"alibi", false},
       {"num_experts", 0},
       {"partial_rotary_factor", 1.0},
       {"layer_types", {"full_attention", "full_attention", "full_attention", "full_attention"}}}));
  // Phi-3 names its own classes; transformers has them itself.
  EXPECT_OK(Load(Small("phi3"), {{"auto_map",
                                  {{"AutoConfig", "configuration_phi3.Phi3Config"},
                                   {"AutoModelForCausalLM", "modeling_phi3.Phi3ForCausalLM"}}}}));
}

TEST_F(ModelConfigTest, RefusesImpossibleValues) {
  ExpectRefused(Small("llama"),
                {{{{"vocab_size", -1}}, "vocab_size is -1"},
                 {{{"vocab_size", 1e30}}, "vocab_size is 1e+30"},
                 {{{"vocab_size", 18446744073709551615u}}, "vocab_size is 18446744073709551615"},
                 {{{"hidden_size", "48"}}, "hidden_size is \"48\""},
                 {{{"hidden_size", 50}}, "hidden_size is 50; without head_dim"},
                 {{{"num_key_value_heads", 4}}, "num_key_value_heads is 4; it must divide"},
                 {{{"head_dim", 7}}, "head_dim is 7"},
                 {{{"rms_norm_eps", 0}}, "rms_norm_eps is 0"},
                 {{{"tie_word_embeddings", 1}}, "tie_word_embeddings is 1"},
                 {{{"architectures", 3}}, "architectures is 3"},
                 {{{"auto_map", 3}}, "auto_map is 3"},
                 {{{"layer_types", 3}}, "layer_types is 3"},
                 {{{"eos_token_id", {1, -1}}}, "eos_token_id is [1,-1]"}});
}

TEST_F(ModelConfigTest, NamesAFileThatIsMissingOrNoJson) {
  EXPECT_THAT(LoadModelConfig(directory_.path()),
              StatusIs(absl::StatusCode::kNotFound, "config.json"));
  Write("config.json", "{\"a\": }");
  EXPECT_THAT(LoadModelConfig(directory_.path()),
              StatusIs(absl::StatusCode::kInvalidArgument, "config.json: "));
  EXPECT_THAT(LoadModelConfig(directory_.path()),
              StatusIs(absl::StatusCode::kInvalidArgument, "at byte 6"));
  Write("config.json", "[]");
  EXPECT_THAT(LoadModelConfig(directory_.path()),
              StatusIs(absl::StatusCode::kInvalidArgument, "config.json: it is no JSON object"));
}

}  // namespace
}  // namespace attune
