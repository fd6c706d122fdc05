#include "serve/api_request.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/status_macros.h"
#include "common/suggestion.h"
#include "model/strict_json.h"
#include "nlohmann/json.hpp"
#include "serve/api_error.h"

namespace attune {
namespace {

using nlohmann::json;

// What this server reads.
constexpr const char* kCommonFields[] = {"model",
                                         "max_tokens",
                                         "temperature",
                                         "top_p",
                                         "top_k",
                                         "min_p",
                                         "repetition_penalty",
                                         "min_tokens",
                                         "n",
                                         "seed",
                                         "stop",
                                         "stream",
                                         "stream_options",
                                         "logprobs"};
constexpr const char* kCompletionFields[] = {"prompt"};
constexpr const char* kChatFields[] = {"messages", "max_completion_tokens", "top_logprobs"};

// Fields that do not change an answer.
constexpr const char* kIgnoredFields[] = {"user",
                                          "metadata",
                                          "store",
                                          "service_tier",
                                          "prompt_cache_key",
                                          "cache_prompt",
                                          "safety_identifier",
                                          "stream_interval",
                                          "prompt_cache_retention"};

// Fields that change nothing as long as they have this value, JSON.
struct NeutralField {
  const char* name;
  const char* value;
};
constexpr NeutralField kNeutralFields[] = {{"add_generation_prompt", "true"},
                                           {"best_of", "1"},
                                           {"continue_final_message", "false"},
                                           {"echo", "false"},
                                           {"frequency_penalty", "0"},
                                           {"function_call", "\"none\""},
                                           {"functions", "[]"},
                                           {"ignore_eos", "false"},
                                           {"include_stop_str_in_output", "false"},
                                           {"logit_bias", "{}"},

                                           {"modalities", "[\"text\"]"},
                                           {"parallel_tool_calls", "true"},
                                           {"presence_penalty", "0"},
                                           {"response_format", "{\"type\": \"text\"}"},
                                           {"skip_special_tokens", "true"},
                                           {"stop_token_ids", "[]"},
                                           {"suffix", "\"\""},
                                           {"tool_choice", "\"none\""},
                                           {"tools", "[]"},
                                           {"use_beam_search", "false"}};

// The members of a JSON object; those that are null count as absent.
class Fields {
 public:
  explicit Fields(const json& object) : object_(object) {}

  const json* Find(const char* name) const {
    const auto it = object_.find(name);
    return it == object_.end() || it->is_null() ? nullptr : &*it;
  }

  // Each leaves `value` as it is when the field is absent.
  absl::Status Text(const char* name, std::string& value) const {
    return Read(name, value, "a string", [](const json& field) { return field.is_string(); });
  }
  absl::Status Flag(const char* name, bool& value) const {
    return Read(name, value, "true or false", [](const json& field) { return field.is_boolean(); });
  }
  absl::Status Number(const char* name, double& value) const {
    return Read(name, value, "a number", [](const json& field) { return field.is_number(); });
  }
  absl::Status Integer(const char* name, int64_t low, int64_t high, int64_t& value) const {
    const std::string range = high == std::numeric_limits<int64_t>::max()
                                  ? absl::StrCat("an integer of at least ", low)
                                  : absl::StrCat("an integer from ", low, " to ", high);
    return Read(name, value, range, [&](const json& field) {
      if (!field.is_number_integer()) return false;
      if (field.is_number_unsigned() &&
          field.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        return false;
      }
      return field.get<int64_t>() >= low && field.get<int64_t>() <= high;
    });
  }

 private:
  template <typename Value, typename IsValid>
  absl::Status Read(const char* name, Value& value, absl::string_view wanted,
                    const IsValid& is_valid) const {
    const json* field = Find(name);
    if (field == nullptr) return absl::OkStatus();
    if (!is_valid(*field)) return FieldError(name, absl::StrCat(name, " must be ", wanted));
    value = field->get<Value>();
    return absl::OkStatus();
  }

