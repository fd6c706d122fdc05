#include "model/model_config.h"

#include <cmath>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/status_macros.h"
#include "nlohmann/json.hpp"

namespace attune {
namespace {

using Json = nlohmann::json;

// A field that is there and not null.
const Json* Find(const Json& object, const char* name) {
  const auto it = object.find(name);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

absl::Status Refuse(const char* name, const Json& value, absl::string_view wanted) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > 200) text = absl::StrCat(text.substr(0, 200), "...");
  return absl::InvalidArgumentError(absl::StrCat(name, " is ", text, "; ", wanted));
}

absl::StatusOr<Json> ReadJsonObject(const std::string& path) {
  ATTUNE_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  Json object = Json::parse(bytes, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is not a JSON object"));
  }
  return object;
}

// Above those of any published model, and so small that no product of them overflows.
constexpr int64_t kVocabularyMax = 1 << 24;
constexpr int64_t kWidthMax = 1 << 20;
constexpr int64_t kLayersMax = 1 << 12;
constexpr int64_t kHeadsMax = 1 << 12;
constexpr int64_t kHeadDimMax = 1 << 12;
constexpr int64_t kPositionsMax = 1 << 22;

// From 1 to `max`. Required unless `fallback` > 0.
absl::Status ReadSize(const Json& config, const char* name, int64_t max, int64_t fallback,
                      int64_t* size) {
  const Json* value = Find(config, name);
  if (value == nullptr) {
    if (fallback <= 0) return absl::InvalidArgumentError(absl::StrCat(name, " is missing"));
    *size = fallback;
    return absl::OkStatus();
  }
  if (!value->is_number_unsigned() || *value == 0 || *value > max) {
    return Refuse(name, *value, absl::StrCat("it must be an integer from 1 to ", max));
  }
  *size = value->get<int64_t>();
  return absl::OkStatus();
}

absl::Status ReadPositive(const Json& config, const char* name, double fallback, double* number) {
  const Json* value = Find(config, name);
  *number = fallback;
  if (value == nullptr) return absl::OkStatus();
  if (!value->is_number() || !(value->get<double>() > 0) || !std::isfinite(value->get<double>())) {
    return Refuse(name, *value, "it must be a positive number");
  }
  *number = value->get<double>();
  return absl::OkStatus();
}

absl::Status ReadBool(const Json& config, const char* name, bool* flag) {
  const Json* value = Find(config, name);
  *flag = false;  // LlamaConfig's default for all that are read here
  if (value == nullptr) return absl::OkStatus();
  if (!value->is_boolean()) return Refuse(name, *value, "it must be true or false");
  *flag = value->get<bool>();
  return absl::OkStatus();
}

absl::Status ReadSizes(const Json& json, ModelConfig* config) {
  const auto read = [&](const char* name, int64_t max, int64_t fallback, int64_t* size) {
    return ReadSize(json, name, max, fallback, size);
  };
  ATTUNE_RETURN_IF_ERROR(read("vocab_size", kVocabularyMax, 0, &config->vocab_size));
  ATTUNE_RETURN_IF_ERROR(read("hidden_size", kWidthMax, 0, &config->hidden_size));
  ATTUNE_RETURN_IF_ERROR(read("intermediate_size", kWidthMax, 0, &config->intermediate_size));
  ATTUNE_RETURN_IF_ERROR(read("num_hidden_layers", kLayersMax, 0, &config->num_layers));
  ATTUNE_RETURN_IF_ERROR(read("num_attention_heads", kHeadsMax, 0, &config->num_heads));
  ATTUNE_RETURN_IF_ERROR(
      read("num_key_value_heads", kHeadsMax, config->num_heads, &config->num_kv_heads));
  ATTUNE_RETURN_IF_ERROR(
      read("head_dim", kHeadDimMax, config->hidden_size / config->num_heads, &config->head_dim));
  ATTUNE_RETURN_IF_ERROR(
      read("max_position_embeddings", kPositionsMax, 2048, &config->max_position_embeddings));
  if (config->num_heads % config->num_kv_heads != 0) {
    return absl::InvalidArgumentError(absl::StrCat("num_key_value_heads is ", config->num_kv_heads,
                                                   "; it must divide num_attention_heads, ",
                                                   config->num_heads));
  }
  if (config->head_dim % 2 != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("head_dim is ", config->head_dim, "; rotary embeddings need an even one"));
  }
  return absl::OkStatus();
}

