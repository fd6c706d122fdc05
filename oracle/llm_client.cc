#include "oracle/llm_client.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/digest.h"
#include "common/status_macros.h"
#include "model/scorer.h"

namespace attune {
namespace {

using nlohmann::json;

constexpr int kTopLogprobs = 20;  // what OpenAI's API allows
constexpr double kImpossible = -std::numeric_limits<double>::infinity();

std::string Text(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

absl::Status NoWord(absl::string_view said, absl::Span<const std::string> words) {
  return absl::FailedPreconditionError(
      absl::StrCat("the judge answers none of the words ", absl::StrJoin(words, ", "), ": ",
                   Excerpt(said), "; ask for one of them in oracle.llm_judge.prompt_template"));
}

absl::StatusOr<std::vector<double>> FromTopLogprobs(const json& tokens,
                                                    absl::Span<const std::string> words) {
  std::vector<double> probabilities(words.size(), 0.0);
  std::vector<bool> listed(words.size(), false);
  double sum = 0, smallest = 1;
  std::string said;
  for (const json& entry : tokens) {
    const json &token = JsonMember(entry, "token"), &logprob = JsonMember(entry, "logprob");
    if (!token.is_string() || !logprob.is_number() || !(logprob.get<double>() < 1e-3)) {
      return UnusableAnswer("has an entry of top_logprobs without token or log-probability",
                            tokens);
    }
    const double probability = std::exp(logprob.get<double>());
    sum += probability;
    smallest = std::min(smallest, probability);
    absl::StrAppend(&said, said.empty() ? "" : " ", token.get<std::string>());
    const int word = MatchWord(token.get<std::string>(), words);
    if (word < 0) continue;
    probabilities[word] += probability;
    listed[word] = true;
  }
  const auto absent = std::count(listed.begin(), listed.end(), false);
  if (absent == static_cast<std::ptrdiff_t>(words.size())) return NoWord(said, words);
  std::vector<double> logps;
  for (size_t i = 0; i < words.size(); ++i) {
    const double rest = std::min(smallest, std::max(1 - sum, 0.0) / std::max<double>(absent, 1));
    logps.push_back(std::log(listed[i] ? probabilities[i] : rest));
  }
  return logps;
}

absl::StatusOr<std::vector<double>> FromText(const std::string& text,
                                             absl::Span<const std::string> words) {
  const int word = MatchWord(text, words);
  if (word < 0) return NoWord(text, words);
  std::vector<double> logps(words.size(), kImpossible);
  logps[word] = 0;
  return logps;
}

double LogAdd(double a, double b) {
  const double larger = std::max(a, b);
  return larger + std::log1p(std::exp(std::min(a, b) - larger));
}

}  // namespace

int MatchWord(absl::string_view text, absl::Span<const std::string> words) {
  const std::string said = absl::AsciiStrToLower(absl::StripAsciiWhitespace(text));
  if (said.empty()) return -1;
  int begun = -1, beginnings = 0;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string word = absl::AsciiStrToLower(words[i]);
    const absl::string_view rest = absl::StripPrefix(said, word);
    // "A." and "A is better" are the word A, "An" and "A-" with a letter of two bytes are not.
    if (rest.size() < said.size() &&
        (rest.empty() || (absl::ascii_isascii(rest[0]) && !absl::ascii_isalnum(rest[0])))) {
      return static_cast<int>(i);
    }
    if (!absl::StartsWith(word, said)) continue;
    begun = static_cast<int>(i);
    ++beginnings;
  }
  return beginnings == 1 ? begun : -1;
}

absl::StatusOr<std::vector<double>> ParseChatAnswer(const json& answer,
                                                    absl::Span<const std::string> words) {
  const json& choices = JsonMember(answer, "choices");
  if (!choices.is_array() || choices.empty()) return UnusableAnswer("has no choices", answer);
  const json& content = JsonMember(JsonMember(choices[0], "logprobs"), "content");
  if (content.is_array() && !content.empty()) {
    const json& tokens = JsonMember(content[0], "top_logprobs");
    if (tokens.is_array() && !tokens.empty()) return FromTopLogprobs(tokens, words);
  }
  const json& text = JsonMember(JsonMember(choices[0], "message"), "content");
  if (!text.is_string()) return UnusableAnswer("has no text", answer);
  return FromText(text.get<std::string>(), words);
}

AnswerModel MakeChatClient(const v1::CallSpec& calls, const std::string& model,
                           const std::string& key, std::shared_ptr<Endpoint> endpoint,
                           HttpClient& http) {
  return [calls, model, key, endpoint = std::move(endpoint), &http](
             const std::string& message,
             absl::Span<const std::string> words) -> absl::StatusOr<std::vector<double>> {
    const JsonPost post{
        .url = absl::StrCat(absl::StripSuffix(endpoint->address(), "/"), "/chat/completions"),
        .body = {{"model", model},
                 {"messages", json::array({{{"role", "user"}, {"content", message}}})},
                 {"max_tokens", 1},
                 {"temperature", 0},
                 {"logprobs", true},
                 {"top_logprobs", kTopLogprobs}},
        .bearer = key,
        .timeout = absl::Seconds(calls.timeout_seconds())};
    absl::StatusOr<std::vector<double>> logps;
    // An answer without any of the words is no fault of the service: asked again, it would be the
    // same. The call has succeeded then, the judgement has not.
    ATTUNE_RETURN_IF_ERROR(endpoint->Call(calls, Crc32c(message), [&]() -> absl::Status {
      ATTUNE_ASSIGN_OR_RETURN(const json answer, http.Post(post));
      logps = ParseChatAnswer(answer, words);
      return absl::IsInternal(logps.status()) ? logps.status() : absl::OkStatus();
    }));
    return logps;
  };
}

AnswerModel MakeLocalClient(std::shared_ptr<const LoadedModel> model) {
  return [model = std::move(model)](
             const std::string& message,
             absl::Span<const std::string> words) -> absl::StatusOr<std::vector<double>> {
    const json messages = json::array({{{"role", "user"}, {"content", message}}});
    ATTUNE_ASSIGN_OR_RETURN(
        const EncodedPrompt prompt,
        EncodePrompt(*model, message, model->chat_template.ok() ? Text(messages) : ""));
    std::vector<std::vector<int32_t>> completions;  // of word i: 2i, and 2i + 1 after a space
    for (const std::string& word : words) {
      for (const absl::string_view space : {"", " "}) {
        completions.push_back(
            EncodeResponse(*model, prompt, absl::StrCat(space, word), /*ended=*/false));
      }
    }
    ATTUNE_ASSIGN_OR_RETURN(const std::vector<double> logps,
                            SummedLogProbs(*model->policy, prompt.ids, completions));
    std::vector<double> answer;
    for (size_t i = 0; i < completions.size(); i += 2) {
      const bool same = completions[i] == completions[i + 1];
      answer.push_back(same ? logps[i] : LogAdd(logps[i], logps[i + 1]));
    }
    return answer;
  };
}

}  // namespace attune
