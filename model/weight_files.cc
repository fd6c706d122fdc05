#include "model/weight_files.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "common/check.h"
#include "common/files.h"
#include "common/status_macros.h"
#include "model/layout.h"
#include "model/strict_json.h"
#include "nlohmann/json.hpp"

namespace attune {
namespace {

using Json = nlohmann::json;
using Sources = std::map<std::string, WeightSource>;

constexpr char kWeightsFile[] = "model.safetensors";
constexpr char kIndexFile[] = "model.safetensors.index.json";
constexpr char kTiedHead[] = "lm_head.weight";

absl::Status Unusable(const WeightSource& source, const std::string& name,
                      absl::string_view reason) {
  return absl::InvalidArgumentError(
      absl::StrCat("cannot use ", source.file->path(), ": tensor ", name, " ", reason));
}

absl::Status AddFile(const std::string& path, Sources* sources) {
  ATTUNE_ASSIGN_OR_RETURN(const auto file, SafetensorsFile::Open(path));
  for (const auto& [name, tensor] : file->index()) {
    const auto [it, added] = sources->emplace(name, WeightSource{file, tensor});
    if (!added) {
      return Unusable(it->second, name, absl::StrCat("is also in ", path));
    }
  }
  return absl::OkStatus();
}

// By tensor, the file of the index: each name that of a file beside it.
absl::StatusOr<std::map<std::string, std::string>> ReadWeightMap(const std::string& index_path) {
  const auto refuse = [&](absl::string_view reason) {
    return absl::InvalidArgumentError(absl::StrCat("cannot read ", index_path, ": ", reason));
  };
  ATTUNE_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(index_path));
  const absl::StatusOr<Json> index = ParseStrictJson(bytes);
  if (!index.ok()) return refuse(index.status().message());
  if (!index->is_object() || !index->contains("weight_map") ||
      !(*index)["weight_map"].is_object()) {
    return refuse("it is not a JSON object with a weight_map");
  }
  std::map<std::string, std::string> files;
  for (const auto& [name, file] : (*index)["weight_map"].items()) {
    const std::string shard = file.is_string() ? file.get<std::string>() : "";
    if (!absl::EndsWith(shard, ".safetensors") || absl::StrContains(shard, '/')) {
      return refuse(absl::StrCat("tensor ", name, " is not in a .safetensors file beside it"));
    }
    files.emplace(name, shard);
  }
  return files;
}

absl::StatusOr<Sources> ReadShards(const std::string& directory, const std::string& index_path) {
  ATTUNE_ASSIGN_OR_RETURN(const auto weight_map, ReadWeightMap(index_path));
  std::set<std::string> shards;
  for (const auto& [name, shard] : weight_map) shards.insert(shard);
  Sources sources;
  for (const std::string& shard : shards) {
    const absl::Status added = AddFile(JoinPath(directory, shard), &sources);
    if (!added.ok())
      return Annotate(added, absl::StrCat("while reading the files of ", index_path));
  }
  for (const auto& [name, shard] : weight_map) {
    const auto it = sources.find(name);
    if (it == sources.end() || BaseName(it->second.file->path()) != shard) {
      return absl::InvalidArgumentError(absl::StrCat("tensor ", name, " is not in ", shard,
                                                     ", where ", index_path, " says it is"));
    }
  }
  return sources;
}

// Whether a file of that name is weights as torch.save writes them, as opposed to what a training
// run leaves beside them.
bool IsPickledModel(const std::string& name) {
  for (const char* other : {"training_args", "optimizer", "scheduler", "scaler", "rng_state"}) {
    if (absl::StartsWith(name, other)) return false;
  }
  return absl::EndsWith(name, ".bin") || absl::EndsWith(name, ".pt") ||
         absl::EndsWith(name, ".pth") || name == "pytorch_model.bin.index.json";
}

absl::Status RefusePickled(const std::string& directory, const std::string& file,
                           const ModelConfig& config) {
  std::string command = absl::StrFormat(
      "python3 -c 'from transformers import %s as Model; "
      "Model.from_pretrained(\"%s\", torch_dtype=\"auto\")"
      ".save_pretrained(\"%s\", safe_serialization=True)'",
      config.num_labels > 0 ? "AutoModelForSequenceClassification" : "AutoModelForCausalLM",
      directory, directory);
  if (absl::StartsWith(file, "consolidated.")) {  // as the makers of Llama publish it
    command = absl::StrFormat(
        "python3 -m transformers.models.llama.convert_llama_weights_to_hf --input_dir %s "
        "--output_dir %s-hf",
        directory, directory);
  }
  return absl::InvalidArgumentError(absl::StrCat(
      directory, " holds its weights as ", file,
      ", which is not read because loading it can run code; convert it once: ", command));
}

// Why a directory without safetensors cannot be used, and what to do.
absl::Status NoSafetensors(const std::string& directory, const ModelConfig& config) {
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(directory));
  for (const std::string& name : names) {
    if (IsPickledModel(name)) return RefusePickled(directory, name, config);
  }
  for (const std::string& name : names) {
    if (!absl::EndsWith(name, ".gguf")) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        directory, " holds its weights as ", name,
        ", and GGUF is not read; give the Hugging Face directory that it was made from"));
  }
  return absl::NotFoundError(
      absl::StrCat("there is no ", kWeightsFile, " and no ", kIndexFile, " in ", directory));
}