  const json& object_;
};

bool Contains(absl::Span<const char* const> names, absl::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Refuses what this server does not know: the answer would not be the one asked for.
absl::Status CheckFieldNames(const json& object, absl::Span<const char* const> own_fields) {
  for (const auto& [name, value] : object.items()) {
    if (value.is_null() || Contains(kCommonFields, name) || Contains(own_fields, name) ||
        Contains(kIgnoredFields, name)) {
      continue;
    }
    const auto* neutral =
        std::find_if(std::begin(kNeutralFields), std::end(kNeutralFields),
                     [&field = name](const NeutralField& each) { return field == each.name; });
    if (neutral == std::end(kNeutralFields)) {
      std::vector<std::string> known(std::begin(kCommonFields), std::end(kCommonFields));
      known.insert(known.end(), own_fields.begin(), own_fields.end());
      return FieldError(name, absl::StrCat(name, " is not supported here; leave it out",
                                           DidYouMean(name, known)));
    }
    if (value == json::parse(neutral->value)) continue;
    return FieldError(name, absl::StrCat(name, " is not supported but for the value ",
                                         neutral->value, "; leave it out"));
  }
  return absl::OkStatus();
}

absl::Status ReadStop(const Fields& fields, std::vector<std::string>& stops) {
  const json* field = fields.Find("stop");
  if (field == nullptr) return absl::OkStatus();
  const json list = field->is_array() ? *field : json::array({*field});
  for (const json& stop : list) {
    if (!stop.is_string() || stop.get_ref<const std::string&>().empty() ||
        stop.get_ref<const std::string&>().size() > kStopBytesMax) {
      return FieldError("stop", absl::StrCat("stop must be a text of 1 to ", kStopBytesMax,
                                             " bytes, or a list of such texts"));
    }
    stops.push_back(stop.get<std::string>());
  }
  if (stops.size() <= kStopsMax) return absl::OkStatus();
  return FieldError("stop", absl::StrCat("stop has ", stops.size(), " texts; at most ", kStopsMax));
}

// Any integer of 64 bits, signed or not.
absl::Status ReadSeed(const Fields& fields, std::optional<uint64_t>& seed) {
  const json* field = fields.Find("seed");
  if (field == nullptr) return absl::OkStatus();
  if (!field->is_number_integer()) return FieldError("seed", "seed must be an integer of 64 bits");
  seed = field->is_number_unsigned() ? field->get<uint64_t>()
                                     : static_cast<uint64_t>(field->get<int64_t>());
  return absl::OkStatus();
}

absl::Status ReadStreaming(const Fields& fields, ApiRequest& request) {
  ATTUNE_RETURN_IF_ERROR(fields.Flag("stream", request.stream));
  const json* options = fields.Find("stream_options");
  if (options == nullptr) return absl::OkStatus();
  if (!options->is_object()) {
    return FieldError("stream_options", "stream_options must be an object");
  }
  if (!request.stream) {
    return FieldError("stream_options", "stream_options is only for stream: true");
  }
  return Fields(*options).Flag("include_usage", request.include_usage);
}

absl::Status ReadSampling(const Fields& fields, SamplingOptions& sampling) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  ATTUNE_RETURN_IF_ERROR(fields.Number("temperature", sampling.temperature));
  ATTUNE_RETURN_IF_ERROR(fields.Number("top_p", sampling.top_p));
  ATTUNE_RETURN_IF_ERROR(fields.Integer("top_k", -1, kMax, sampling.top_k));
  if (sampling.top_k == -1) sampling.top_k = 0;  // what clients of other servers send for "off"
  ATTUNE_RETURN_IF_ERROR(fields.Number("min_p", sampling.min_p));
  ATTUNE_RETURN_IF_ERROR(fields.Number("repetition_penalty", sampling.repetition_penalty));
  ATTUNE_RETURN_IF_ERROR(fields.Integer("max_tokens", 1, kMax, sampling.max_new_tokens));
  ATTUNE_RETURN_IF_ERROR(fields.Integer("max_completion_tokens", 1, kMax, sampling.max_new_tokens));
  ATTUNE_RETURN_IF_ERROR(fields.Integer("min_tokens", 0, kMax, sampling.min_new_tokens));
  if (sampling.min_new_tokens > sampling.max_new_tokens) {
    return FieldError("min_tokens", absl::StrCat("min_tokens is ", sampling.min_new_tokens,
                                                 " and max_tokens is ", sampling.max_new_tokens));
  }
  return CheckSamplingOptions(sampling);
}

// What both kinds of requests have. `request.sampling.max_new_tokens` holds the default.
absl::Status ReadCommon(const Fields& fields, ApiRequest& request) {
  ATTUNE_RETURN_IF_ERROR(fields.Text("model", request.model));
  ATTUNE_RETURN_IF_ERROR(fields.Integer("n", 1, kChoicesMax, request.n));
  ATTUNE_RETURN_IF_ERROR(ReadSeed(fields, request.seed));
  ATTUNE_RETURN_IF_ERROR(ReadStop(fields, request.stop));
  ATTUNE_RETURN_IF_ERROR(ReadStreaming(fields, request));
  return ReadSampling(fields, request.sampling);
}

bool IsTokenId(const json& value) {
  return value.is_number_unsigned() &&
         value.get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<int32_t>::max());
}

bool IsTokenIds(const json& value) {
  return value.is_array() && !value.empty() && std::all_of(value.begin(), value.end(), IsTokenId);
}

absl::Status ReadPrompts(const Fields& fields, std::vector<ApiPrompt>& prompts) {
  const json* field = fields.Find("prompt");
  if (field == nullptr) return FieldError("prompt", "prompt is missing");
  const bool is_one = field->is_string() || IsTokenIds(*field);
  const json list = is_one ? json::array({*field}) : *field;
  const auto is_text = [](const json& value) { return value.is_string(); };
  if (!list.is_array() || list.empty() ||
      !(std::all_of(list.begin(), list.end(), is_text) ||
        std::all_of(list.begin(), list.end(), IsTokenIds))) {
    return FieldError("prompt",
                      "prompt must be a text, a list of texts, a list of token ids or a list of "
                      "lists of token ids");
  }
  if (list.size() > kPromptsMax) {
    return FieldError("prompt",
                      absl::StrCat("prompt has ", list.size(), " prompts; at most ", kPromptsMax));
  }
  for (const json& prompt : list) {
    if (prompt.is_string()) {
      prompts.emplace_back(prompt.get<std::string>());
    } else {
      prompts.emplace_back(prompt.get<std::vector<int32_t>>());
    }
  }
  return absl::OkStatus();
}

// The text of a message's content, which may be a list of parts.
absl::StatusOr<std::string> ContentText(const json& message, const std::string& path) {
  const auto content = message.find("content");
  if (content != message.end() && content->is_string()) return content->get<std::string>();
  const absl::Status error =
      FieldError(path, absl::StrCat(path,
                                    ".content must be a text, or a list of {\"type\": \"text\", "
                                    "\"text\": ...}; nothing else is supported"));
  if (content == message.end() || !content->is_array()) return error;
  std::string text;
  for (const json& part : *content) {
    if (!part.is_object() || part.value("type", json()) != "text" ||
        !part.value("text", json()).is_string()) {
      return error;
    }
    text += part["text"].get_ref<const std::string&>();
  }
  return text;
}

absl::Status ReadMessages(const Fields& fields, std::string& messages_json) {
  const json* field = fields.Find("messages");
  if (field == nullptr) return FieldError("messages", "messages is missing");
  if (!field->is_array() || field->empty()) {
    return FieldError("messages", "messages must be a list of at least one message");
  }
  json messages = json::array();
  for (size_t i = 0; i < field->size(); ++i) {
    const json& message = (*field)[i];
    const std::string path = absl::StrCat("messages[", i, "]");
    if (!message.is_object() || !message.value("role", json()).is_string()) {
      return FieldError(path, absl::StrCat(path, " must have a role and a content"));
    }
    for (const auto& [name, value] : message.items()) {
      if (name == "role" || name == "content" || name == "name" || value.is_null()) continue;
      return FieldError(path, absl::StrCat(path, ".", name, " is not supported; leave it out"));
    }
    ATTUNE_ASSIGN_OR_RETURN(std::string text, ContentText(message, path));
    json& last =
        messages.emplace_back(json{{"role", message["role"]}, {"content", std::move(text)}});
    if (message.contains("name") && !message["name"].is_null()) last["name"] = message["name"];
  }
  messages_json = messages.dump(-1, ' ', false, json::error_handler_t::replace);
  return absl::OkStatus();
}

absl::StatusOr<json> ParseBody(absl::string_view body, absl::Span<const char* const> own_fields) {
  ATTUNE_ASSIGN_OR_RETURN(json object, ParseStrictJson(body));
  if (!object.is_object()) return absl::InvalidArgumentError("the body must be a JSON object");
  ATTUNE_RETURN_IF_ERROR(CheckFieldNames(object, own_fields));
  return object;
}

}  // namespace

