#include "spec/dataset_messages.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace attune {
namespace {

// {"type": "text", "text": ...} parts -> their texts.
std::string JoinParts(const std::string& name, RowJson* content) {
  std::string text;
  for (const RowJson& part : *content) {
    const auto type = part.is_object() ? part.find("type") : part.end();
    if (type == part.end() || !type->is_string()) {
      return absl::StrCat(name, " has a part without \"type\"; must be text");
    }
    if (*type != "text") {
      return absl::StrCat(name, " has a part of type ", type->dump(),
                          ", which cannot be trained on; must be text");
    }
    const auto of_part = part.find("text");
    if (of_part == part.end() || !of_part->is_string()) {
      return absl::StrCat(name, " has a part of type \"text\" without \"text\"");
    }
    text += of_part->get<std::string>();
  }
  *content = std::move(text);
  return "";
}

std::string RenameShareGpt(const std::string& name, RowJson* message) {
  const RowJson& from = (*message)["from"];
  const char* role = from == "human" || from == "user"      ? "user"
                     : from == "gpt" || from == "assistant" ? "assistant"
                     : from == "system"                     ? "system"
                                                            : nullptr;
  if (role == nullptr) {
    return absl::StrCat(name, " is from ", from.dump(),
                        ", which cannot be trained on; must be human, gpt or system");
  }
  *message = RowJson{{"role", role}, {"content", (*message)["value"]}};
  return "";
}

std::string ReadMessage(const std::string& name, RowJson* message) {
  if (!message->is_object()) {
    return absl::StrCat(name, " must be {...}, not ", message->type_name());
  }
  if (IsShareGptMessage(*message)) {
    if (std::string problem = RenameShareGpt(name, message); !problem.empty()) return problem;
  }
  const auto calls = message->find("tool_calls");
  const bool has_calls = calls != message->end() && !calls->is_null() && !calls->empty();
  for (const char* key : {"role", "content"}) {
    const auto it = message->find(key);
    if (has_calls && (it == message->end() || !it->is_string())) {
      return absl::StrCat(name, " has \"tool_calls\", which cannot be trained on");
    }
    if (it == message->end()) return absl::StrCat(name, " has no \"", key, "\"");
    const std::string of_key = absl::StrCat("\"", key, "\" of ", name);
    if (key == absl::string_view("content") && it->is_array()) {
      if (std::string problem = JoinParts(of_key, &*it); !problem.empty()) return problem;
    }
    if (!it->is_string()) return absl::StrCat(of_key, " must be text, not ", it->type_name());
  }
  return "";
}

}  // namespace

bool IsShareGptMessage(const RowJson& value) {
  return value.is_object() && value.contains("from") && value.contains("value");
}

std::string ReadMessages(absl::string_view name, const RowJson& value, RowJson* messages) {
  if (!value.is_array()) return absl::StrCat(name, " must be a list, not ", value.type_name());
  if (value.empty()) return absl::StrCat(name, " is empty");
  *messages = value;
  for (size_t i = 0; i < messages->size(); ++i) {
    const std::string of_message = absl::StrCat(name, "[", i, "]");
    if (std::string problem = ReadMessage(of_message, &(*messages)[i]); !problem.empty()) {
      return problem;
    }
  }
  return "";
}

std::string TakeResponse(absl::string_view name, RowJson* messages, std::string* text) {
  const RowJson& last = messages->back();
  if (last["role"] != "assistant") {
    return absl::StrCat("the last of ", name, " is of the role ", last["role"].dump(),
                        "; must be the response, of the role assistant");
  }
  const auto calls = last.find("tool_calls");
  if (calls != last.end() && !calls->is_null() && !calls->empty()) {
    return absl::StrCat("the last of ", name, " has \"tool_calls\", which cannot be trained on");
  }
  *text = last["content"].get<std::string>();
  messages->erase(messages->size() - 1);
  return "";
}

std::string ReadResponse(absl::string_view name, const RowJson& value, std::string* text) {
  if (value.is_string()) {
    *text = value.get<std::string>();
    return "";
  }
  if (!value.is_array() && !value.is_object()) {
    return absl::StrCat(name, " must be text or messages, not ", value.type_name());
  }
  RowJson messages;
  std::string problem =
      ReadMessages(name, value.is_object() ? RowJson::array({value}) : value, &messages);
  if (!problem.empty()) return problem;
  if (messages.size() != 1) {
    return absl::StrCat(name, " has ", messages.size(),
                        " messages; must be one, of the role assistant");
  }
  return TakeResponse(name, &messages, text);
}

}  // namespace attune