absl::StatusOr<Sources> ReadSources(const std::string& directory, const ModelConfig& config) {
  const std::string single = JoinPath(directory, kWeightsFile);
  const std::string index = JoinPath(directory, kIndexFile);
  if (!FileExists(single)) {
    return FileExists(index) ? ReadShards(directory, index) : NoSafetensors(directory, config);
  }
  Sources sources;
  ATTUNE_RETURN_IF_ERROR(AddFile(single, &sources));
  return sources;
}

// Whether a tensor is stored, in older checkpoints, although it follows from config.json.
bool IsBuffer(const std::string& name, const StoredTensor& tensor) {
  const std::vector<int64_t>& shape = tensor.shape;
  if (absl::EndsWith(name, ".rotary_emb.inv_freq")) return true;
  if (absl::EndsWith(name, ".attn.masked_bias")) return shape.size() <= 1;
  return absl::EndsWith(name, ".attn.bias") && shape.size() == 4 && shape[0] == 1 && shape[1] == 1;
}

// `sources` under the names of the layout: with `prefix` in front where that is what is missing.
absl::StatusOr<Sources> WithFullNames(const Sources& sources, const std::set<std::string>& layout,
                                      const std::string& prefix) {
  Sources named;
  for (const auto& [name, source] : sources) {
    if (IsBuffer(name, source.tensor)) continue;
    const bool bare = layout.count(name) == 0 && layout.count(prefix + name) > 0;
    if (!named.emplace(bare ? prefix + name : name, source).second) {
      return Unusable(source, name, absl::StrCat("is also stored with ", prefix, " in front"));
    }
  }
  return named;
}

absl::Status CheckTensor(const std::string& name, const std::vector<int64_t>& shape,
                         const WeightSource& source) {
  if (source.tensor.shape != shape) {
    return Unusable(source, name,
                    absl::StrCat("has the shape [", absl::StrJoin(source.tensor.shape, ", "),
                                 "], but config.json makes it [", absl::StrJoin(shape, ", "), "]"));
  }
  if (source.tensor.type.has_value()) return absl::OkStatus();
  return Unusable(
      source, name,
      absl::StrCat("has the dtype ", source.tensor.dtype, "; F32, F16 and BF16 are read"));
}

bool HaveTheSameBytes(const WeightSource& a, const WeightSource& b) {
  const size_t size = a.tensor.end - a.tensor.begin;
  const bool same =
      a.tensor.type == b.tensor.type &&
      std::memcmp(a.file->View(a.tensor).bytes, b.file->View(b.tensor).bytes, size) == 0;
  a.file->Release(a.tensor);
  b.file->Release(b.tensor);
  return same;
}

