// How a language model is asked to choose one of a few words: here or behind an endpoint.
#ifndef ATTUNE_ORACLE_LLM_CLIENT_H_
#define ATTUNE_ORACLE_LLM_CLIENT_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "attune/v1/oracle_spec.pb.h"
#include "nlohmann/json.hpp"
#include "rpc/endpoint.h"
#include "rpc/http_client.h"
#include "oracle/model_cache.h"

namespace attune {

// One message of a user, and words -> natural log-probability that the answer is each of them,
// minus infinity allowed but not for all; they need not be normalised. An error when the model's
// answer says nothing of any word: there is no guess. Thread-safe.
using AnswerModel = std::function<absl::StatusOr<std::vector<double>>(
    const std::string& message, absl::Span<const std::string> words)>;

// The word that a text is, or begins with, or is the beginning of, if it is so of no other; -1 if
// there is none. White space around the text and ASCII case do not count.
int MatchWord(absl::string_view text, absl::Span<const std::string> words);

// The words' log-probabilities in the answer of an OpenAI-compatible /chat/completions. With
// top_logprobs of the first token: the log of the summed probabilities of the tokens that match
// (MatchWord); a word that none matches has at most the probability of the least likely token
// listed, and at most its share of what all listed ones leave, and gets that much. Without them:
// probability 1 for the word that the text of the answer matches. INTERNAL when it is no such
// answer; FAILED_PRECONDITION when it is one and no word is in it.
[[nodiscard]] absl::StatusOr<std::vector<double>> ParseChatAnswer(
    const nlohmann::json& answer, absl::Span<const std::string> words);

// Asks the model `model` behind `endpoint`, whose address is the base of the API; `key` is its
// secret, empty for none. `http` must outlive the function.
AnswerModel MakeChatClient(const v1::CallSpec& calls, const std::string& model,
                           const std::string& key, std::shared_ptr<Endpoint> endpoint,
                           HttpClient& http);

// The word itself or the word after a space, whatever follows, under a model of this process: with
// the message as that of a user where the model has a chat template, otherwise as it is.
AnswerModel MakeLocalClient(std::shared_ptr<const LoadedModel> model);

}  // namespace attune

#endif  // ATTUNE_ORACLE_LLM_CLIENT_H_
