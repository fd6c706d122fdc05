#include "model/inspect.h"

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "model/chat_template.h"
#include "model/config_reader.h"
#include "model/inspect_text.h"
#include "model/layout.h"
#include "model/memory_estimate.h"
#include "model/model_config.h"
#include "model/rope_config.h"
#include "model/safetensors.h"
#include "model/tokenizer/tokenizer.h"
#include "model/weight_files.h"

namespace attune {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kRanks[] = {1, 2, 4, 8};
constexpr int kZeroStages[] = {0, 1, 2, 3};

void AddProblem(const absl::Status& status, Json* report) {
  (*report)["problems"].push_back(std::string(status.message()));
}

// A file of JSON that need not be there; null when it is not or cannot be read.
nlohmann::json OptionalJson(const std::string& directory, const std::string& name) {
  const absl::StatusOr<nlohmann::json> json = ReadJsonObject(JoinPath(directory, name));
  return json.ok() ? *json : nlohmann::json();
}

std::string HeadOf(const ModelConfig& config) {
  if (config.num_labels > 0) return "score";
  return config.tie_word_embeddings ? "tied" : "lm_head";
}

std::string PositionsOf(const nlohmann::json& json, const ModelConfig& config) {
  if (config.naming == TensorNaming::kGpt2) return "learned";
  std::vector<std::string> problems;  // told already
  ConfigReader reader(&json, "", &problems);
  return absl::StrCat("rotary, ", RopeKind(&reader, config.model_type == "phi3"));
}

// The first class of "architectures".
Json ClassOf(const nlohmann::json& json) {
  const auto classes = json.find("architectures");
  if (classes == json.end() || !classes->is_array() || classes->empty()) return nullptr;
  return (*classes)[0].is_string() ? Json((*classes)[0].get<std::string>()) : Json();
}

// `json` is the config.json that `config` was read from.
Json Architecture(const nlohmann::json& json, const ModelConfig& config) {
  int64_t windows = 0;
  for (const int64_t window : config.attention_windows) windows += window > 0 ? 1 : 0;
  Json facts = {{"model_type", config.model_type},
                {"class", ClassOf(json)},
                {"num_layers", config.num_layers},
                {"hidden_size", config.hidden_size},
                {"intermediate_size", config.intermediate_size},
                {"num_heads", config.num_heads},
                {"num_kv_heads", config.num_kv_heads},
                {"head_dim", config.head_dim},
                {"vocab_size", config.vocab_size},
                {"max_position_embeddings", config.max_position_embeddings},
                {"positions", PositionsOf(json, config)},
                {"layers_with_window", windows},
                {"head", HeadOf(config)},
                {"num_labels", config.num_labels},
                {"eos_token_ids", config.eos_token_ids}};
  if (windows > 0) facts["window"] = *absl::c_max_element(config.attention_windows);
  return facts;
}

// Parameters in the token and position embeddings and the head over the vocabulary.
int64_t EmbeddingParameters(const ModelConfig& config, const std::vector<TensorSpec>& layout) {
  const ModelRefs refs = RefsOf(config);
  int64_t sum = FindTensor(layout, refs.embeddings).size;
  if (!refs.positions.empty()) sum += FindTensor(layout, refs.positions).size;
  if (HeadOf(config) == "lm_head") sum += FindTensor(layout, refs.head.weight).size;
  return sum;
}

Json Parameters(const ModelConfig& config) {
  const std::vector<TensorSpec> layout = WeightLayout(config);
  const int64_t total = WeightCount(layout);
  const int64_t embeddings = EmbeddingParameters(config, layout);
  return {{"total", total}, {"embeddings", embeddings}, {"without_embeddings", total - embeddings}};
}

// The weights as files, whatever is in them.
Json Files(const std::string& directory) {
  std::vector<std::string> names;
  if (FileExists(JoinPath(directory, "model.safetensors"))) {
    names.push_back("model.safetensors");
  } else if (const auto all = ListDirectory(directory); all.ok()) {
    for (const std::string& name : *all) {
      if (absl::EndsWith(name, ".safetensors")) names.push_back(name);
    }
  }
  if (names.empty()) return nullptr;
  uint64_t bytes = 0;
  std::map<std::string, int64_t> tensors;  // by type
  for (const std::string& name : names) {
    const std::string path = JoinPath(directory, name);
    bytes += FileSize(path).value_or(0);
    const auto file = SafetensorsFile::Open(path);
    if (!file.ok()) continue;  // WeightFiles says why
    for (const auto& [tensor_name, tensor] : (*file)->index()) ++tensors[tensor.dtype];
  }
  return {{"shards", names.size()}, {"bytes", bytes}, {"tensors", tensors}};
}

Json Sampling(const ModelConfig& config, const std::optional<WeightFiles>& files) {
  const auto weights = [&](TensorType type) {
    return SamplingWeightBytes(config, [=](const std::string&) { return type; });
  };
  Json bytes = {{"stored", nullptr},
                {"fp32", weights(TensorType::kF32)},
                {"bf16", weights(TensorType::kBf16)}};
  if (files.has_value()) {
    bytes["stored"] = SamplingWeightBytes(
        config, [&](const std::string& name) { return files->View(name).type; });
  }
  const int64_t token = KvCacheBytesPerToken(config);
  return {{"weights_bytes", bytes},
          {"kv_cache_bytes_per_token", token},
          {"kv_cache_bytes_full_context", token * config.max_position_embeddings}};
}

Json PerRank(const TrainingMemory& memory) {
  return {{"weights_bytes", memory.weights},
          {"gradients_bytes", memory.gradients},
          {"optimizer_bytes", memory.optimizer},
          {"published_bytes", memory.published},
          {"total_bytes", memory.total()}};
}

// Null for a model that is only scored with.
Json Training(const ModelConfig& config) {
  if (config.num_labels > 0) return nullptr;
  Json rows = Json::array();
  for (const int stage : kZeroStages) {
    for (const int ranks : kRanks) {
      const auto memory = [&](TensorType precision) {
        return PerRank(TrainingMemoryPerRank(config, stage, ranks, precision));
      };
      rows.push_back({{"zero_stage", stage},
                      {"available", stage <= kZeroStageMax},
                      {"ranks", ranks},
                      {"fp32", memory(TensorType::kF32)},
                      {"bf16", memory(TensorType::kBf16)}});
    }
  }
  return rows;
}

// A special token is its text, or an object with it.
Json SpecialToken(const nlohmann::json& source, const char* name) {
  if (!source.is_object() || !source.contains(name)) return nullptr;
  const nlohmann::json& token = source[name];
  if (token.is_string()) return token.get<std::string>();
  if (!token.is_object() || !token.contains("content") || !token["content"].is_string()) {
    return nullptr;
  }
  return token["content"].get<std::string>();
}

Json SpecialTokens(const std::string& directory, const nlohmann::json& settings) {
  const nlohmann::json map = OptionalJson(directory, "special_tokens_map.json");
  Json tokens = Json::object();
  for (const char* name : {"bos_token", "eos_token", "pad_token", "unk_token"}) {
    const Json token = SpecialToken(settings, name);
    tokens[name] = token.is_null() ? SpecialToken(map, name) : token;
  }
  return tokens;
}

// "none", "yes", or "not supported" with a note why.
std::string ChatTemplateOf(const std::string& directory, Json* report) {
  const auto chat_template = ChatTemplate::Load(directory);
  if (chat_template.ok()) return "yes";
  if (absl::IsNotFound(chat_template.status())) return "none";
  (*report)["notes"].push_back(std::string(chat_template.status().message()));
  return "not supported";
}

Json TokenizerFacts(const std::string& directory, const std::optional<ModelConfig>& config,
                    Json* report) {
  const absl::StatusOr<std::unique_ptr<const Tokenizer>> tokenizer = Tokenizer::Load(directory);
  if (!tokenizer.ok()) AddProblem(tokenizer.status(), report);
  const nlohmann::json json = OptionalJson(directory, "tokenizer.json");
  if (json.is_null()) return nullptr;
  const nlohmann::json settings = OptionalJson(directory, "tokenizer_config.json");
  Json facts = {{"kind", nullptr},
                {"vocab_size", nullptr},
                {"added_tokens", 0},
                {"special_tokens", SpecialTokens(directory, settings)},
                {"chat_template", ChatTemplateOf(directory, report)}};
  const auto model = json.find("model");
  if (model != json.end() && model->is_object()) {
    if (const auto kind = model->find("type"); kind != model->end() && kind->is_string()) {
      facts["kind"] = kind->get<std::string>();
    }
  }
  if (const auto added = json.find("added_tokens"); added != json.end() && added->is_array()) {
    facts["added_tokens"] = added->size();
  }
  if (!tokenizer.ok()) return facts;
  const int64_t ids = (*tokenizer)->vocab_size();
  facts["vocab_size"] = ids;
  if (config.has_value() && ids > config->vocab_size) {
    (*report)["notes"].push_back(absl::StrCat("the tokenizer has ", ids,
                                              " ids, the model embeddings for ", config->vocab_size,
                                              "; text that contains one of the others is refused"));
  }
  return facts;
}

// Config, or what is known of it, with its problems in the report.
std::optional<ModelConfig> ReadConfig(const std::string& directory, Json* report) {
  const absl::StatusOr<ConfigReport> config = InspectModelConfig(directory);
  if (!config.ok()) {
    AddProblem(config.status(), report);
    return std::nullopt;
  }
  for (const std::string& problem : config->problems) {
    (*report)["problems"].push_back(absl::StrCat("config.json: ", problem));
  }
  return config->config;
}

std::optional<WeightFiles> OpenWeights(const std::string& directory, const ModelConfig& config,
                                       Json* report) {
  absl::StatusOr<WeightFiles> files = WeightFiles::Open(directory, config);
  if (files.ok()) return *std::move(files);
  AddProblem(files.status(), report);
  return std::nullopt;
}

}  // namespace

