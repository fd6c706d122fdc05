#include "model/chat_template.h"

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/status_macros.h"
#include "model/jinja/eval.h"
#include "model/jinja/json.h"
#include "model/jinja/parser.h"
#include "model/strict_json.h"
#include "model/tokenizer/utf8.h"
#include "nlohmann/json.hpp"

namespace attune {
namespace {

using Json = nlohmann::json;

// An empty object where there is no such file.
absl::StatusOr<Json> ReadJsonFile(const std::string& path) {
  if (!FileExists(path)) return Json::object();
  ATTUNE_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  absl::StatusOr<Json> json = ParseStrictJson(bytes);
  if (!json.ok()) return Annotate(json.status(), path);
  if (!json->is_object()) return absl::InvalidArgumentError(path + ": it is not a JSON object");
  return json;
}

// The text of "chat_template", null if there is none.
absl::StatusOr<Json> TemplateOf(const Json& config, const std::string& path) {
  const auto it = config.find("chat_template");
  if (it == config.end() || it->is_null() || it->is_string()) {
    return it == config.end() ? Json() : *it;
  }
  for (size_t i = 0; it->is_array() && i < it->size(); ++i) {
    const Json& entry = (*it)[i];
    if (entry.is_object() && entry.value("name", Json()) == "default" &&
        entry.value("template", Json()).is_string()) {
      return entry["template"];
    }
  }
  return absl::InvalidArgumentError(absl::StrCat(
      path,
      ": \"chat_template\" must be a text or a list of {\"name\", \"template\"} with the "
      "name \"default\""));
}

// The text of the template and the file that it is from.
struct Source {
  std::string path;
  std::string text;
};

absl::StatusOr<Source> FindTemplate(const std::string& directory, const Json& tokenizer_config) {
  const std::string plain = JoinPath(directory, "chat_template.jinja");
  if (FileExists(plain)) {
    ATTUNE_ASSIGN_OR_RETURN(std::string text, ReadFile(plain));
    return Source{plain, std::move(text)};
  }
  const std::string config_path = JoinPath(directory, "tokenizer_config.json");
  ATTUNE_ASSIGN_OR_RETURN(Json text, TemplateOf(tokenizer_config, config_path));
  if (text.is_string()) return Source{config_path, text.get<std::string>()};
  const std::string json_path = JoinPath(directory, "chat_template.json");
  ATTUNE_ASSIGN_OR_RETURN(const Json json, ReadJsonFile(json_path));
  ATTUNE_ASSIGN_OR_RETURN(text, TemplateOf(json, json_path));
  if (text.is_string()) return Source{json_path, text.get<std::string>()};
  return absl::NotFoundError(absl::StrCat(
      "the model ", directory,
      " has no chat template, which messages need; give prompts as plain "
      "text, take an instruction-tuned model, or add a chat_template.jinja to the directory"));
}

// bos_token and the like: a text, or {"content": text, ...}.
void AddSpecialTokens(const Json& config, Json* variables) {
  for (const char* name : {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token",
                           "cls_token", "mask_token"}) {
    const auto it = config.find(name);
    if (it == config.end() || variables->contains(name)) continue;
    const Json token = it->is_object() ? it->value("content", Json()) : *it;
    if (token.is_string()) (*variables)[name] = token;
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<const ChatTemplate>> ChatTemplate::Load(
    const std::string& directory) {
  ATTUNE_ASSIGN_OR_RETURN(const Json config,
                          ReadJsonFile(JoinPath(directory, "tokenizer_config.json")));
  ATTUNE_ASSIGN_OR_RETURN(const Source source, FindTemplate(directory, config));
  ATTUNE_ASSIGN_OR_RETURN(const Json tokens,
                          ReadJsonFile(JoinPath(directory, "special_tokens_map.json")));
  Json variables = Json::object();
  AddSpecialTokens(config, &variables);
  AddSpecialTokens(tokens, &variables);
  absl::StatusOr<std::unique_ptr<const ChatTemplate>> made = Parse(source.text, variables.dump());
  if (!made.ok()) {
    return Annotate(made.status(), absl::StrCat("cannot use the chat template of ", source.path));
  }
  return made;
}

absl::StatusOr<std::unique_ptr<const ChatTemplate>> ChatTemplate::Parse(
    absl::string_view text, absl::string_view variables_json) {
  if (text.size() > kTemplateBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("it has ", text.size(), " bytes; the limit is ", kTemplateBytesMax));
  }
  if (!IsValidUtf8(text)) return absl::InvalidArgumentError("it is not valid UTF-8");
  ATTUNE_ASSIGN_OR_RETURN(const jinja::Value variables, jinja::ReadJson(variables_json));
  if (variables.dict() == nullptr) {
    return absl::InvalidArgumentError("the variables are not a JSON object");
  }
  ATTUNE_ASSIGN_OR_RETURN(jinja::Block block, jinja::Parse(text));
  // transformers always sets these two.
  jinja::Dict all;
  all.Set(jinja::TextValue("tools"), jinja::Value{});
  all.Set(jinja::TextValue("documents"), jinja::Value{});
  for (const auto& [name, value] : variables.dict()->items) all.Set(name, value);
  return std::unique_ptr<const ChatTemplate>(new ChatTemplate(std::move(block), std::move(all)));
}

absl::StatusOr<std::string> ChatTemplate::Render(absl::string_view messages_json,
                                                 bool add_generation_prompt) const {
  absl::StatusOr<jinja::Value> messages = jinja::ReadJson(messages_json);
  if (!messages.ok()) return Annotate(messages.status(), "cannot read the messages");
  if (messages->list() == nullptr) {
    return absl::InvalidArgumentError("the messages are not a JSON list");
  }
  jinja::Dict variables = variables_;
  variables.Set(jinja::TextValue("messages"), *std::move(messages));
  variables.Set(jinja::TextValue("add_generation_prompt"), jinja::Value{add_generation_prompt});
  absl::StatusOr<std::string> text = jinja::Render(block_, variables);
  if (!text.ok()) return Annotate(text.status(), "cannot apply the chat template");
  return text;
}

}  // namespace attune
