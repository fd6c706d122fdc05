#include "serve/served_model.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/status_macros.h"
#include "model/layout.h"
#include "model/model_config.h"
#include "model/weight_files.h"
#include "model/weights.h"
#include "serve/api_error.h"

namespace attune {
namespace {

constexpr size_t kFingerprintDigits = 12;

absl::StatusOr<ServedModel> Load(const std::string& directory, const std::string& name,
                                 std::optional<TensorType> precision) {
  ATTUNE_ASSIGN_OR_RETURN(const ModelConfig config, LoadModelConfig(directory));
  if (config.num_labels > 0) {
    return absl::InvalidArgumentError(
        "it is a sequence classifier (it has a score head and no vocabulary head) and writes no "
        "text");
  }
  ATTUNE_ASSIGN_OR_RETURN(std::shared_ptr<const Tokenizer> tokenizer, Tokenizer::Load(directory));
  if (tokenizer->vocab_size() > config.vocab_size) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the tokenizer has ", tokenizer->vocab_size(), " ids but the model's vocab_size is ",
        config.vocab_size, "; they do not belong together"));
  }
  ATTUNE_ASSIGN_OR_RETURN(const WeightFiles files, WeightFiles::Open(directory, config));
  const std::string digest = WeightsDigest(WeightLayout(config), files);
  return ServedModel{.name = name.empty() ? BaseName(AbsolutePath(directory)) : name,
                     .fingerprint = absl::StrCat("fp_", digest.substr(0, kFingerprintDigits),
                                                 precision == TensorType::kBf16 ? "_bf16" : ""),
                     .policy = Policy::Read(config, files, precision),
                     .tokenizer = std::move(tokenizer),
                     .chat_template = ChatTemplate::Load(directory)};
}

}  // namespace

absl::StatusOr<ServedModel> LoadServedModel(const std::string& directory, const std::string& name,
                                            std::optional<TensorType> precision) {
  absl::StatusOr<ServedModel> model = Load(directory, name, precision);
  if (model.ok()) return model;
  return Annotate(model.status(), absl::StrCat("cannot serve the model ", directory));
}

absl::StatusOr<std::vector<std::vector<int32_t>>> EncodePrompts(const ServedModel& model,
                                                                const ApiRequest& request) {
  std::vector<std::vector<int32_t>> prompts;
  if (request.is_chat) {
    if (!model.chat_template.ok()) {
      return FieldError("messages", absl::StrCat(model.chat_template.status().message(),
                                                 "; use /v1/completions for it"));
    }
    const absl::StatusOr<std::string> text =
        (*model.chat_template)->Render(request.messages_json, /*add_generation_prompt=*/true);
    if (!text.ok()) return FieldError("messages", text.status().message());
    prompts.push_back(model.tokenizer->Encode(*text, /*add_special_tokens=*/false));
  }
  for (const ApiPrompt& prompt : request.prompts) {
    if (const auto* ids = std::get_if<std::vector<int32_t>>(&prompt)) {
      prompts.push_back(*ids);
    } else {
      prompts.push_back(
          model.tokenizer->Encode(std::get<std::string>(prompt), /*add_special_tokens=*/true));
    }
  }
  return prompts;
}

std::string TokenText(const Tokenizer& tokenizer, int32_t previous, int32_t id) {
  std::string text = DecodeCompletion(tokenizer, {previous}, {id}, /*eos_ids=*/{});
  if (text.empty()) text = tokenizer.Decode({id}, /*skip_special_tokens=*/false);
  return text;
}

}  // namespace attune
