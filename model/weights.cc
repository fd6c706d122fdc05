#include "model/weights.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "common/digest.h"
#include "common/files.h"
#include "common/status_macros.h"
#include "model/model_family.h"
#include "model/safetensors.h"
#include "model/tensor_type.h"
#include "nlohmann/json.hpp"

namespace attune {
namespace {

// Gives the values of a tensor to `sha` as fp32.
void UpdateValues(const TensorView& values, int64_t size, Sha256* sha) {
  if (values.type == TensorType::kF32) {
    sha->Update(values.bytes, static_cast<size_t>(size) * sizeof(float));
    return;
  }
  std::vector<float> chunk(std::min<int64_t>(size, 1 << 16));
  for (int64_t done = 0; done < size; done += chunk.size()) {
    const int64_t count = std::min<int64_t>(size - done, chunk.size());
    values.From(done).Read(count, chunk.data());
    sha->Update(chunk.data(), static_cast<size_t>(count) * sizeof(float));
  }
}

void UpdateTensor(const TensorSpec& spec, const TensorView& values, Sha256* sha) {
  sha->UpdateField(spec.name);
  sha->UpdateField(absl::StrJoin(spec.shape, ","));
  sha->BeginField(static_cast<uint64_t>(spec.size) * sizeof(float));
  UpdateValues(values, spec.size, sha);
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

// Makes the config.json of a language model that of a classifier.
void DescribeClassifier(const ModelConfig& config, nlohmann::ordered_json* json) {
  for (const ModelFamily& family : ModelFamilies()) {
    if (config.model_type != family.model_type) continue;
    const std::string name = absl::StrCat(family.class_prefix, "ForSequenceClassification");
    (*json)["architectures"] = nlohmann::ordered_json::array({name});
  }
  (*json)["num_labels"] = config.num_labels;
  if (config.pad_token_id >= 0) (*json)["pad_token_id"] = config.pad_token_id;
  const auto names_before = json->find("id2label");
  if (names_before != json->end() &&
      static_cast<int64_t>(names_before->size()) == config.num_labels) {
    return;
  }
  nlohmann::ordered_json names, ids;
  for (int64_t label = 0; label < config.num_labels; ++label) {
    const std::string name = absl::StrCat("LABEL_", label);
    names[absl::StrCat(label)] = name;
    ids[name] = label;
  }
  (*json)["id2label"] = std::move(names);
  (*json)["label2id"] = std::move(ids);
}

absl::Status WriteSmallFiles(const std::string& source, const std::string& to,
                             const ModelConfig& model, const std::string& attune_json) {
  const std::string config_path = JoinPath(source, "config.json");
  ATTUNE_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(config_path));
  auto config = nlohmann::ordered_json::parse(bytes, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(config_path, " is not a JSON object"));
  }
  config["torch_dtype"] = "float32";
  if (config.contains("dtype")) config["dtype"] = "float32";  // its name since transformers 5
  if (model.num_labels > 0) DescribeClassifier(model, &config);
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
                            const std::string& attune_json, int64_t shard_bytes_max) {
  ATTUNE_RETURN_IF_ERROR(CreateDirectories(directory));
  const std::vector<TensorSpec> layout = WeightLayout(config);
  std::vector<TensorToStore> tensors;
  for (const TensorSpec& spec : layout) {
    tensors.push_back({spec.name, spec.shape, ViewOf(&weights[spec.offset])});
  }
  ATTUNE_RETURN_IF_ERROR(WriteWeightFiles(directory, tensors, shard_bytes_max));
  ATTUNE_RETURN_IF_ERROR(WriteSmallFiles(source, directory, config, attune_json));
  ATTUNE_RETURN_IF_ERROR(SyncDirectory(directory));
  ATTUNE_ASSIGN_OR_RETURN(const ModelConfig read_config, LoadModelConfig(directory));
  ATTUNE_ASSIGN_OR_RETURN(const WeightFiles read, WeightFiles::Open(directory, read_config));
  if (WeightsDigest(WeightLayout(read_config), read) != WeightsDigest(layout, weights)) {
    return absl::DataLossError(absl::StrCat(directory, " does not read back as it was written"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<float>> LoadWeights(const std::string& directory,
                                               const ModelConfig& config) {
  const std::vector<TensorSpec> layout = WeightLayout(config);
  ATTUNE_ASSIGN_OR_RETURN(const WeightFiles files, WeightFiles::Open(directory, config));
  // Only now that the shapes are those of the files: config.json alone may ask for any memory.
  std::vector<float> weights(WeightCount(layout));
  for (const TensorSpec& spec : layout) {
    files.View(spec.name).Read(spec.size, &weights[spec.offset]);
    files.Release(spec.name);
  }
  return weights;
}

std::string WeightsDigest(const std::vector<TensorSpec>& layout, absl::Span<const float> weights) {
  Sha256 sha;
  for (const TensorSpec& spec : layout) {
    UpdateTensor(spec, ViewOf(&weights[spec.offset]), &sha);
  }
  return sha.HexDigest();
}

std::string WeightsDigest(const std::vector<TensorSpec>& layout, const WeightFiles& files) {
  Sha256 sha;
  for (const TensorSpec& spec : layout) {
    UpdateTensor(spec, files.View(spec.name), &sha);
    files.Release(spec.name);
  }
  return sha.HexDigest();
}

absl::Status SaveCheckpoint(const std::string& directory, const std::string& source,
                            const ModelConfig& config, absl::Span<const float> weights,
                            const std::string& attune_json, int64_t shard_bytes_max,
                            const AddFiles& add_files) {
  if (DirectoryExists(directory) || FileExists(directory)) {
    return absl::AlreadyExistsError(
        absl::StrCat("cannot save a checkpoint as ", directory, ": it exists already"));
  }
  const std::string target = AbsolutePath(directory);
  const std::string parent = ParentPath(target);
  const std::string temporary =
      JoinPath(parent, absl::StrCat(".", BaseName(target), ".", ::getpid(), ".tmp"));
  ATTUNE_RETURN_IF_ERROR(RemoveAll(temporary));
  absl::Status status =
      WriteAndVerify(temporary, source, config, weights, attune_json, shard_bytes_max);
  if (status.ok() && add_files) status = add_files(temporary);
  if (status.ok()) status = Rename(temporary, target);
  if (status.ok()) return SyncDirectory(parent);
  RemoveAll(temporary).IgnoreError();  // the first error is the one to tell
  return Annotate(status, absl::StrCat("cannot save the checkpoint ", directory));
}

}  // namespace attune
