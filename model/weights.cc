#include "model/weights.h"

#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/check.h"
#include "common/digest.h"
#include "common/files.h"
#include "common/status_macros.h"
#include "model/safetensors.h"
#include "nlohmann/json.hpp"

namespace attune {
namespace {

using Json = nlohmann::json;

constexpr char kEmbedding[] = "model.embed_tokens.weight";
constexpr char kHead[] = "lm_head.weight";
constexpr char kWeightsFile[] = "model.safetensors";
constexpr char kIndexFile[] = "model.safetensors.index.json";

// Where a tensor of a directory is.
struct Source {
  std::shared_ptr<const SafetensorsFile> file;
  StoredTensor tensor;

  const std::string& path() const { return file->path(); }
  void Read(float* out) const { file->Read(tensor, out); }
};
using Sources = std::map<std::string, Source>;

absl::Status AddFile(const std::string& path, Sources* sources) {
  ATTUNE_ASSIGN_OR_RETURN(const auto file, SafetensorsFile::Open(path));
  for (const auto& [name, tensor] : file->index()) {
    const auto [it, added] = sources->emplace(name, Source{file, tensor});
    if (!added) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor ", name, " is in ", it->second.path(), " and in ", path));
    }
  }
  return absl::OkStatus();
}

// The shards that the index names, each name that of a file beside it.
absl::StatusOr<Sources> ReadShards(const std::string& directory, const std::string& index_path) {
  ATTUNE_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(index_path));
  const Json index = Json::parse(bytes, nullptr, /*allow_exceptions=*/false);
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot read ", index_path, ": it is not a JSON object with a weight_map"));
  }
  std::set<std::string> files;
  for (const auto& [name, file] : index["weight_map"].items()) {
    const std::string shard = file.is_string() ? file.get<std::string>() : "";
    if (!absl::EndsWith(shard, ".safetensors") || shard.find('/') != std::string::npos) {
      return absl::InvalidArgumentError(absl::StrCat("cannot read ", index_path, ": ", name,
                                                     " is not in a .safetensors file beside it"));
    }
    files.insert(shard);
  }
  Sources sources;
  for (const std::string& file : files) {
    ATTUNE_RETURN_IF_ERROR(AddFile(JoinPath(directory, file), &sources));
  }
  for (const auto& [name, file] : index["weight_map"].items()) {
    const auto it = sources.find(name);
    if (it == sources.end() || BaseName(it->second.path()) != file.get<std::string>()) {
      return absl::InvalidArgumentError(absl::StrCat("tensor ", name, " is not in ",
                                                     file.get<std::string>(), ", where ",
                                                     index_path, " says it is"));
    }
  }
  return sources;
}

absl::StatusOr<Sources> ReadSources(const std::string& directory) {
  const std::string single = JoinPath(directory, kWeightsFile);
  const std::string index = JoinPath(directory, kIndexFile);
  if (!FileExists(single) && FileExists(index)) return ReadShards(directory, index);
  if (!FileExists(single) && (FileExists(JoinPath(directory, "pytorch_model.bin")) ||
                              FileExists(JoinPath(directory, "pytorch_model.bin.index.json")))) {
    return absl::InvalidArgumentError(absl::StrCat(
        directory,
        " holds its weights as pytorch_model.bin, which is not read because loading it "
        "can run code; convert it once in Python: AutoModelForCausalLM.from_pretrained(\"",
        directory, "\").save_pretrained(\"", directory, "\", safe_serialization=True)"));
  }
  Sources sources;
  ATTUNE_RETURN_IF_ERROR(AddFile(single, &sources));
  return sources;
}

absl::Status CheckShape(const TensorSpec& spec, const Source& source) {
  if (spec.shape == source.tensor.shape) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("cannot use ", source.path(), ": tensor ", spec.name, " has the shape [",
                   absl::StrJoin(source.tensor.shape, ", "), "], but config.json makes it [",
                   absl::StrJoin(spec.shape, ", "), "]"));
}

