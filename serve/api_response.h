// The JSON of answers: OpenAI's objects for completions and chats, whole or as server-sent events.
// Besides their fields there is `seed`: asked for again, it gives the same answer.
#ifndef ATTUNE_SERVE_API_RESPONSE_H_
#define ATTUNE_SERVE_API_RESPONSE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "nlohmann/json.hpp"

namespace attune {

struct TokenChance {
  std::string text;
  float logp;  // natural
};

// A token drawn, for logprobs.
struct TokenReport {
  TokenChance token;
  std::vector<TokenChance> top;  // the likeliest tokens in its place, from the likeliest down
  int64_t text_offset;           // characters of the choice's text before the token's
};

// What a choice has gained, or all of it.
struct ChoiceDelta {
  int64_t index = 0;
  std::string text;
  std::vector<TokenReport> tokens;  // empty without logprobs
  std::string finish_reason;        // "stop" or "length"; empty: it goes on
  bool is_first = false;            // of its choice
};

struct ApiUsage {
  int64_t prompt_tokens = 0;
  int64_t completion_tokens = 0;  // drawn, the end-of-sequence token and stop texts included
};

// What all objects of an answer say.
struct AnswerHead {
  std::string id;
  int64_t created = 0;  // Unix time, seconds
  std::string model;
  std::string fingerprint;
  uint64_t seed = 0;
  bool is_chat = false;
  bool logprobs = false;
  bool include_usage = false;
};

// The answer to a request without `stream`; `choices` in the order of their indices.
nlohmann::ordered_json AnswerJson(const AnswerHead& head, absl::Span<const ChoiceDelta> choices,
                                  const ApiUsage& usage);

// An event of a stream.
nlohmann::ordered_json ChunkJson(const AnswerHead& head, const ChoiceDelta& delta);
// The last one, where the request has include_usage.
nlohmann::ordered_json UsageChunkJson(const AnswerHead& head, const ApiUsage& usage);

// On one line; text that is no UTF-8 becomes U+FFFD.
std::string ToText(const nlohmann::ordered_json& value);
// "data: ...\n\n".
std::string ServerSentEvent(const std::string& data);

}  // namespace attune

#endif  // ATTUNE_SERVE_API_RESPONSE_H_
