// Messages -> the text that a model continues, by the chat template of its Hugging Face directory:
// transformers' apply_chat_template(messages, tokenize=False) for the Jinja that such templates
// use. The text is to be tokenised without adding special tokens: the template has written them.
//
// What differs from transformers, on purpose:
//   - what is not supported (a tag, filter, test, method, a recursive loop, keys of dicts that are
//     not texts) is refused by name and line, when the template is read wherever that can be known;
//   - integers have 64 bits;
//   - strftime_now() always says 26 Jul 2024: see jinja_functions.h;
//   - case follows the simple mappings of Unicode: see jinja_text.h.
#ifndef ATTUNE_MODEL_CHAT_TEMPLATE_H_
#define ATTUNE_MODEL_CHAT_TEMPLATE_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/jinja/ast.h"
#include "model/jinja/value.h"

namespace attune {

// Immutable, thread-safe.
class ChatTemplate {
 public:
  static constexpr size_t kTemplateBytesMax = 1 << 20;

  // The first of chat_template.jinja, "chat_template" of tokenizer_config.json (a text, or a list
  // of {"name", "template"}, of which "default" is taken) and chat_template.json. The special
  // tokens of tokenizer_config.json, or else of special_tokens_map.json, are its variables, such
  // as bos_token. NOT_FOUND when the directory has no template; INVALID_ARGUMENT names what is
  // wrong with it.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<const ChatTemplate>> Load(
      const std::string& directory);

  // From a text, with the members of the JSON object `variables_json` as its variables.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<const ChatTemplate>> Parse(
      absl::string_view text, absl::string_view variables_json);

  // `messages_json`: a JSON list of objects with "role" and "content" and whatever else the
  // template looks at. With `add_generation_prompt` the text ends where the answer begins.
  // INVALID_ARGUMENT, with the line of the template: it raises (with its message), it does what
  // Python refuses, or it takes more than the limits of jinja_eval.h.
  [[nodiscard]] absl::StatusOr<std::string> Render(absl::string_view messages_json,
                                                   bool add_generation_prompt) const;

 private:
  ChatTemplate(jinja::Block block, jinja::Dict variables)
      : block_(std::move(block)), variables_(std::move(variables)) {}

  const jinja::Block block_;
  const jinja::Dict variables_;
};

}  // namespace attune

#endif  // ATTUNE_MODEL_CHAT_TEMPLATE_H_