// rope_theta stands by itself, or inside rope_parameters (transformers 5).
absl::Status ReadRope(const Json& json, ModelConfig* config) {
  ATTUNE_RETURN_IF_ERROR(ReadPositive(json, "rope_theta", 10000.0, &config->rope_theta));
  for (const char* name : {"rope_scaling", "rope_parameters"}) {
    const Json* rope = Find(json, name);
    if (rope == nullptr) continue;
    if (!rope->is_object()) return Refuse(name, *rope, "it must be an object or null");
    for (const auto& [key, value] : rope->items()) {
      const bool known =
          key == "rope_theta" || ((key == "rope_type" || key == "type") && value == "default");
      if (!known) return Refuse(name, *rope, "scaled rotary embeddings are not supported");
    }
    ATTUNE_RETURN_IF_ERROR(
        ReadPositive(*rope, "rope_theta", config->rope_theta, &config->rope_theta));
  }
  return absl::OkStatus();
}

// What would change the numbers if it were ignored.
absl::Status RefuseUnsupported(const Json& json) {
  const Json* type = Find(json, "model_type");
  if (type == nullptr) return absl::InvalidArgumentError("model_type is missing");
  if (*type != "llama") return Refuse("model_type", *type, "only \"llama\" is supported");
  if (const Json* act = Find(json, "hidden_act"); act != nullptr && *act != "silu") {
    return Refuse("hidden_act", *act, "only \"silu\" is supported");
  }
  for (const char* name : {"attention_bias", "mlp_bias", "use_sliding_window"}) {
    bool on;
    ATTUNE_RETURN_IF_ERROR(ReadBool(json, name, &on));
    if (on) return Refuse(name, json[name], "only false is supported");
  }
  for (const char* name : {"sliding_window", "quantization_config", "attn_logit_softcapping",
                           "final_logit_softcapping", "clip_qkv"}) {
    if (const Json* value = Find(json, name)) return Refuse(name, *value, "only null is supported");
  }
  for (const char* name : {"partial_rotary_factor", "logit_scale", "embedding_multiplier",
                           "residual_multiplier", "attention_multiplier"}) {
    const Json* value = Find(json, name);
    if (value != nullptr && *value != 1) return Refuse(name, *value, "only 1 is supported");
  }
  if (const Json* kinds = Find(json, "layer_types")) {
    for (const Json& kind : *kinds) {
      if (kind != "full_attention") {
        return Refuse("layer_types", *kinds, "only \"full_attention\" is supported");
      }
    }
  }
  return absl::OkStatus();
}

// An id or a list of ids. False when the field is not there.
absl::StatusOr<bool> ReadEosIds(const Json& json, std::vector<int32_t>* ids) {
  const Json* value = Find(json, "eos_token_id");
  if (value == nullptr) return false;
  const Json list = value->is_array() ? *value : Json::array({*value});
  ids->clear();
  for (const Json& id : list) {
    if (!id.is_number_unsigned() || id > std::numeric_limits<int32_t>::max()) {
      return Refuse("eos_token_id", *value, "it must be a token id or a list of them");
    }
    ids->push_back(id.get<int32_t>());
  }
  return true;
}

absl::StatusOr<ModelConfig> ParseConfig(const Json& json) {
  ATTUNE_RETURN_IF_ERROR(RefuseUnsupported(json));
  ModelConfig config;
  config.model_type = "llama";
  ATTUNE_RETURN_IF_ERROR(ReadSizes(json, &config));
  ATTUNE_RETURN_IF_ERROR(ReadRope(json, &config));
  double eps;
  ATTUNE_RETURN_IF_ERROR(ReadPositive(json, "rms_norm_eps", 1e-6, &eps));
  config.rms_norm_eps = static_cast<float>(eps);
  ATTUNE_RETURN_IF_ERROR(ReadBool(json, "tie_word_embeddings", &config.tie_word_embeddings));
  ATTUNE_RETURN_IF_ERROR(ReadEosIds(json, &config.eos_token_ids).status());
  return config;
}

}  // namespace

absl::StatusOr<ModelConfig> LoadModelConfig(const std::string& directory) {
  const std::string path = JoinPath(directory, "config.json");
  ATTUNE_ASSIGN_OR_RETURN(const Json json, ReadJsonObject(path));
  absl::StatusOr<ModelConfig> config = ParseConfig(json);
  if (!config.ok()) return Annotate(config.status(), absl::StrCat("cannot use ", path));
  const std::string generation = JoinPath(directory, "generation_config.json");
  if (FileExists(generation)) {
    ATTUNE_ASSIGN_OR_RETURN(const Json json, ReadJsonObject(generation));
    const absl::StatusOr<bool> found = ReadEosIds(json, &config->eos_token_ids);
    if (!found.ok()) return Annotate(found.status(), absl::StrCat("cannot use ", generation));
  }
  return config;
}

}  // namespace attune