absl::StatusOr<ApiRequest> ParseCompletionRequest(absl::string_view body) {
  ATTUNE_ASSIGN_OR_RETURN(const json object, ParseBody(body, kCompletionFields));
  const Fields fields(object);
  ApiRequest request;
  request.sampling.max_new_tokens = kCompletionTokens;
  ATTUNE_RETURN_IF_ERROR(ReadPrompts(fields, request.prompts));
  ATTUNE_RETURN_IF_ERROR(ReadCommon(fields, request));
  const int64_t choices = request.n * static_cast<int64_t>(request.prompts.size());
  if (choices > kAllChoicesMax) {
    return FieldError("n", absl::StrCat("n of every prompt makes ", choices, " choices; at most ",
                                        kAllChoicesMax, " in a request"));
  }
  request.logprobs = fields.Find("logprobs") != nullptr;
  ATTUNE_RETURN_IF_ERROR(fields.Integer("logprobs", 0, kTopLogprobsMax, request.top_logprobs));
  return request;
}

absl::StatusOr<ApiRequest> ParseChatRequest(absl::string_view body) {
  ATTUNE_ASSIGN_OR_RETURN(const json object, ParseBody(body, kChatFields));
  const Fields fields(object);
  ApiRequest request;
  request.is_chat = true;
  request.sampling.max_new_tokens = kChatTokens;
  ATTUNE_RETURN_IF_ERROR(ReadMessages(fields, request.messages_json));
  ATTUNE_RETURN_IF_ERROR(ReadCommon(fields, request));
  ATTUNE_RETURN_IF_ERROR(fields.Flag("logprobs", request.logprobs));
  ATTUNE_RETURN_IF_ERROR(fields.Integer("top_logprobs", 0, kTopLogprobsMax, request.top_logprobs));
  if (request.top_logprobs > 0 && !request.logprobs) {
    return FieldError("top_logprobs", "top_logprobs needs logprobs: true");
  }
  return request;
}

}  // namespace attune
