// The models that oracles ask, with what makes their tokens, and prompts and responses as tokens.
#ifndef ATTUNE_ORACLE_MODEL_CACHE_H_
#define ATTUNE_ORACLE_MODEL_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "model/chat_template.h"
#include "model/policy.h"
#include "model/tokenizer/tokenizer.h"

namespace attune {

// A Hugging Face directory: a language model, or a sequence classifier where
// policy->config().num_labels > 0. Immutable, hence thread-safe.
struct LoadedModel {
  std::shared_ptr<const Policy> policy;
  std::shared_ptr<const Tokenizer> tokenizer;
  // That there is none matters only to prompts with messages.
  absl::StatusOr<std::shared_ptr<const ChatTemplate>> chat_template;
  // SHA-256 of all that decides: the weights, config.json and generation_config.json, the files of
  // the tokenizer and of the chat template.
  std::string digest;
};

// The models used last. A directory is read once, while others who want it wait, and again when a
// file in it has changed. Thread-safe.
class ModelCache {
 public:
  // INVALID_ARGUMENT names the directory and what is missing or unusable there, also a tokenizer
  // with ids that the model does not have. UNAVAILABLE: the file system failed; the same call may
  // succeed later.
  [[nodiscard]] absl::StatusOr<std::shared_ptr<const LoadedModel>> Load(
      const std::string& directory);

  // Two oracles of two models each; what is in use beyond that lives until its users are done.
  static constexpr size_t kModelsMax = 4;

 private:
  struct Entry {
    Entry(std::string directory_in, std::string stamp_in)
        : directory(std::move(directory_in)), stamp(std::move(stamp_in)) {}

    const std::string directory;
    const std::string stamp;                                       // of the files it was read from
    absl::Mutex mu;                                                // held through the load
    std::shared_ptr<const LoadedModel> model ABSL_GUARDED_BY(mu);  // null: not loaded
  };

  std::shared_ptr<Entry> FindOrAdd(const std::string& directory, const std::string& stamp);

  absl::Mutex mu_;
  std::list<std::shared_ptr<Entry>> entries_ ABSL_GUARDED_BY(mu_);  // most recently used first
};

struct EncodedPrompt {
  std::string text;  // what the chat template made of the messages, or the prompt
  std::vector<int32_t> ids;
};

// A prompt as rollout workers make it: `messages` (a JSON list) by the model's chat template, or
// when that is empty `prompt` as it is, with the special tokens that the tokenizer adds to a text.
// INVALID_ARGUMENT: there are messages but no template, or it refuses them.
[[nodiscard]] absl::StatusOr<EncodedPrompt> EncodePrompt(const LoadedModel& model,
                                                         absl::string_view prompt,
                                                         absl::string_view messages);

// The tokens of `response` after the prompt: those of the text and, with `ended`, the model's first
// end-of-sequence id if it has one and they do not end with one. As rollout workers make the
// responses of datasets, but not cut.
std::vector<int32_t> EncodeResponse(const LoadedModel& model, const EncodedPrompt& prompt,
                                    absl::string_view response, bool ended);

}  // namespace attune

#endif  // ATTUNE_ORACLE_MODEL_CACHE_H_
