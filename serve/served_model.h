// The model that a server serves: all of its Hugging Face directory that answers need.
#ifndef ATTUNE_SERVE_SERVED_MODEL_H_
#define ATTUNE_SERVE_SERVED_MODEL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/chat_template.h"
#include "model/policy.h"
#include "model/tensor_type.h"
#include "model/tokenizer/tokenizer.h"
#include "serve/api_request.h"

namespace attune {

// Immutable, hence thread-safe.
struct ServedModel {
  std::string name;         // what requests call it
  std::string fingerprint;  // of its weights as they are computed with
  std::shared_ptr<const Policy> policy;
  std::shared_ptr<const Tokenizer> tokenizer;
  // That there is none matters only to chats.
  absl::StatusOr<std::shared_ptr<const ChatTemplate>> chat_template;
};

// `name` empty: that of the directory. With a `precision`, weights are rounded to that
// (Policy::Read). INVALID_ARGUMENT or NOT_FOUND names what is missing or unusable, also a sequence
// classifier, which writes no text.
[[nodiscard]] absl::StatusOr<ServedModel> LoadServedModel(const std::string& directory,
                                                          const std::string& name,
                                                          std::optional<TensorType> precision);

// The ids of each prompt of the request: of a chat's messages by the chat template, whose text has
// its special tokens already; of a text with those that the tokenizer adds.
[[nodiscard]] absl::StatusOr<std::vector<std::vector<int32_t>>> EncodePrompts(
    const ServedModel& model, const ApiRequest& request);

// The text of `id` after the token `previous`, white space at its front included; that of a special
// token too.
std::string TokenText(const Tokenizer& tokenizer, int32_t previous, int32_t id);

}  // namespace attune

#endif  // ATTUNE_SERVE_SERVED_MODEL_H_