// Takes the head of a tied model out of `sources`: the embeddings under the other name, or a copy
// of them.
absl::Status ResolveTiedHead(const TensorSpec& embeddings, Sources* sources) {
  const auto head = sources->find(kTiedHead);
  if (head == sources->end()) return absl::OkStatus();
  const auto [stored, only_head] = sources->emplace(embeddings.name, head->second);
  if (!only_head) {
    ATTUNE_RETURN_IF_ERROR(CheckTensor(embeddings.name, embeddings.shape, stored->second));
    ATTUNE_RETURN_IF_ERROR(CheckTensor(kTiedHead, embeddings.shape, head->second));
    if (!HaveTheSameBytes(stored->second, head->second)) {
      return Unusable(head->second, kTiedHead,
                      absl::StrCat("differs from ", embeddings.name,
                                   ", although config.json says tie_word_embeddings"));
    }
  }
  sources->erase(head);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<WeightFiles> WeightFiles::Open(const std::string& directory,
                                              const ModelConfig& config) {
  const std::vector<TensorSpec> layout = WeightLayout(config);
  const ModelRefs refs = RefsOf(config);
  std::set<std::string> names;
  for (const TensorSpec& spec : layout) names.insert(spec.name);
  const std::string prefix = refs.embeddings.substr(0, refs.embeddings.find('.') + 1);
  ATTUNE_ASSIGN_OR_RETURN(const Sources stored, ReadSources(directory, config));
  ATTUNE_ASSIGN_OR_RETURN(Sources sources, WithFullNames(stored, names, prefix));
  if (refs.head.weight == refs.embeddings) {
    ATTUNE_RETURN_IF_ERROR(ResolveTiedHead(FindTensor(layout, refs.embeddings), &sources));
  }
  for (const TensorSpec& spec : layout) {
    const auto it = sources.find(spec.name);
    if (it == sources.end()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "cannot load ", directory, ": tensor ", spec.name, " is missing from its safetensors"));
    }
    ATTUNE_RETURN_IF_ERROR(CheckTensor(spec.name, spec.shape, it->second));
  }
  for (const auto& [name, source] : sources) {
    if (names.count(name) == 0) {
      return Unusable(source, name, "is no part of the model of config.json");
    }
  }
  return WeightFiles(std::move(sources));
}

WeightFiles::WeightFiles(Sources sources)
    : sources_(std::make_shared<const Sources>(std::move(sources))) {}

const WeightSource& WeightFiles::Find(const std::string& name) const {
  const auto it = sources_->find(name);
  ATTUNE_CHECK(it != sources_->end());
  return it->second;
}

TensorView WeightFiles::View(const std::string& name) const {
  return Find(name).file->View(Find(name).tensor);
}

void WeightFiles::Release(const std::string& name) const {
  Find(name).file->Release(Find(name).tensor);
}

absl::Status WriteWeightFiles(const std::string& directory,
                              const std::vector<TensorToStore>& tensors, int64_t shard_bytes_max) {
  std::vector<std::vector<TensorToStore>> shards(1);
  int64_t shard_bytes = 0;
  int64_t total_bytes = 0;
  for (const TensorToStore& tensor : tensors) {
    const int64_t bytes = tensor.bytes();
    if (!shards.back().empty() && bytes > shard_bytes_max - shard_bytes) {
      shards.emplace_back();
      shard_bytes = 0;
    }
    shards.back().push_back(tensor);
    shard_bytes += bytes;
    total_bytes += bytes;
  }
  if (shards.size() == 1) return WriteSafetensors(JoinPath(directory, kWeightsFile), shards[0]);
  Json weight_map;
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string file =
        absl::StrFormat("model-%05d-of-%05d.safetensors", i + 1, shards.size());
    for (const TensorToStore& tensor : shards[i]) weight_map[tensor.name] = file;
    ATTUNE_RETURN_IF_ERROR(WriteSafetensors(JoinPath(directory, file), std::move(shards[i])));
  }
  const Json index = {{"metadata", {{"total_size", total_bytes}}}, {"weight_map", weight_map}};
  return WriteFile(JoinPath(directory, kIndexFile), index.dump(2) + "\n");
}

}  // namespace attune
