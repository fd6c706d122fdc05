#include "rollout/completion_api.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/status_macros.h"
#include "rpc/http_client.h"

namespace attune {
namespace {

using nlohmann::json;

// Servers round: what is above 0 by less counts as 0.
constexpr double kLogpMax = 1e-3;

bool IsEos(const CompletionQuestion& question, int32_t id) {
  return absl::c_linear_search(question.eos_ids, id);
}

absl::Status CheckPromptOf(const json& answer, const json& choice,
                           const CompletionQuestion& question) {
  const json& count = JsonMember(JsonMember(answer, "usage"), "prompt_tokens");
  if (count.is_number_integer() && count != question.prompt_ids.size()) {
    return UnusableAnswer(absl::StrCat("is to another prompt: it has ", count.dump(),
                                       " tokens, not ", question.prompt_ids.size()),
                          answer);
  }
  const json& ids = JsonMember(choice, "prompt_token_ids");
  if (!ids.is_array()) return absl::OkStatus();
  if (ids == json(std::vector<int32_t>(question.prompt_ids.begin(), question.prompt_ids.end()))) {
    return absl::OkStatus();
  }
  return UnusableAnswer("is to another prompt: prompt_token_ids are not those that were sent",
                        answer);
}

// By token, of either form of logprobs; null where there are none.
absl::StatusOr<std::vector<float>> ReadLogps(const json& logprobs) {
  std::vector<float> logps;
  const auto add = [&](const json& value) {
    if (!value.is_number()) return false;
    const double logp = value.get<double>();
    if (!std::isfinite(logp) || logp > kLogpMax) return false;
    logps.push_back(static_cast<float>(std::min(logp, 0.0)));
    return true;
  };
  const json& plain = JsonMember(logprobs, "token_logprobs");
  const json& content = JsonMember(logprobs, "content");
  for (const json& value : plain.is_array() ? plain : content) {
    if (!add(plain.is_array() ? value : JsonMember(value, "logprob"))) {
      return UnusableAnswer("has a log-probability that is no number of at most 0", logprobs);
    }
  }
  return logps;
}

std::optional<int64_t> IdOfToken(const json& token) {
  if (!token.is_string()) return std::nullopt;
  absl::string_view text = token.get_ref<const std::string&>();
  int64_t id = 0;
  if (!absl::ConsumePrefix(&text, "token_id:") || !absl::SimpleAtoi(text, &id)) return std::nullopt;
  return id;
}

// The ids that the answer names; nothing where it names none.
absl::StatusOr<std::optional<std::vector<int32_t>>> ReadIds(const json& choice,
                                                            const CompletionQuestion& question) {
  std::vector<json> named;
  const json& logprobs = JsonMember(choice, "logprobs");
  const json& tokens = JsonMember(logprobs, "tokens");
  const json& content = JsonMember(logprobs, "content");
  if (const json& ids = JsonMember(choice, "token_ids"); ids.is_array()) {
    named.assign(ids.begin(), ids.end());
  } else if (tokens.is_array() && !tokens.empty() && IdOfToken(tokens[0])) {
    for (const json& token : tokens) named.emplace_back(IdOfToken(token).value_or(-1));
  } else if (content.is_array() && !content.empty() && !JsonMember(content[0], "id").is_null()) {
    for (const json& token : content) named.push_back(JsonMember(token, "id"));
  } else {
    return std::nullopt;
  }
  std::vector<int32_t> ids;
  for (const json& id : named) {
    if (!id.is_number_integer() || id < 0 || id >= question.vocab_size) {
      return UnusableAnswer(absl::StrCat("has the token ", id.dump(), ", the policy has the ids 0-",
                                         question.vocab_size - 1),
                            choice);
    }
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

// Those of the text, where the answer names none.
absl::StatusOr<std::vector<int32_t>> EncodeText(const json& choice,
                                                const CompletionQuestion& question) {
  const json& text = JsonMember(choice, "text");
  if (!text.is_string()) return UnusableAnswer("has neither token ids nor a text", choice);
  const auto& said = text.get_ref<const std::string&>();
  std::vector<int32_t> ids =
      EncodeCompletion(question.tokenizer, question.prompt, question.prompt_ids, said);
  if (DecodeCompletion(question.tokenizer, question.prompt_ids, ids, {}) != said) {
    return UnusableAnswer(
        "has no token ids, and its text encoded by the policy's tokenizer decodes to another one; "
        "use a server that returns token ids",
        choice);
  }
  return ids;
}

// Whether `logps` log-probabilities can be those of tokens that were found by encoding the text.
bool AreOfTokens(const json& logprobs, size_t logps, absl::Span<const int32_t> ids,
                 const Tokenizer& tokenizer) {
  const json& tokens = JsonMember(logprobs, "tokens");
  if (!tokens.is_array() || tokens.size() != logps || logps < ids.size()) return false;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (tokens[i] != tokenizer.Decode({&ids[i], 1}, /*skip_special_tokens=*/false)) return false;
  }
  return true;
}

// Makes the end of a response what the worker's own sampler would have made of it.
absl::Status Finish(const json& choice, const CompletionQuestion& question,
                    ExternalCompletion& completion) {
  const json& reason = JsonMember(choice, "finish_reason");
  if (reason != "stop" && reason != "length") {
    return UnusableAnswer("has a finish_reason that is neither stop nor length", choice);
  }
  std::vector<int32_t>& ids = completion.token_ids;
  const bool ended = !ids.empty() && IsEos(question, ids.back());
  completion.finish_reason =
      ended || reason == "stop" ? v1::FINISH_REASON_STOP : v1::FINISH_REASON_LENGTH;
  if (ended || reason == "length") return absl::OkStatus();
  if (!question.sampling.stop().empty()) {
    const std::string text =
        DecodeCompletion(question.tokenizer, question.prompt_ids, ids, question.eos_ids);
    for (const std::string& stop : question.sampling.stop()) {
      if (absl::StrContains(text, stop)) return absl::OkStatus();
    }
    return UnusableAnswer(
        "stopped, but its tokens have neither an end of sequence nor a text of sampling.stop; use "
        "a server that returns them",
        choice);
  }
  if (question.eos_ids.empty()) {
    return UnusableAnswer("stopped, but the policy has no end-of-sequence id", choice);
  }
  ids.push_back(question.eos_ids.front());
  return absl::OkStatus();
}

absl::Status CheckTokens(const json& choice, const CompletionQuestion& question,
                         absl::Span<const int32_t> ids) {
  if (ids.empty()) return UnusableAnswer("has no tokens", choice);
  if (ids.size() > static_cast<size_t>(question.tokens_max)) {
    return UnusableAnswer(
        absl::StrCat("has ", ids.size(), " tokens, ", question.tokens_max, " were asked for"),
        choice);
  }
  const auto end = ids.end() - 1;
  if (std::any_of(ids.begin(), end, [&](int32_t id) { return IsEos(question, id); })) {
    return UnusableAnswer("goes on after an end of sequence", choice);
  }
  return absl::OkStatus();
}

}  // namespace

json CompletionBody(const CompletionQuestion& question, const std::string& model) {
  const v1::SamplingSpec& sampling = question.sampling;
  json body = {
      {"model", model},
      {"prompt", std::vector<int32_t>(question.prompt_ids.begin(), question.prompt_ids.end())},
      {"n", 1},
      {"max_tokens", question.tokens_max},
      {"min_tokens", std::min<int64_t>(sampling.min_new_tokens(), question.tokens_max)},
      {"temperature", sampling.temperature()},
      {"top_p", sampling.top_p()},
      {"top_k", sampling.top_k() == 0 ? -1 : static_cast<int64_t>(sampling.top_k())},
      {"min_p", sampling.min_p()},
      {"repetition_penalty", sampling.has_repetition_penalty() ? sampling.repetition_penalty() : 1},
      {"seed", question.key & 0x7fffffff},
      {"logprobs", 1},
      {"return_token_ids", true},
      {"return_tokens_as_token_ids", true}};
  if (!sampling.stop().empty()) {
    body["stop"] = std::vector<std::string>(sampling.stop().begin(), sampling.stop().end());
    body["include_stop_str_in_output"] = true;  // vLLM
    body["no_stop_trim"] = true;                // SGLang
  }
  return body;
}

absl::StatusOr<ExternalCompletion> ParseCompletion(const json& answer,
                                                   const CompletionQuestion& question) {
  const json& choices = JsonMember(answer, "choices");
  if (!choices.is_array() || choices.size() != 1) {
    return UnusableAnswer("does not have one choice", answer);
  }
  const json& choice = choices[0];
  ATTUNE_RETURN_IF_ERROR(CheckPromptOf(answer, choice, question));
  ATTUNE_ASSIGN_OR_RETURN(std::optional<std::vector<int32_t>> named, ReadIds(choice, question));
  const json& logprobs = JsonMember(choice, "logprobs");
  ExternalCompletion completion;
  ATTUNE_ASSIGN_OR_RETURN(completion.logps, ReadLogps(logprobs));
  if (!named) {
    ATTUNE_ASSIGN_OR_RETURN(completion.token_ids, EncodeText(choice, question));
    if (!AreOfTokens(logprobs, completion.logps.size(), completion.token_ids, question.tokenizer)) {
      completion.logps.clear();
    }
  } else {
    completion.token_ids = *std::move(named);
    if (!completion.logps.empty() && completion.logps.size() != completion.token_ids.size()) {
      return UnusableAnswer(absl::StrCat("has ", completion.token_ids.size(), " tokens, but ",
                                         completion.logps.size(), " log-probabilities"),
                            choice);
    }
  }
  ATTUNE_RETURN_IF_ERROR(Finish(choice, question, completion));
  ATTUNE_RETURN_IF_ERROR(CheckTokens(choice, question, completion.token_ids));
  // Where the text was encoded, the end of sequence may be among them or not.
  if (completion.logps.size() > completion.token_ids.size()) completion.logps.clear();
  return completion;
}

absl::StatusOr<uint32_t> SamplerStaleness(const json& models, const std::string& model,
                                          const v1::PolicyVersion& policy) {
  const json& entries = JsonMember(models, "data");
  if (!entries.is_array()) return UnusableAnswer("is no list of models", models);
  const auto entry = std::find_if(entries.begin(), entries.end(), [&](const json& candidate) {
    return JsonMember(candidate, "id") == model;
  });
  if (entry == entries.end()) {
    const auto name = [](std::string* out, const json& candidate) {
      out->append(JsonMember(candidate, "id").dump());
    };
    const std::string names = absl::StrJoin(entries, ", ", name);
    return absl::FailedPreconditionError(
        absl::StrCat("the server has no model ", Excerpt(model), ", but ", Excerpt(names)));
  }
  if (JsonMember(*entry, "attune_digest") == policy.digest()) return 0;
  const json& round = JsonMember(*entry, "attune_round");
  if (!round.is_number_integer() || round < 0) return policy.round();
  return policy.round() -
         static_cast<uint32_t>(std::min<uint64_t>(round.get<uint64_t>(), policy.round()));
}

}  // namespace attune
