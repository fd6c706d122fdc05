#include "model/config_checks.h"

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace attune {
namespace {

using Json = nlohmann::json;

// Supported when null, false, 0 or empty.
constexpr const char* kOffFields[] = {
    // Weights that are not what they seem.
    "quantization_config", "compression_config", "pruned_heads", "per_layer_config",
    // Positions.
    "alibi", "use_alibi", "no_rope_layers", "rope_interleaved", "rope_interleave",
    "rotary_interleaved", "use_mrope",
    // Attention.
    "attention_bias", "add_cross_attention", "cross_attention_hidden_size", "is_encoder_decoder",
    "attention_chunk_size", "attn_temperature_tuning", "use_bidirectional_attention",
    "sliding_window", "use_sliding_window", "sliding_window_pattern", "clip_qkv", "qkv_bias",
    "attn_logit_softcapping", "query_pre_attn_scalar", "qk_norm", "use_qk_norm", "qk_layernorm",
    "q_lora_rank", "kv_lora_rank", "scale_attn_by_inverse_layer_idx",
    // Blocks.
    "mlp_bias", "parallel_attn", "parallel_residual", "use_parallel_residual", "num_local_experts",
    "num_experts", "n_routed_experts", "num_experts_per_tok", "moe_num_experts",
    "moe_intermediate_size", "scale_depth", "dim_model_base",
    // Logits.
    "final_logit_softcapping", "output_bias", "lm_head_bias"};

// Supported when null or 1. So is every other field that ends in _multiplier.
constexpr const char* kOneFields[] = {"logit_scale", "logits_scaling", "scale_emb",
                                      "embedding_scale"};

constexpr absl::string_view kClassEndings[] = {"ForCausalLM", "LMHeadModel",
                                               "ForSequenceClassification"};

bool IsOne(const Json& value) { return value.is_number() && value.get<double>() == 1; }

bool IsClassOf(absl::string_view name, absl::string_view family) {
  return absl::c_any_of(kClassEndings, [&](absl::string_view ending) {
    return absl::EqualsIgnoreCase(name, absl::StrCat(family, ending));
  });
}

// "modeling_phi3.Phi3ForCausalLM" stands for Phi3ForCausalLM, of AutoModelForCausalLM.
bool IsOwnAutoClass(absl::string_view key, const Json& value, absl::string_view family) {
  if (!value.is_string()) return false;
  absl::string_view name = value.get_ref<const std::string&>();
  const size_t dot = name.rfind('.');
  if (dot != absl::string_view::npos) name.remove_prefix(dot + 1);
  if (absl::StartsWith(key, "AutoModel")) return IsClassOf(name, family);
  // Configurations and tokenizers change no numbers by themselves.
  return absl::StartsWithIgnoreCase(name, family);
}

void CheckArchitectures(ConfigReader* reader, absl::string_view family) {
  const Json* const architectures = reader->Find("architectures");
  if (architectures == nullptr) return;
  bool own = architectures->is_array();
  for (size_t i = 0; own && i < architectures->size(); ++i) {
    const Json& name = (*architectures)[i];
    own = name.is_string() && IsClassOf(name.get_ref<const std::string&>(), family);
  }
  if (own) return;
  reader->Refuse("architectures", *architectures,
                 absl::StrCat("supported with this model_type are ", family, "ForCausalLM, ",
                              family, "LMHeadModel and ", family, "ForSequenceClassification"));
}

void CheckAutoMap(ConfigReader* reader, absl::string_view family) {
  const Json* const auto_map = reader->Find("auto_map");
  if (auto_map == nullptr) return;
  bool own = auto_map->is_object();
  for (const auto& [key, value] : auto_map->items())
    own = own && IsOwnAutoClass(key, value, family);
  if (!own) reader->Refuse("auto_map", *auto_map, "code that comes with a model is not supported");
}

void CheckPositions(ConfigReader* reader) {
  const std::string kind = reader->Text("position_embedding_type", "");
  if (kind.empty() || kind == "rope" || kind == "rotary" || kind == "absolute") return;
  reader->Refuse("position_embedding_type", kind, "only those of the model_type are supported");
}

}  // namespace

void CheckUnsupportedFields(ConfigReader* reader, absl::Span<const char* const> known) {
  for (const auto& [name, value] : reader->object().items()) {
    const auto is_name = [&name = name](absl::string_view field) { return field == name; };
    if (value.is_null() || absl::c_any_of(known, is_name)) continue;
    if (absl::c_any_of(kOffFields, is_name) && !reader->IsOff(name)) {
      reader->Refuse(name, value, "only null, false or 0 is supported with this model_type");
    }
    const bool one = absl::c_any_of(kOneFields, is_name) || absl::EndsWith(name, "_multiplier");
    if (one && !IsOne(value)) {
      reader->Refuse(name, value, "only 1 is supported with this model_type");
    }
  }
  CheckPositions(reader);
}

void CheckClasses(ConfigReader* reader, absl::string_view family) {
  CheckArchitectures(reader, family);
  CheckAutoMap(reader, family);
}

bool IsSequenceClassifier(const ConfigReader& reader) {
  const Json* const architectures = reader.Find("architectures");
  if (architectures == nullptr || !architectures->is_array()) return false;
  return absl::c_any_of(*architectures, [](const Json& name) {
    return name.is_string() &&
           absl::EndsWith(name.get_ref<const std::string&>(), "ForSequenceClassification");
  });
}

}  // namespace attune