// Takes the head of a tied model out of `sources`: the embeddings under the other name, or a copy
// of them.
absl::Status ResolveTiedHead(const TensorSpec& embedding, Sources* sources) {
  const auto head = sources->find(kHead);
  if (head == sources->end()) return absl::OkStatus();
  const auto stored = sources->find(kEmbedding);
  if (stored == sources->end()) {
    sources->emplace(kEmbedding, head->second);
  } else {
    ATTUNE_RETURN_IF_ERROR(CheckShape(embedding, stored->second));
    TensorSpec head_spec = embedding;
    head_spec.name = kHead;
    ATTUNE_RETURN_IF_ERROR(CheckShape(head_spec, head->second));
    std::vector<float> a(embedding.size), b(embedding.size);
    stored->second.Read(a.data());
    head->second.Read(b.data());
    if (a != b) {
      return absl::InvalidArgumentError(
          absl::StrCat("cannot use ", head->second.path(), ": tensor lm_head.weight differs from ",
                       kEmbedding, ", although config.json says tie_word_embeddings"));
    }
  }
  sources->erase(head);
  return absl::OkStatus();
}

absl::Status RefuseSurplus(const std::vector<TensorSpec>& layout, const Sources& sources) {
  std::set<std::string> names;
  for (const TensorSpec& spec : layout) names.insert(spec.name);
  for (const auto& [name, source] : sources) {
    // Old checkpoints store the rotary frequencies, which follow from config.json.
    if (names.count(name) > 0 || absl::EndsWith(name, ".rotary_emb.inv_freq")) continue;
    return absl::InvalidArgumentError(absl::StrCat("cannot use ", source.path(), ": tensor ", name,
                                                   " is no part of the model of config.json"));
  }
  return absl::OkStatus();
}

bool BelongsToCheckpoint(absl::string_view name) {
  for (const char* exact :
       {"generation_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
        "merges.txt", "chat_template.json", "chat_template.jinja"}) {
    if (name == exact) return true;
  }
  return absl::StartsWith(name, "tokenizer") || absl::StartsWith(name, "LICENSE") ||
         absl::StartsWith(name, "NOTICE");
}

absl::Status WriteSmallFiles(const std::string& source, const std::string& to,
                             const std::string& attune_json) {
  const std::string config_path = JoinPath(source, "config.json");
  ATTUNE_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(config_path));
  auto config = nlohmann::ordered_json::parse(bytes, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(config_path, " is not a JSON object"));
  }
  config["torch_dtype"] = "float32";
  if (config.contains("dtype")) config["dtype"] = "float32";  // its name since transformers 5
  ATTUNE_RETURN_IF_ERROR(WriteFile(JoinPath(to, "config.json"), config.dump(2) + "\n"));
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(source));
  for (const std::string& name : names) {
    if (!BelongsToCheckpoint(name) || !FileExists(JoinPath(source, name))) continue;
    ATTUNE_RETURN_IF_ERROR(CopyFile(JoinPath(source, name), JoinPath(to, name)));
  }
  return WriteFile(JoinPath(to, "attune.json"), attune_json);
}

