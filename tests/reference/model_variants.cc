#include "tests/reference/model_variants.h"

#include <utility>

namespace attune {
namespace {

using nlohmann::json;

json With(json config, const json& changes) {
  config.update(changes);
  return config;
}

json Rotary(const std::string& family, const std::string& architecture) {
  return {{"architectures", {architecture + "ForCausalLM"}},
          {"model_type", family},
          {"vocab_size", kVariantVocabulary},
          {"hidden_size", 40},
          {"intermediate_size", 53},
          {"num_hidden_layers", 3},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"hidden_act", "silu"},
          {"max_position_embeddings", 64},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 10000.0},
          {"tie_word_embeddings", false},
          {"bos_token_id", 1},
          {"eos_token_id", 2},
          {"torch_dtype", "float32"}};
}

// Sixteen frequencies, so that every scaling has some to stretch, to keep and to blend.
json Scaled(const json& base, const json& scaling) {
  return With(base, {{"head_dim", 32}, {"rope_scaling", scaling}});
}

void AddLlama(std::vector<ModelVariant>* variants) {
  const json base = Rotary("llama", "Llama");
  variants->push_back({"llama", base});
  variants->push_back({"llama_tied", With(base, {{"tie_word_embeddings", true}})});
  variants->push_back({"llama_odd_sizes", With(base, {{"hidden_size", 37},
                                                      {"num_attention_heads", 6},
                                                      {"num_key_value_heads", 3},
                                                      {"head_dim", 14},
                                                      {"intermediate_size", 51}})});
  variants->push_back({"llama_biases", With(base, {{"attention_bias", true}, {"mlp_bias", true}})});
  json defaults = With(base, {{"rope_scaling", nullptr}, {"head_dim", nullptr}});
  for (const char* key : {"num_key_value_heads", "hidden_act", "rms_norm_eps", "rope_theta",
                          "tie_word_embeddings", "torch_dtype"}) {
    defaults.erase(key);
  }
  variants->push_back({"llama_defaults", defaults});
  variants->push_back({"llama_bf16", With(base, {{"torch_dtype", "bfloat16"}}), "BF16"});
  variants->push_back({"llama_f16", With(base, {{"torch_dtype", "float16"}}), "F16"});
  variants->push_back({"llama_shards", base, "F32", 3});
  ModelVariant head_only{"llama_head_only", With(base, {{"tie_word_embeddings", true}})};
  head_only.head_only = true;
  variants->push_back(head_only);
  ModelVariant buffers{"llama_buffers", base};
  buffers.buffers = true;
  variants->push_back(buffers);
}

