#include "model/model_family.h"

#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"

namespace attune {
namespace {

using Json = nlohmann::json;

Activation ReadActivation(ConfigReader* reader, const char* name, const char* fallback) {
  const std::string activation = reader->Text(name, fallback);
  if (activation == "silu" || activation == "swish") return Activation::kSilu;
  if (activation != "gelu_new" && activation != "gelu_pytorch_tanh") {
    reader->Refuse(name, activation,
                   "only silu (swish) and gelu_pytorch_tanh (gelu_new) are supported");
  }
  return Activation::kGeluTanh;
}

void ReadHiddenAct(ConfigReader* reader, ModelConfig* config) {
  config->activation = ReadActivation(reader, "hidden_act", "silu");
}

// The window of the layers that have one, 0 for none. `layer_types` says which have one; without it
// those from `first` on, every `step`th.
void ReadWindows(ConfigReader* reader, int64_t window, int64_t first, int64_t step,
                 ModelConfig* config) {
  std::vector<int64_t> windows(config->num_layers, 0);
  for (int64_t layer = first; layer < config->num_layers; layer += step) windows[layer] = window;
  if (const Json* const types = reader->Find("layer_types")) {
    const bool listed = types->is_array() && types->size() == windows.size();
    for (size_t layer = 0; listed && layer < windows.size(); ++layer) {
      const bool sliding = (*types)[layer] == "sliding_attention";
      if (!sliding && (*types)[layer] != "full_attention") {
        reader->Refuse("layer_types", (*types)[layer],
                       "only full_attention and sliding_attention are supported");
        return;
      }
      if (sliding && window == 0) {
        reader->Refuse("layer_types", *types, "sliding_attention needs a sliding_window in use");
        return;
      }
      windows[layer] = sliding ? window : 0;
    }
    if (!listed) {
      reader->Refuse("layer_types", *types,
                     absl::StrCat("it must be a list for ", config->num_layers, " layers"));
    }
  }
  const bool felt = window > 0 && window < config->max_position_embeddings &&
                    absl::c_linear_search(windows, window);
  if (felt) config->attention_windows = std::move(windows);
}

// Of the families whose code in transformers goes by sliding_window alone, whatever layer_types
// say.
void ReadWindowOfAllLayers(ConfigReader* reader, std::optional<int64_t> fallback,
                           ModelConfig* config) {
  const int64_t window =
      reader->OptionalSize("sliding_window", kPositionsMax, fallback).value_or(0);
  const Json* const types = reader->Find("layer_types");
  const char* const kind = window > 0 ? "sliding_attention" : "full_attention";
  const bool agree =
      types == nullptr ||
      (types->is_array() && absl::c_all_of(*types, [&](const Json& type) { return type == kind; }));
  if (!agree) {
    reader->Refuse("layer_types", *types,
                   absl::StrCat("only ", kind,
                                " is supported with this model_type and "
                                "sliding_window"));
    return;
  }
  if (window > 0 && window < config->max_position_embeddings) {
    config->attention_windows.assign(config->num_layers, window);
  }
}

void ReadAttentionBias(ConfigReader* reader, ModelConfig* config) {
  config->qkv_bias = reader->Bool("attention_bias", false);
  config->output_bias = config->qkv_bias;
}

void ReadLlama(ConfigReader* reader, ModelConfig* config) {
  ReadHiddenAct(reader, config);
  ReadAttentionBias(reader, config);
  config->mlp_bias = reader->Bool("mlp_bias", false);
  ReadWindows(reader, 0, 0, 1, config);
}

void ReadMistral(ConfigReader* reader, ModelConfig* config) {
  ReadHiddenAct(reader, config);
  ReadWindowOfAllLayers(reader, 4096, config);
}

void ReadQwen(ConfigReader* reader, ModelConfig* config) {
  ReadHiddenAct(reader, config);
  const bool used = reader->Bool("use_sliding_window", false);
  const std::optional<int64_t> window = reader->OptionalSize("sliding_window", kPositionsMax, 4096);
  const Json* const first = reader->Find("max_window_layers");
  const bool from_first = first != nullptr && *first == 0;
  ReadWindows(reader, used ? window.value_or(0) : 0,
              from_first ? 0 : reader->Size("max_window_layers", kPositionsMax, 28), 1, config);
}

void ReadQwen2(ConfigReader* reader, ModelConfig* config) {
  config->qkv_bias = true;
  ReadQwen(reader, config);
}

void ReadQwen3(ConfigReader* reader, ModelConfig* config) {
  config->qk_norm = true;
  ReadAttentionBias(reader, config);
  ReadQwen(reader, config);
}

void ReadPhi3(ConfigReader* reader, ModelConfig* config) {
  ReadHiddenAct(reader, config);
  config->naming = TensorNaming::kPhi3;
  ReadWindowOfAllLayers(reader, std::nullopt, config);
}

void ReadGemmaNorms(ConfigReader* reader, ModelConfig* config) {
  config->norm_adds_one = true;
  config->embedding_scale = std::sqrt(static_cast<float>(config->hidden_size));
  ReadAttentionBias(reader, config);
}

// The first files say hidden_act "gelu" of models that were trained with its tanh form, which
// transformers 4 takes unless hidden_activation says otherwise.
void ReadGemma(ConfigReader* reader, ModelConfig* config) {
  ReadGemmaNorms(reader, config);
  if (reader->Find("hidden_activation") != nullptr) {
    config->activation = ReadActivation(reader, "hidden_activation", "");
  } else if (reader->Text("hidden_act", "gelu") == "gelu") {
    config->activation = Activation::kGeluTanh;
  } else {
    config->activation = ReadActivation(reader, "hidden_act", "");
  }
  ReadWindows(reader, 0, 0, 1, config);
}

void ReadGemma2(ConfigReader* reader, ModelConfig* config) {
  ReadGemmaNorms(reader, config);
  config->post_norms = true;
  config->activation = ReadActivation(reader, "hidden_activation", "gelu_pytorch_tanh");
  config->attention_scale =
      static_cast<float>(1 / std::sqrt(reader->Number("query_pre_attn_scalar", 256)));
  config->attention_softcap =
      static_cast<float>(reader->OptionalNumber("attn_logit_softcapping", 50).value_or(0));
  const double cap = reader->OptionalNumber("final_logit_softcapping", 30).value_or(0);
  if (config->num_labels == 0) config->logit_softcap = static_cast<float>(cap);
  const std::optional<int64_t> window = reader->OptionalSize("sliding_window", kPositionsMax, 4096);
  ReadWindows(reader, window.value_or(0), 0, 2, config);
}

void ReadGpt2(ConfigReader* reader, ModelConfig* config) {
  config->naming = TensorNaming::kGpt2;
  config->norm = NormKind::kLayer;
  config->gated_mlp = false;
  config->qkv_bias = config->output_bias = config->mlp_bias = true;
  config->activation = ReadActivation(reader, "activation_function", "gelu_new");
  if (!reader->Bool("scale_attn_weights", true)) config->attention_scale = 1;
}

// Of the fields that CheckUnsupportedFields looks at, those that a family reads or, as transformers
// does, ignores.
constexpr const char* kLlamaKnown[] = {"attention_bias", "mlp_bias"};
constexpr const char* kWindowKnown[] = {"sliding_window"};
constexpr const char* kQwen2Known[] = {"attention_bias", "qkv_bias", "sliding_window",
                                       "use_sliding_window"};
constexpr const char* kQwen3Known[] = {"attention_bias", "sliding_window", "use_sliding_window",
                                       "qk_norm", "use_qk_norm"};
constexpr const char* kBiasKnown[] = {"attention_bias"};
constexpr const char* kGemma2Known[] = {"attention_bias", "sliding_window", "query_pre_attn_scalar",
                                        "attn_logit_softcapping", "final_logit_softcapping"};

constexpr ModelFamily kFamilies[] = {
    {.model_type = "llama",
     .class_prefix = "Llama",
     .vocab_size = 32000,
     .hidden_size = 4096,
     .intermediate_size = 11008,
     .num_layers = 32,
     .num_heads = 32,
     .max_position_embeddings = 2048,
     .eos_token_id = 2,
     .known = kLlamaKnown,
     .read = ReadLlama},
    {.model_type = "mistral",
     .class_prefix = "Mistral",
     .vocab_size = 32000,
     .hidden_size = 4096,
     .intermediate_size = 14336,
     .num_layers = 32,
     .num_heads = 32,
     .num_kv_heads = 8,
     .max_position_embeddings = 131072,
     .eos_token_id = 2,
     .known = kWindowKnown,
     .read = ReadMistral},
    {.model_type = "qwen2",
     .class_prefix = "Qwen2",
     .vocab_size = 151936,
     .hidden_size = 4096,
     .intermediate_size = 22016,
     .num_layers = 32,
     .num_heads = 32,
     .num_kv_heads = 32,
     .max_position_embeddings = 32768,
     .known = kQwen2Known,
     .read = ReadQwen2},
    {.model_type = "qwen3",
     .class_prefix = "Qwen3",
     .vocab_size = 151936,
     .hidden_size = 4096,
     .intermediate_size = 22016,
     .num_layers = 32,
     .num_heads = 32,
     .num_kv_heads = 32,
     .head_dim = 128,
     .max_position_embeddings = 32768,
     .known = kQwen3Known,
     .read = ReadQwen3},
    {.model_type = "phi3",
     .class_prefix = "Phi3",
     .vocab_size = 32064,
     .hidden_size = 3072,
     .intermediate_size = 8192,
     .num_layers = 32,
     .num_heads = 32,
     .max_position_embeddings = 4096,
     .norm_eps = 1e-5,
     .eos_token_id = 32000,
     .pad_token_id = 32000,
     .known = kWindowKnown,
     .read = ReadPhi3},
    {.model_type = "gemma",
     .class_prefix = "Gemma",
     .vocab_size = 256000,
     .hidden_size = 3072,
     .intermediate_size = 24576,
     .num_layers = 28,
     .num_heads = 16,
     .num_kv_heads = 16,
     .head_dim = 256,
     .max_position_embeddings = 8192,
     .tie_word_embeddings = true,
     .eos_token_id = 1,
     .pad_token_id = 0,
     .known = kBiasKnown,
     .read = ReadGemma},
    {.model_type = "gemma2",
     .class_prefix = "Gemma2",
     .vocab_size = 256000,
     .hidden_size = 2304,
     .intermediate_size = 9216,
     .num_layers = 26,
     .num_heads = 8,
     .num_kv_heads = 4,
     .head_dim = 256,
     .max_position_embeddings = 8192,
     .tie_word_embeddings = true,
     .eos_token_id = 1,
     .pad_token_id = 0,
     .known = kGemma2Known,
     .read = ReadGemma2},
    {.model_type = "gpt2",
     .class_prefix = "GPT2",
     .vocab_size = 50257,
     .hidden_size = 768,
     .num_layers = 12,
     .num_heads = 12,
     .max_position_embeddings = 1024,
     .norm_eps = 1e-5,
     .tie_word_embeddings = true,
     .eos_token_id = 50256,
     .read = ReadGpt2},
};

}  // namespace

absl::Span<const ModelFamily> ModelFamilies() { return kFamilies; }

}  // namespace attune
