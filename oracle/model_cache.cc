#include "oracle/model_cache.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/files.h"
#include "common/status_macros.h"
#include "model/layout.h"
#include "model/model_config.h"
#include "model/weight_files.h"
#include "model/weights.h"

namespace attune {
namespace {

// Besides the weights, these decide about tokens and numbers.
constexpr const char* kSmallFiles[] = {
    "config.json",           "generation_config.json",  "tokenizer.json",
    "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja",
    "chat_template.json"};

// Of the names and stamps of the files that a model is made of.
absl::StatusOr<std::string> DirectoryStamp(const std::string& directory) {
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(directory));
  std::string stamp;
  for (const std::string& name : names) {
    const bool counts = absl::EndsWith(name, ".json") || absl::EndsWith(name, ".jinja") ||
                        absl::EndsWith(name, ".safetensors");
    if (!counts) continue;
    ATTUNE_ASSIGN_OR_RETURN(const std::string file, FileStamp(JoinPath(directory, name)));
    absl::StrAppend(&stamp, name, "\n", file, "\n");
  }
  return stamp;
}

absl::StatusOr<std::string> DigestOf(const std::string& directory, const std::string& weights) {
  Sha256 digest;
  digest.UpdateField(weights);
  for (const char* name : kSmallFiles) {
    const std::string path = JoinPath(directory, name);
    if (!FileExists(path)) continue;
    ATTUNE_ASSIGN_OR_RETURN(const std::string content, ReadFile(path));
    digest.UpdateField(name);
    digest.UpdateField(content);
  }
  return digest.HexDigest();
}

absl::StatusOr<std::shared_ptr<const LoadedModel>> ReadModel(const std::string& directory) {
  ATTUNE_ASSIGN_OR_RETURN(const ModelConfig config, LoadModelConfig(directory));
  ATTUNE_ASSIGN_OR_RETURN(std::shared_ptr<const Tokenizer> tokenizer, Tokenizer::Load(directory));
  if (tokenizer->vocab_size() > config.vocab_size) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the tokenizer has ", tokenizer->vocab_size(), " ids but the model's vocab_size is ",
        config.vocab_size, "; they do not belong together"));
  }
  ATTUNE_ASSIGN_OR_RETURN(const WeightFiles files, WeightFiles::Open(directory, config));
  ATTUNE_ASSIGN_OR_RETURN(std::string digest,
                          DigestOf(directory, WeightsDigest(WeightLayout(config), files)));
  return std::make_shared<const LoadedModel>(
      LoadedModel{Policy::Read(config, files), std::move(tokenizer), ChatTemplate::Load(directory),
                  std::move(digest)});
}

// What is missing or forbidden is the fault of whoever named the directory.
absl::Status LoadError(const std::string& directory, const absl::Status& status) {
  const std::string text =
      absl::StrCat("cannot load the model ", directory, ": ", status.message());
  if (absl::IsNotFound(status) || absl::IsPermissionDenied(status)) {
    return absl::InvalidArgumentError(
        absl::StrCat(text, "; name a Hugging Face directory that the oracle process can read"));
  }
  return absl::Status(status.code(), text);
}

}  // namespace

absl::StatusOr<std::shared_ptr<const LoadedModel>> ModelCache::Load(const std::string& directory) {
  const absl::StatusOr<std::string> stamp = DirectoryStamp(directory);
  if (!stamp.ok()) return LoadError(directory, stamp.status());
  const std::shared_ptr<Entry> entry = FindOrAdd(directory, *stamp);
  absl::MutexLock lock(&entry->mu);
  if (entry->model == nullptr) {
    absl::StatusOr<std::shared_ptr<const LoadedModel>> model = ReadModel(directory);
    if (!model.ok()) return LoadError(directory, model.status());  // the next call tries again
    entry->model = *std::move(model);
  }
  return entry->model;
}

std::shared_ptr<ModelCache::Entry> ModelCache::FindOrAdd(const std::string& directory,
                                                         const std::string& stamp) {
  absl::MutexLock lock(&mu_);
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const auto& entry) { return entry->directory == directory; });
  if (found != entries_.end() && (*found)->stamp == stamp) {
    entries_.splice(entries_.begin(), entries_, found);
    return entries_.front();
  }
  if (found != entries_.end()) entries_.erase(found);  // what the directory held before
  if (entries_.size() == kModelsMax) entries_.pop_back();
  entries_.push_front(std::make_shared<Entry>(directory, stamp));
  return entries_.front();
}

absl::StatusOr<EncodedPrompt> EncodePrompt(const LoadedModel& model, absl::string_view prompt,
                                           absl::string_view messages) {
  if (messages.empty()) {
    return EncodedPrompt{std::string(prompt),
                         model.tokenizer->Encode(prompt, /*add_special_tokens=*/true)};
  }
  if (!model.chat_template.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the prompt has messages, but the oracle's model "
                     "cannot take them: ",
                     model.chat_template.status().message()));
  }
  ATTUNE_ASSIGN_OR_RETURN(std::string text,
                          (*model.chat_template)->Render(messages, /*add_generation_prompt=*/true));
  std::vector<int32_t> ids = model.tokenizer->Encode(text, /*add_special_tokens=*/false);
  return EncodedPrompt{std::move(text), std::move(ids)};
}

std::vector<int32_t> EncodeResponse(const LoadedModel& model, const EncodedPrompt& prompt,
                                    absl::string_view response, bool ended) {
  std::vector<int32_t> ids = EncodeCompletion(*model.tokenizer, prompt.text, prompt.ids, response);
  const std::vector<int32_t>& ends = model.policy->config().eos_token_ids;
  const bool has_end = !ids.empty() && std::count(ends.begin(), ends.end(), ids.back()) > 0;
  if (ended && !ends.empty() && !has_end) ids.push_back(ends.front());
  return ids;
}

}  // namespace attune