absl::Status WriteAndVerify(const std::string& directory, const std::string& source,
                            const ModelConfig& config, absl::Span<const float> weights,
                            const std::string& attune_json) {
  ATTUNE_RETURN_IF_ERROR(CreateDirectories(directory));
  const std::vector<TensorSpec> layout = WeightLayout(config);
  std::vector<TensorToStore> tensors;
  for (const TensorSpec& spec : layout) {
    tensors.push_back({spec.name, spec.shape, weights.subspan(spec.offset, spec.size)});
  }
  ATTUNE_RETURN_IF_ERROR(
      WriteFile(JoinPath(directory, kWeightsFile), SerializeSafetensors(tensors)));
  ATTUNE_RETURN_IF_ERROR(WriteSmallFiles(source, directory, attune_json));
  ATTUNE_RETURN_IF_ERROR(SyncDirectory(directory));
  ATTUNE_ASSIGN_OR_RETURN(const ModelConfig read_config, LoadModelConfig(directory));
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<float> read, LoadWeights(directory, read_config));
  if (WeightsDigest(WeightLayout(read_config), read) != WeightsDigest(layout, weights)) {
    return absl::DataLossError(absl::StrCat(directory, " does not read back as it was written"));
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<TensorSpec> WeightLayout(const ModelConfig& config) {
  const int64_t hidden = config.hidden_size;
  const int64_t inner = config.intermediate_size;
  const int64_t q = config.num_heads * config.head_dim;
  const int64_t kv = config.num_kv_heads * config.head_dim;
  std::vector<TensorSpec> layout;
  const auto add = [&](std::string name, std::vector<int64_t> shape) {
    int64_t size = 1;
    for (int64_t side : shape) size *= side;
    layout.push_back({std::move(name), std::move(shape), 0, size});
  };
  add(kEmbedding, {config.vocab_size, hidden});
  if (!config.tie_word_embeddings) add(kHead, {config.vocab_size, hidden});
  add("model.norm.weight", {hidden});
  for (int64_t i = 0; i < config.num_layers; ++i) {
    const std::string layer = absl::StrCat("model.layers.", i, ".");
    add(layer + "input_layernorm.weight", {hidden});
    add(layer + "post_attention_layernorm.weight", {hidden});
    add(layer + "self_attn.q_proj.weight", {q, hidden});
    add(layer + "self_attn.k_proj.weight", {kv, hidden});
    add(layer + "self_attn.v_proj.weight", {kv, hidden});
    add(layer + "self_attn.o_proj.weight", {hidden, q});
    add(layer + "mlp.gate_proj.weight", {inner, hidden});
    add(layer + "mlp.up_proj.weight", {inner, hidden});
    add(layer + "mlp.down_proj.weight", {hidden, inner});
  }
  std::sort(layout.begin(), layout.end(),
            [](const TensorSpec& a, const TensorSpec& b) { return a.name < b.name; });
  int64_t offset = 0;
  for (TensorSpec& spec : layout) {
    spec.offset = offset;
    offset += spec.size;
  }
  return layout;
}

int64_t WeightCount(const std::vector<TensorSpec>& layout) {
  return layout.back().offset + layout.back().size;
}

const TensorSpec& FindTensor(const std::vector<TensorSpec>& layout, absl::string_view name) {
  const auto it = std::lower_bound(
      layout.begin(), layout.end(), name,
      [](const TensorSpec& spec, absl::string_view name) { return spec.name < name; });
  ATTUNE_CHECK(it != layout.end() && it->name == name);
  return *it;
}

absl::StatusOr<std::vector<float>> LoadWeights(const std::string& directory,
                                               const ModelConfig& config) {
  const std::vector<TensorSpec> layout = WeightLayout(config);
  ATTUNE_ASSIGN_OR_RETURN(Sources sources, ReadSources(directory));
  if (config.tie_word_embeddings) {
    ATTUNE_RETURN_IF_ERROR(ResolveTiedHead(FindTensor(layout, kEmbedding), &sources));
  }
  for (const TensorSpec& spec : layout) {
    const auto it = sources.find(spec.name);
    if (it == sources.end()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "cannot load ", directory, ": tensor ", spec.name, " is missing from its safetensors"));
    }
    ATTUNE_RETURN_IF_ERROR(CheckShape(spec, it->second));
  }
  ATTUNE_RETURN_IF_ERROR(RefuseSurplus(layout, sources));
  // Only now that the shapes are those of the files: config.json alone may ask for any memory.
  std::vector<float> weights(WeightCount(layout));
  for (const TensorSpec& spec : layout) {
    sources.at(spec.name).Read(&weights[spec.offset]);
  }
  return weights;
}

std::string WeightsDigest(const std::vector<TensorSpec>& layout, absl::Span<const float> weights) {
  Sha256 sha;
  for (const TensorSpec& spec : layout) {
    sha.UpdateField(spec.name);
    sha.UpdateField(absl::StrJoin(spec.shape, ","));
    sha.UpdateField(absl::string_view(reinterpret_cast<const char*>(&weights[spec.offset]),
                                      spec.size * sizeof(float)));
  }
  return sha.HexDigest();
}

absl::Status SaveCheckpoint(const std::string& directory, const std::string& source,
                            const ModelConfig& config, absl::Span<const float> weights,
                            const std::string& attune_json) {
  if (DirectoryExists(directory) || FileExists(directory)) {
    return absl::AlreadyExistsError(
        absl::StrCat("cannot save a checkpoint as ", directory, ": it exists already"));
  }
  const std::string target = AbsolutePath(directory);
  const std::string parent = ParentPath(target);
  const std::string temporary =
      JoinPath(parent, absl::StrCat(".", BaseName(target), ".", ::getpid(), ".tmp"));
  ATTUNE_RETURN_IF_ERROR(RemoveAll(temporary));
  absl::Status status = WriteAndVerify(temporary, source, config, weights, attune_json);
  if (status.ok()) status = Rename(temporary, target);
  if (status.ok()) return SyncDirectory(parent);
  RemoveAll(temporary).IgnoreError();  // the first error is the one to tell
  return Annotate(status, absl::StrCat("cannot save the checkpoint ", directory));
}

}  // namespace attune