void AddLlamaRope(std::vector<ModelVariant>* variants) {
  const json base = Rotary("llama", "Llama");
  variants->push_back({"llama_linear", Scaled(base, {{"rope_type", "linear"}, {"factor", 2.5}})});
  variants->push_back({"llama_dynamic", Scaled(base, {{"type", "dynamic"}, {"factor", 4.0}})});
  variants->push_back({"llama_llama3", Scaled(base, {{"rope_type", "llama3"},
                                                     {"factor", 8.0},
                                                     {"low_freq_factor", 1.0},
                                                     {"high_freq_factor", 4.0},
                                                     {"original_max_position_embeddings", 32}})});
  const json yarn = {
      {"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 16}};
  variants->push_back({"llama_yarn", Scaled(base, yarn)});
  variants->push_back(
      {"llama_yarn_betas", Scaled(With(base, {{"max_position_embeddings", 256}}),
                                  With(yarn, {{"original_max_position_embeddings", 64},
                                              {"beta_fast", 2.0},
                                              {"beta_slow", 0.05}}))});
  variants->push_back(
      {"llama_yarn_untruncated", Scaled(base, With(yarn, {{"beta_fast", 2.0},
                                                          {"beta_slow", 0.2},
                                                          {"truncate", false},
                                                          {"attention_factor", 1.3}}))});
  variants->push_back(
      {"llama_yarn_mscale", Scaled(base, With(yarn, {{"mscale", 1.5}, {"mscale_all_dim", 0.8}}))});
  // The trained length is max_position_embeddings where nothing else is said.
  variants->push_back({"llama_yarn_short", Scaled(base, {{"type", "yarn"}, {"factor", 2.0}})});
  // As transformers 5 writes it.
  json parameters = With(base, {{"head_dim", 32},
                                {"rope_parameters",
                                 {{"rope_type", "llama3"},
                                  {"rope_theta", 500.0},
                                  {"factor", 4.0},
                                  {"low_freq_factor", 1.0},
                                  {"high_freq_factor", 3.0},
                                  {"original_max_position_embeddings", 32}}}});
  parameters.erase("rope_theta");
  variants->push_back({"llama_rope_parameters", parameters});
}

void AddMistral(std::vector<ModelVariant>* variants) {
  const json base = Rotary("mistral", "Mistral");
  variants->push_back({"mistral", With(base, {{"sliding_window", nullptr}})});
  variants->push_back({"mistral_window", With(base, {{"sliding_window", 7}})});
  variants->push_back({"mistral_default_window", base});
  variants->push_back(
      {"mistral_head_dim",
       With(base, {{"sliding_window", nullptr}, {"head_dim", 16}, {"num_key_value_heads", 1}})});
}

void AddQwen2(std::vector<ModelVariant>* variants) {
  const json base = With(Rotary("qwen2", "Qwen2"), {{"use_sliding_window", false},
                                                    {"sliding_window", 6},
                                                    {"max_window_layers", 1},
                                                    {"rope_theta", 1000000.0}});
  variants->push_back({"qwen2", base});
  variants->push_back({"qwen2_tied", With(base, {{"tie_word_embeddings", true}})});
  variants->push_back({"qwen2_window", With(base, {{"use_sliding_window", true}})});
  variants->push_back(
      {"qwen2_layer_types",
       With(base,
            {{"use_sliding_window", true},
             {"layer_types", {"sliding_attention", "full_attention", "sliding_attention"}}})});
  variants->push_back(
      {"qwen2_yarn",
       With(base,
            {{"rope_scaling",
              {{"type", "yarn"}, {"factor", 2.0}, {"original_max_position_embeddings", 32}}}})});
}

void AddQwen3(std::vector<ModelVariant>* variants) {
  const json base = With(Rotary("qwen3", "Qwen3"),
                         {{"head_dim", 16}, {"rms_norm_eps", 1e-6}, {"attention_bias", false}});
  variants->push_back({"qwen3", base});
  variants->push_back(
      {"qwen3_biases", With(base, {{"attention_bias", true}, {"tie_word_embeddings", true}})});
  variants->push_back({"qwen3_window", With(base, {{"use_sliding_window", true},
                                                   {"sliding_window", 5},
                                                   {"max_window_layers", 2}})});
}

json Longrope(const std::string& type, int frequencies) {
  json short_factor, long_factor;
  for (int i = 0; i < frequencies; ++i) {
    short_factor.push_back(1 + 0.1 * i);
    long_factor.push_back(2 + 3.0 * i);
  }
  return {{"type", type}, {"short_factor", short_factor}, {"long_factor", long_factor}};
}

void AddPhi3(std::vector<ModelVariant>* variants) {
  const json base = With(Rotary("phi3", "Phi3"), {{"original_max_position_embeddings", 64},
                                                  {"rope_scaling", nullptr},
                                                  {"sliding_window", nullptr}});
  variants->push_back({"phi3", base});
  variants->push_back({"phi3_window", With(base, {{"sliding_window", 9}})});
  variants->push_back({"phi3_partial", With(base, {{"num_attention_heads", 2},
                                                   {"num_key_value_heads", 1},
                                                   {"partial_rotary_factor", 0.7},
                                                   {"tie_word_embeddings", true}})});
  const json longer = {{"original_max_position_embeddings", kVariantPositions},
                       {"max_position_embeddings", 8 * kVariantPositions}};
  variants->push_back(
      {"phi3_longrope", With(With(base, longer), {{"rope_scaling", Longrope("longrope", 5)}})});
  json scaling = Longrope("su", 3);
  scaling["attention_factor"] = 1.25;
  variants->push_back(
      {"phi3_longrope_partial",
       With(With(base, longer), {{"rope_scaling", scaling}, {"partial_rotary_factor", 0.6}})});
}

void AddGemma(std::vector<ModelVariant>* variants) {
  const json base = With(Rotary("gemma", "Gemma"), {{"head_dim", 12},
                                                    {"hidden_act", "gelu_pytorch_tanh"},
                                                    {"tie_word_embeddings", true},
                                                    {"rms_norm_eps", 1e-6}});
  variants->push_back({"gemma", base});
  json defaults = With(base, {{"attention_bias", true},
                              {"num_key_value_heads", 1},
                              {"hidden_activation", "gelu_pytorch_tanh"}});
  for (const char* key : {"tie_word_embeddings", "rms_norm_eps", "hidden_act"}) {
    defaults.erase(key);
  }
  variants->push_back({"gemma_biases_defaults", defaults});
  variants->push_back({"gemma_first_release",
                       With(base, {{"hidden_act", "gelu"}, {"hidden_activation", nullptr}})});

  json second = With(base, {{"architectures", {"Gemma2ForCausalLM"}},
                            {"model_type", "gemma2"},
                            {"hidden_activation", "gelu_pytorch_tanh"},
                            {"query_pre_attn_scalar", 7},
                            {"sliding_window", 6},
                            {"attn_logit_softcapping", 2.0},
                            {"final_logit_softcapping", 1.5}});
  variants->push_back({"gemma2", second});
  variants->push_back({"gemma2_uncapped", With(second, {{"attn_logit_softcapping", nullptr},
                                                        {"final_logit_softcapping", nullptr},
                                                        {"attention_bias", true}})});
  variants->push_back(
      {"gemma2_layer_types",
       With(second, {{"layer_types", {"full_attention", "sliding_attention", "full_attention"}}})});
  for (const char* key : {"query_pre_attn_scalar", "sliding_window", "attn_logit_softcapping",
                          "final_logit_softcapping", "tie_word_embeddings"}) {
    second.erase(key);
  }
  variants->push_back({"gemma2_defaults", second});
}

json Gpt2() {
  return {{"architectures", {"GPT2LMHeadModel"}},
          {"model_type", "gpt2"},
          {"activation_function", "gelu_new"},
          {"vocab_size", kVariantVocabulary},
          {"n_embd", 39},
          {"n_layer", 3},
          {"n_head", 3},
          {"n_inner", nullptr},
          {"n_positions", 48},
          {"n_ctx", 48},
          {"layer_norm_epsilon", 1e-5},
          {"bos_token_id", 1},
          {"eos_token_id", 1}};
}

void AddGpt2(std::vector<ModelVariant>* variants) {
  const json base = Gpt2();
  variants->push_back({"gpt2", base});
  variants->push_back(
      {"gpt2_untied", With(base, {{"tie_word_embeddings", false}, {"n_inner", 53}})});
  variants->push_back({"gpt2_unscaled", With(base, {{"scale_attn_weights", false}})});
  variants->push_back({"gpt2_f16", base, "F16", 2});
  ModelVariant published{"gpt2_published", base};  // as the models of 2019 are stored
  published.bare_names = true;
  published.buffers = true;
  variants->push_back(published);
}

// A saved classifier states its labels by their names.
json Classifier(json config, const std::string& architecture, int labels) {
  config["architectures"] = {architecture};
  config["id2label"] = json::object();
  config["label2id"] = json::object();
  for (int i = 0; i < labels; ++i) {
    const std::string label = "LABEL_" + std::to_string(i);
    config["id2label"][std::to_string(i)] = label;
    config["label2id"][label] = i;
  }
  return config;
}

}  // namespace

std::vector<ModelVariant> AllVariants() {
  std::vector<ModelVariant> variants;
  AddLlama(&variants);
  AddLlamaRope(&variants);
  AddMistral(&variants);
  AddQwen2(&variants);
  AddQwen3(&variants);
  AddPhi3(&variants);
  AddGemma(&variants);
  AddGpt2(&variants);
  return variants;
}

std::vector<UnsupportedVariant> UnsupportedVariants() {
  const json llama = Rotary("llama", "Llama");
  return {
      {{"llama_gelu", With(llama, {{"hidden_act", "gelu"}})}, "hidden_act"},
      {{"gpt2_relu", With(Gpt2(), {{"activation_function", "relu"}})}, "activation_function"},
      {{"gpt2_layer_scale", With(Gpt2(), {{"scale_attn_by_inverse_layer_idx", true}})},
       "scale_attn_by_inverse_layer_idx"},
  };
}

std::vector<ModelVariant> ClassifierVariants() {
  const json gemma2 = With(Rotary("gemma2", "Gemma2"), {{"head_dim", 12},
                                                        {"hidden_act", "gelu_pytorch_tanh"},
                                                        {"tie_word_embeddings", true},
                                                        {"final_logit_softcapping", 0.5}});
  return {
      {"llama_reward", Classifier(Rotary("llama", "Llama"), "LlamaForSequenceClassification", 1)},
      {"qwen2_tied_labels",
       Classifier(With(Rotary("qwen2", "Qwen2"), {{"tie_word_embeddings", true}}),
                  "Qwen2ForSequenceClassification", 3)},
      // The cap is the language head's.
      {"gemma2_reward", Classifier(gemma2, "Gemma2ForSequenceClassification", 1)},
      {"gpt2_labels", Classifier(Gpt2(), "GPT2ForSequenceClassification", 2)},
  };
}

}  // namespace attune
