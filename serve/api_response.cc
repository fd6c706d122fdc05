#include "serve/api_response.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace attune {
namespace {

using Json = nlohmann::ordered_json;

constexpr float kLogpMin = -9999;  // JSON has no infinity
constexpr char kReplacement[] = "\xEF\xBF\xBD";

double Finite(float logp) { return std::max(logp, kLogpMin); }

// The bytes of a token, or null where its text does not tell them.
Json Bytes(const std::string& text) {
  if (text.find(kReplacement) != std::string::npos) return nullptr;
  Json bytes = Json::array();
  for (const char byte : text) bytes.push_back(static_cast<unsigned char>(byte));
  return bytes;
}

Json ChatToken(const TokenChance& token) {
  return {{"token", token.text}, {"logprob", Finite(token.logp)}, {"bytes", Bytes(token.text)}};
}

Json ChatLogprobs(absl::Span<const TokenReport> tokens) {
  Json content = Json::array();
  for (const TokenReport& report : tokens) {
    Json token = ChatToken(report.token);
    token["top_logprobs"] = Json::array();
    for (const TokenChance& chance : report.top) token["top_logprobs"].push_back(ChatToken(chance));
    content.push_back(std::move(token));
  }
  return {{"content", std::move(content)}};
}

Json CompletionLogprobs(absl::Span<const TokenReport> tokens) {
  Json texts = Json::array(), logps = Json::array(), tops = Json::array(), offsets = Json::array();
  for (const TokenReport& report : tokens) {
    texts.push_back(report.token.text);
    logps.push_back(Finite(report.token.logp));
    offsets.push_back(report.text_offset);
    // Texts of different tokens may be equal; the likelier one counts.
    Json top = Json::object();
    for (const TokenChance& chance : report.top) top.emplace(chance.text, Finite(chance.logp));
    tops.push_back(std::move(top));
  }
  return {{"tokens", std::move(texts)},
          {"token_logprobs", std::move(logps)},
          {"top_logprobs", std::move(tops)},
          {"text_offset", std::move(offsets)}};
}

Json HeadJson(const AnswerHead& head, bool is_chunk) {
  const char* chat = is_chunk ? "chat.completion.chunk" : "chat.completion";
  return {{"id", head.id},
          {"object", head.is_chat ? chat : "text_completion"},
          {"created", head.created},
          {"model", head.model},
          {"system_fingerprint", head.fingerprint},
          {"seed", head.seed}};
}

// What the choice says goes under `member` ("message" or "delta") for chats.
Json ChoiceJson(const AnswerHead& head, const ChoiceDelta& delta, const char* member) {
  Json choice = {{"index", delta.index}};
  if (!head.is_chat) {
    choice["text"] = delta.text;
  } else {
    Json& said = choice[member] = Json::object();
    if (delta.is_first) said["role"] = "assistant";
    if (delta.is_first || !delta.text.empty()) said["content"] = delta.text;
  }
  choice["logprobs"] = nullptr;
  if (head.logprobs) {
    choice["logprobs"] =
        head.is_chat ? ChatLogprobs(delta.tokens) : CompletionLogprobs(delta.tokens);
  }
  choice["finish_reason"] = nullptr;
  if (!delta.finish_reason.empty()) choice["finish_reason"] = delta.finish_reason;
  return choice;
}

Json UsageJson(const ApiUsage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens}};
}

}  // namespace

Json AnswerJson(const AnswerHead& head, absl::Span<const ChoiceDelta> choices,
                const ApiUsage& usage) {
  Json answer = HeadJson(head, /*is_chunk=*/false);
  answer["choices"] = Json::array();
  for (const ChoiceDelta& choice : choices) {
    answer["choices"].push_back(ChoiceJson(head, choice, "message"));
  }
  answer["usage"] = UsageJson(usage);
  return answer;
}

Json ChunkJson(const AnswerHead& head, const ChoiceDelta& delta) {
  Json chunk = HeadJson(head, /*is_chunk=*/true);
  chunk["choices"] = Json::array({ChoiceJson(head, delta, "delta")});
  if (head.include_usage) chunk["usage"] = nullptr;
  return chunk;
}

Json UsageChunkJson(const AnswerHead& head, const ApiUsage& usage) {
  Json chunk = HeadJson(head, /*is_chunk=*/true);
  chunk["choices"] = Json::array();
  chunk["usage"] = UsageJson(usage);
  return chunk;
}

std::string ToText(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string ServerSentEvent(const std::string& data) {
  return absl::StrCat("data: ", data, "\n\n");
}

}  // namespace attune