Json InspectModel(const std::string& directory) {
  Json report = {{"model", directory},        {"usable", false},
                 {"problems", Json::array()}, {"notes", Json::array()},
                 {"architecture", nullptr},   {"parameters", nullptr},
                 {"files", Files(directory)}, {"sampling", nullptr},
                 {"training", nullptr},       {"tokenizer", nullptr}};
  if (!DirectoryExists(directory)) {
    report["problems"].push_back(absl::StrCat("there is no directory ", directory));
    return report;
  }
  const std::optional<ModelConfig> config = ReadConfig(directory, &report);
  if (config.has_value()) {
    report["architecture"] = Architecture(OptionalJson(directory, "config.json"), *config);
    report["parameters"] = Parameters(*config);
    const std::optional<WeightFiles> files = OpenWeights(directory, *config, &report);
    if (WeightCount(WeightLayout(*config)) <= kEstimatedParametersMax) {
      report["sampling"] = Sampling(*config, files);
      report["training"] = Training(*config);
    }
  }
  report["tokenizer"] = TokenizerFacts(directory, config, &report);
  report["usable"] = report["problems"].empty();
  return report;
}

absl::Status RunInspect(const std::string& directory, bool json, std::ostream& out) {
  const Json report = InspectModel(directory);
  if (json) {
    out << report.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
  } else {
    out << InspectionText(report);
  }
  out.flush();
  if (!out) return absl::UnavailableError("cannot write the output");
  if (report["usable"]) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("cannot use ", directory, ": problems found: ", report["problems"].size()));
}

}  // namespace attune
