// The bodies of POST /v1/completions and /v1/chat/completions, read and checked.
#ifndef ATTUNE_SERVE_API_REQUEST_H_
#define ATTUNE_SERVE_API_REQUEST_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/sampler.h"

namespace attune {

inline constexpr size_t kPromptsMax = 128;       // of a request
inline constexpr int64_t kChoicesMax = 128;      // n
inline constexpr int64_t kAllChoicesMax = 1024;  // of all prompts
inline constexpr int64_t kTopLogprobsMax = 20;   // what OpenAI's API allows
inline constexpr size_t kStopsMax = 16;
inline constexpr size_t kStopBytesMax = 1024;     // of a stop text
inline constexpr int64_t kCompletionTokens = 16;  // max_tokens of completions that give none
inline constexpr int64_t kChatTokens = 2048;      // of chats that give none

using ApiPrompt = std::variant<std::string, std::vector<int32_t>>;  // a text or token ids

struct ApiRequest {
  bool is_chat = false;
  std::string model;               // empty: not named
  std::vector<ApiPrompt> prompts;  // of completions; at least one
  std::string messages_json;  // of chats: a list of {"role", "content"} whose contents are texts
  int64_t n = 1;              // choices for each prompt
  std::optional<uint64_t> seed;
  SamplingOptions sampling;  // passes CheckSamplingOptions; max_new_tokens is max_tokens
  std::vector<std::string> stop;
  bool logprobs = false;
  int64_t top_logprobs = 0;
  bool stream = false;
  bool include_usage = false;  // a last event of a stream
};

// INVALID_ARGUMENT names the field and what it may be: also for fields that are not supported and
// would change the answer. Fields that are null count as absent.
[[nodiscard]] absl::StatusOr<ApiRequest> ParseCompletionRequest(absl::string_view body);
[[nodiscard]] absl::StatusOr<ApiRequest> ParseChatRequest(absl::string_view body);

}  // namespace attune

#endif  // ATTUNE_SERVE_API_REQUEST_H_
