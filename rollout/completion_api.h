// The JSON of POST /v1/completions and GET /v1/models as OpenAI-compatible servers have them, for
// one response each: what is asked, and what is believed of the answer. Pure.
//
// Prompts go as lists of token ids, which vLLM, SGLang, llama.cpp's server and `attune serve` take:
// nobody else tokenises them. The tokens of the response are, in this order of preference,
//   - choices[0].token_ids          (vLLM, `attune serve`: return_token_ids)
//   - logprobs.tokens, "token_id:7" (vLLM: return_tokens_as_token_ids)
//   - logprobs.content[].id         (llama.cpp)
//   - those of the text, if they decode to it again (SGLang).
#ifndef ATTUNE_ROLLOUT_COMPLETION_API_H_
#define ATTUNE_ROLLOUT_COMPLETION_API_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "attune/v1/rollout.pb.h"
#include "model/tokenizer/tokenizer.h"
#include "nlohmann/json.hpp"

namespace attune {

// One response to be drawn. What is pointed to must outlive it.
struct CompletionQuestion {
  const Tokenizer& tokenizer;
  absl::string_view prompt;              // what prompt_ids are of
  absl::Span<const int32_t> prompt_ids;  // at least one
  absl::Span<const int32_t> eos_ids;     // that end a response; of the policy
  int64_t vocab_size;                    // ids are below; at least 1
  int64_t tokens_max;                    // of the response; at least 1
  const v1::SamplingSpec& sampling;      // resolved: every field set
  uint64_t key;                          // of the sample's draws
};

// The body of the POST. Everything about sampling is said, since servers have defaults of their
// own. The seed is the last 31 bits of the key: what all servers take.
nlohmann::json CompletionBody(const CompletionQuestion& question, const std::string& model);

struct ExternalCompletion {
  std::vector<int32_t> token_ids;  // 1 to tokens_max, an end-of-sequence id at most at the end
  // Natural, as reported, at most 0: one for each token, one less where the server left the
  // end-of-sequence token out, or none where it reported none (or none of these tokens).
  std::vector<float> logps;
  v1::FinishReason finish_reason = v1::FINISH_REASON_UNSPECIFIED;
};

// INTERNAL, with what is wrong and the beginning of the answer: it is no answer to the question.
[[nodiscard]] absl::StatusOr<ExternalCompletion> ParseCompletion(
    const nlohmann::json& answer, const CompletionQuestion& question);

// Rounds from the weights behind `model` to `policy`, of the answer to GET /v1/models: 0 if the
// model's entry has the policy's digest as attune_digest; up to attune_round if it has that (0 for
// a later one); else all since the initial policy, which is what a server that nobody updates has.
// FAILED_PRECONDITION: the server does not have the model. INTERNAL: no such answer.
[[nodiscard]] absl::StatusOr<uint32_t> SamplerStaleness(const nlohmann::json& models,
                                                        const std::string& model,
                                                        const v1::PolicyVersion& policy);

}  // namespace attune

#endif  // ATTUNE_ROLLOUT_COMPLETION_API_H_
