#include "model/model_config.h"

#include <cmath>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/files.h"
#include "common/status_macros.h"
#include "model/config_checks.h"
#include "model/config_reader.h"
#include "model/model_family.h"
#include "model/rope_config.h"

namespace attune {
namespace {

using Json = nlohmann::json;

// Nullptr, with a problem noted, when it is not supported.
const ModelFamily* FamilyOf(ConfigReader* reader) {
  std::vector<absl::string_view> names;
  const Json* const type = reader->Find("model_type");
  for (const ModelFamily& family : ModelFamilies()) {
    if (type != nullptr && *type == family.model_type) return &family;
    names.push_back(family.model_type);
  }
  reader->Refuse("model_type", type == nullptr ? Json() : *type,
                 absl::StrCat("supported are ", absl::StrJoin(names, ", ")));
  return nullptr;
}

// The names of the sizes in the file.
struct SizeNames {
  const char* hidden_size = "hidden_size";
  const char* intermediate_size = "intermediate_size";
  const char* num_layers = "num_hidden_layers";
  const char* num_heads = "num_attention_heads";
  const char* max_position_embeddings = "max_position_embeddings";
  const char* norm_eps = "rms_norm_eps";
};
constexpr SizeNames kGpt2Names = {"n_embd", "n_inner",     "n_layer",
                                  "n_head", "n_positions", "layer_norm_epsilon"};

// GPT-2's sizes have a second name each, which transformers takes too.
void CheckSecondNames(ConfigReader* reader) {
  const SizeNames names;
  for (const auto& [first, second] :
       {std::pair(kGpt2Names.hidden_size, names.hidden_size),
        std::pair(kGpt2Names.num_layers, names.num_layers),
        std::pair(kGpt2Names.num_heads, names.num_heads),
        std::pair(kGpt2Names.max_position_embeddings, names.max_position_embeddings)}) {
    const Json* const value = reader->Find(second);
    const Json* const same = reader->Find(first);
    if (value != nullptr && (same == nullptr || *same != *value)) {
      reader->Refuse(second, *value, absl::StrCat("it must be that of ", first));
    }
  }
}

void ReadHeads(ConfigReader* reader, const ModelFamily& family, bool gpt2, ModelConfig* config) {
  std::optional<int64_t> kv_heads, head_dim;
  if (!gpt2) {
    const auto fallback = [](int64_t size) {
      return size > 0 ? std::optional<int64_t>(size) : std::nullopt;
    };
    kv_heads =
        reader->OptionalSize("num_key_value_heads", kHeadsMax, fallback(family.num_kv_heads));
    head_dim = reader->OptionalSize("head_dim", kHeadDimMax, fallback(family.head_dim));
  }
  config->num_kv_heads = kv_heads.value_or(config->num_heads);
  config->head_dim = head_dim.value_or(config->hidden_size / config->num_heads);
  if (!reader->problems()->empty()) return;  // defaults in their place need not fit
  if (config->num_heads % config->num_kv_heads != 0) {
    reader->Refuse("num_key_value_heads", config->num_kv_heads,
                   absl::StrCat("it must divide num_attention_heads, ", config->num_heads));
  }
  if (!head_dim.has_value() &&
      (config->hidden_size % config->num_heads != 0 || config->head_dim > kHeadDimMax)) {
    reader->Refuse(gpt2 ? "n_embd" : "hidden_size", config->hidden_size,
                   absl::StrCat("without head_dim it must be a multiple of the ", config->num_heads,
                                " heads, up to ", kHeadDimMax, " for each"));
  }
}

void ReadSizes(ConfigReader* reader, const ModelFamily& family, ModelConfig* config) {
  const bool gpt2 = config->model_type == "gpt2";
  const SizeNames names = gpt2 ? kGpt2Names : SizeNames();
  if (gpt2) CheckSecondNames(reader);
  config->vocab_size = reader->Size("vocab_size", kVocabularyMax, family.vocab_size);
  config->hidden_size = reader->Size(names.hidden_size, kWidthMax, family.hidden_size);
  config->intermediate_size =
      gpt2 ? reader->OptionalSize(names.intermediate_size, kWidthMax, std::nullopt)
                 .value_or(4 * config->hidden_size)
           : reader->Size(names.intermediate_size, kWidthMax, family.intermediate_size);
  config->num_layers = reader->Size(names.num_layers, kLayersMax, family.num_layers);
  config->num_heads = reader->Size(names.num_heads, kHeadsMax, family.num_heads);
  config->max_position_embeddings =
      reader->Size(names.max_position_embeddings, kPositionsMax, family.max_position_embeddings);
  config->norm_eps = static_cast<float>(reader->Number(names.norm_eps, family.norm_eps));
  ReadHeads(reader, family, gpt2, config);
}

// Of a sequence classifier.
int64_t ReadLabels(ConfigReader* reader) {
  const Json* const names = reader->Find("id2label");
  if (names == nullptr) return reader->Size("num_labels", kLabelsMax, 2);
  const auto labels = static_cast<int64_t>(names->size());
  if (names->is_object() && labels >= 1 && labels <= kLabelsMax) return labels;
  reader->Refuse("id2label", *names, "it must be an object with a name for each label");
  return 2;
}

// Transformers takes any number here, such as -1; one that is no token of the vocabulary pads
// nothing.
int64_t ReadPadId(const ConfigReader& reader, const ModelFamily& family) {
  const auto field = reader.object().find("pad_token_id");
  if (field == reader.object().end()) return family.pad_token_id;
  return field->is_number_integer() ? field->get<int64_t>() : -1;
}

void ReadEosIds(const std::string& directory, ConfigReader* reader, const ModelFamily& family,
                ModelConfig* config) {
  std::vector<int32_t> fallback;
  if (family.eos_token_id >= 0) fallback.push_back(family.eos_token_id);
  config->eos_token_ids = reader->TokenIds("eos_token_id", std::move(fallback));
  const std::string name = "generation_config.json";
  const std::string path = JoinPath(directory, name);
  if (!FileExists(path)) return;
  const absl::StatusOr<Json> json = ReadJsonObject(path);
  if (!json.ok()) {
    reader->problems()->push_back(std::string(json.status().message()));
    return;
  }
  ConfigReader generation(&*json, absl::StrCat("in ", name, ": "), reader->problems());
  if (generation.Find("eos_token_id") == nullptr) return;
  config->eos_token_ids = generation.TokenIds("eos_token_id", config->eos_token_ids);
}

}  // namespace

absl::StatusOr<ConfigReport> InspectModelConfig(const std::string& directory) {
  ATTUNE_ASSIGN_OR_RETURN(const Json json, ReadJsonObject(JoinPath(directory, "config.json")));
  ConfigReport report;
  ConfigReader reader(&json, "", &report.problems);
  const ModelFamily* const family = FamilyOf(&reader);
  if (family == nullptr) return report;
  ModelConfig config{};
  config.model_type = family->model_type;
  ReadSizes(&reader, *family, &config);
  const bool sizes_usable = report.problems.empty();
  CheckClasses(&reader, family->class_prefix);
  CheckUnsupportedFields(&reader, family->known);
  if (IsSequenceClassifier(reader)) config.num_labels = ReadLabels(&reader);
  if (config.model_type != "gpt2") ReadRope(&reader, config.model_type == "phi3", &config);
  config.attention_scale = 1 / std::sqrt(static_cast<float>(config.head_dim));
  config.tie_word_embeddings = reader.Bool("tie_word_embeddings", family->tie_word_embeddings);
  family->read(&reader, &config);
  ReadEosIds(directory, &reader, *family, &config);
  config.pad_token_id = ReadPadId(reader, *family);
  if (sizes_usable) report.config = std::move(config);
  return report;
}

absl::StatusOr<ModelConfig> LoadModelConfig(const std::string& directory) {
  ATTUNE_ASSIGN_OR_RETURN(ConfigReport report, InspectModelConfig(directory));
  if (report.problems.empty()) return std::move(*report.config);
  return absl::InvalidArgumentError(absl::StrCat("cannot use ", JoinPath(directory, "config.json"),
                                                 ": ", absl::StrJoin(report.problems, "; ")));
}

}  // namespace attune
