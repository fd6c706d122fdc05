#include "rollout/response_builder.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "common/rng.h"
#include "common/status_macros.h"
#include "model/scorer.h"
#include "model/tokenizer/tokenizer.h"
#include "rpc/grpc_status.h"

namespace attune {
namespace {

// Where nothing is sampled, every prompt must bring responses, and how to sample is of no interest.
absl::Status CheckGivenAlone(const v1::SampleRequest& request) {
  std::vector<FieldViolation> violations;
  const auto without =
      std::find_if(request.prompts().begin(), request.prompts().end(),
                   [](const v1::Prompt& prompt) { return prompt.given().empty(); });
  if (without != request.prompts().end()) {
    violations.push_back(
        {"sampling.num_generations", absl::StrCat("0, but prompt ", without->index(),
                                                  " has no given response; must be within 1-64")});
  }
  if (HasOpponent(request.sampling())) {
    violations.push_back({"sampling.opponent", "must be none where nothing is sampled"});
  }
  if (request.sampling().max_new_tokens() == 0 && request.include_gold()) {
    violations.push_back({"sampling.max_new_tokens", "must be set, within 1-32768"});
  }
  return BadRequestError(violations);
}

absl::Status CheckSampling(const v1::SampleRequest& request) {
  const v1::SamplingSpec& sampling = request.sampling();
  if (sampling.has_num_generations() && sampling.num_generations() == 0) {
    return CheckGivenAlone(request);
  }
  std::vector<FieldViolation> violations;
  const auto check = [&](absl::string_view field, bool set, double value, bool within,
                         absl::string_view limits) {
    if (set && within) return;
    violations.push_back(
        {absl::StrCat("sampling.", field), set ? absl::StrCat(value, " is not within ", limits)
                                               : absl::StrCat("must be set, within ", limits)});
  };
  const uint32_t generations = sampling.num_generations();
  check("num_generations", sampling.has_num_generations(), generations,
        generations >= 1 && generations <= 64, "1-64");
  const double temperature = sampling.temperature();
  check("temperature", sampling.has_temperature(), temperature,
        temperature >= 0 && temperature <= 10, "0-10");
  check("top_p", sampling.has_top_p(), sampling.top_p(),
        sampling.top_p() > 0 && sampling.top_p() <= 1, "(0, 1]");
  check("top_k", sampling.has_top_k(), sampling.top_k(), sampling.top_k() <= 1'000'000,
        "0-1000000");
  const uint32_t new_tokens = sampling.max_new_tokens();
  check("max_new_tokens", sampling.has_max_new_tokens(), new_tokens,
        new_tokens >= 1 && new_tokens <= 32768, "1-32768");
  // Of these, what is not set is off.
  check("min_p", true, sampling.min_p(), sampling.min_p() >= 0 && sampling.min_p() <= 1, "0-1");
  const double penalty = sampling.repetition_penalty();
  check("repetition_penalty", true, penalty,
        !sampling.has_repetition_penalty() || (penalty >= 0.01 && penalty <= 100), "0.01-100");
  check("min_new_tokens", true, sampling.min_new_tokens(), sampling.min_new_tokens() <= new_tokens,
        "0-max_new_tokens");
  check("stop", true, sampling.stop_size(), sampling.stop_size() <= 16, "0-16 texts");
  for (const std::string& text : sampling.stop()) {
    const double bytes = static_cast<double>(text.size());
    check("stop", true, bytes, bytes >= 1 && bytes <= 256, "1-256 bytes");
  }
  if (sampling.opponent() == v1::OPPONENT_MIXTURE) {
    const double coef = sampling.mixture_coef();
    check("mixture_coef", sampling.has_mixture_coef(), coef, coef >= 0 && coef <= 1, "0-1");
  }
  return BadRequestError(violations);
}

// Without corrupted_ids.
absl::StatusOr<TokenizedPrompt> Tokenize(const HeldPolicies& held, const v1::Prompt& prompt) {
  if (prompt.messages().empty()) {
    return TokenizedPrompt{
        prompt.text(), held.tokenizer->Encode(prompt.text(), /*add_special_tokens=*/true), {}};
  }
  ATTUNE_RETURN_IF_ERROR(held.chat_template.status());
  ATTUNE_ASSIGN_OR_RETURN(
      std::string text,
      (*held.chat_template)->Render(prompt.messages(), /*add_generation_prompt=*/true));
  std::vector<int32_t> ids = held.tokenizer->Encode(text, /*add_special_tokens=*/false);
  return TokenizedPrompt{std::move(text), std::move(ids), {}};
}

// The same, once it is seen that a response can follow. `name` is that of the prompt in errors.
absl::StatusOr<TokenizedPrompt> TokenizeChecked(const HeldPolicies& held, const v1::Prompt& prompt,
                                                absl::string_view name) {
  absl::StatusOr<TokenizedPrompt> encoded = Tokenize(held, prompt);
  if (!encoded.ok()) {
    // Whatever is wrong with a template is wrong with the job that needs it.
    return absl::InvalidArgumentError(
        absl::StrCat(name, " has messages that cannot be used: ", encoded.status().message(),
                     "; change or remove the prompt, or the template"));
  }
  const size_t context = static_cast<size_t>(held.policy->config().max_position_embeddings);
  const size_t tokens = encoded->ids.size();
  if (tokens == 0 || tokens >= context) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " has ", tokens, " tokens; the model takes 1 to ", context - 1,
                     ", so that a response has room; change or remove the prompt"));
  }
  return encoded;
}

// Every response that fits behind the prompt must fit behind the corrupted one too.
absl::StatusOr<std::vector<int32_t>> TokenizeCorrupted(const HeldPolicies& held,
                                                       const v1::Prompt& prompt,
                                                       int64_t prompt_tokens,
                                                       int64_t new_tokens_max) {
  v1::Prompt corrupted;
  (prompt.messages().empty() ? *corrupted.mutable_text() : *corrupted.mutable_messages()) =
      prompt.corrupted();
  const std::string name = absl::StrCat("the corrupted prompt ", prompt.index());
  ATTUNE_ASSIGN_OR_RETURN(TokenizedPrompt encoded, TokenizeChecked(held, corrupted, name));
  const int64_t context = held.policy->config().max_position_embeddings;
  const int64_t longest = std::min(new_tokens_max, context - prompt_tokens);
  const int64_t tokens = static_cast<int64_t>(encoded.ids.size());
  if (tokens + longest > context) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " has ", tokens, " tokens, which with a response of ", longest,
                     " tokens exceed the model's max_position_embeddings, ", context,
                     "; shorten it, or lower sampling.max_new_tokens"));
  }
  return std::move(encoded.ids);
}

absl::StatusOr<std::vector<TokenizedPrompt>> TokenizePrompts(const HeldPolicies& held,
                                                             const v1::SampleRequest& request) {
  std::vector<TokenizedPrompt> encoded;
  encoded.reserve(request.prompts_size());
  for (const v1::Prompt& prompt : request.prompts()) {
    ATTUNE_ASSIGN_OR_RETURN(encoded.emplace_back(),
                            TokenizeChecked(held, prompt, absl::StrCat("prompt ", prompt.index())));
    if (prompt.corrupted().empty()) continue;
    TokenizedPrompt& one = encoded.back();
    ATTUNE_ASSIGN_OR_RETURN(one.corrupted_ids,
                            TokenizeCorrupted(held, prompt, static_cast<int64_t>(one.ids.size()),
                                              request.sampling().max_new_tokens()));
  }
  return encoded;
}

// A response of the dataset, scored like a sample; of its tokens at most `tokens_max`.
absl::StatusOr<v1::Response> DatasetResponse(const SampleJob& job, int prompt, uint32_t sample,
                                             v1::Provenance provenance, const std::string& text,
                                             int64_t tokens_max) {
  const Policy& policy = *job.held.policy;
  const std::vector<int32_t>& prompt_ids = job.prompts[prompt].ids;
  std::vector<int32_t> ids =
      EncodeCompletion(*job.held.tokenizer, job.prompts[prompt].text, prompt_ids, text);
  const std::vector<int32_t>& ends = policy.config().eos_token_ids;
  const auto is_end = [&](int32_t id) {
    return std::find(ends.begin(), ends.end(), id) != ends.end();
  };
  if (!ends.empty() && (ids.empty() || !is_end(ids.back()))) ids.push_back(ends.front());
  if (ids.size() > static_cast<size_t>(tokens_max)) ids.resize(static_cast<size_t>(tokens_max));
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<float> logps,
                          CompletionLogProbs(policy, prompt_ids, ids));
  v1::Response response = MakeResponse(
      job, prompt, sample, provenance, ids, logps,
      !ids.empty() && is_end(ids.back()) ? v1::FINISH_REASON_STOP : v1::FINISH_REASON_LENGTH);
  ATTUNE_RETURN_IF_ERROR(AddAsked(job, prompt, response));
  return response;
}

}  // namespace

bool HasOpponent(const v1::SamplingSpec& sampling) {
  return sampling.opponent() == v1::OPPONENT_INITIAL || sampling.opponent() == v1::OPPONENT_MIXTURE;
}

bool NeedsInitialPolicy(const v1::SampleRequest& request) {
  return request.with_initial_logps() || HasOpponent(request.sampling());
}

absl::StatusOr<SampleJob> StartSampleJob(const HeldPolicies& held,
                                         const v1::SampleRequest& request) {
  ATTUNE_CHECK(!NeedsInitialPolicy(request) || held.initial != nullptr);
  if (request.prompts_size() > kSamplePromptsMax) {
    return absl::InvalidArgumentError(absl::StrCat("a Sample call has ", request.prompts_size(),
                                                   " prompts, the limit is ", kSamplePromptsMax));
  }
  ATTUNE_RETURN_IF_ERROR(CheckSampling(request));
  SampleJob job{held, request, {}};
  ATTUNE_ASSIGN_OR_RETURN(job.prompts, TokenizePrompts(held, request));
  return job;
}

v1::Response MakeResponse(const SampleJob& job, int prompt, uint32_t sample,
                          v1::Provenance provenance, absl::Span<const int32_t> token_ids,
                          absl::Span<const float> logps, v1::FinishReason finish_reason) {
  const std::vector<int32_t>& prompt_ids = job.prompts[prompt].ids;
  v1::Response response;
  response.set_prompt_index(job.request.prompts(prompt).index());
  response.set_sample(sample);
  response.mutable_prompt_token_ids()->Assign(prompt_ids.begin(), prompt_ids.end());
  const std::vector<int32_t>& corrupted_ids = job.prompts[prompt].corrupted_ids;
  response.mutable_corrupted_prompt_token_ids()->Assign(corrupted_ids.begin(), corrupted_ids.end());
  response.mutable_token_ids()->Assign(token_ids.begin(), token_ids.end());
  response.set_text(DecodeCompletion(*job.held.tokenizer, prompt_ids, token_ids,
                                     job.held.policy->config().eos_token_ids));
  response.mutable_logps()->Assign(logps.begin(), logps.end());
  response.set_finish_reason(finish_reason);
  response.set_provenance(provenance);
  *response.mutable_policy() = job.request.policy();
  return response;
}

double SamplerGap(absl::Span<const float> reported, absl::Span<const float> logps) {
  double sum = 0;
  for (size_t i = 0; i < reported.size(); ++i) {
    sum += std::abs(static_cast<double>(reported[i]) - logps[i]);
  }
  return reported.empty() ? 0 : sum / static_cast<double>(reported.size());
}

absl::Status AddAsked(const SampleJob& job, int prompt, v1::Response& response) {
  const Policy& policy = *job.held.policy;
  const std::vector<int32_t>& prompt_ids = job.prompts[prompt].ids;
  const std::vector<int32_t> token_ids(response.token_ids().begin(), response.token_ids().end());
  if (job.request.with_hidden_sums()) {
    ATTUNE_ASSIGN_OR_RETURN(const std::vector<float> sum,
                            CompletionHiddenSum(policy, prompt_ids, token_ids));
    response.mutable_hidden_sum()->Assign(sum.begin(), sum.end());
  }
  if (!job.request.with_initial_logps() || !response.initial_logps().empty()) {
    return absl::OkStatus();
  }
  if (job.held.initial == job.held.policy) {
    *response.mutable_initial_logps() = response.logps();
    return absl::OkStatus();
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<float> logps,
                          CompletionLogProbs(*job.held.initial, prompt_ids, token_ids));
  response.mutable_initial_logps()->Assign(logps.begin(), logps.end());
  return absl::OkStatus();
}

uint64_t SampleKey(const SampleJob& job, int prompt, uint32_t sample) {
  return CounterRng(
             {job.request.seed(), job.request.round(), job.request.prompts(prompt).index(), sample})
      .key();
}

// A given one may take what the context leaves after the prompt, and after
// the corrupted one; gold what a sample could.
absl::Status AddDatasetResponses(const SampleJob& job, int prompt,
                                 std::vector<v1::Response>* responses) {
  const v1::Prompt& source = job.request.prompts(prompt);
  const TokenizedPrompt& encoded = job.prompts[prompt];
  const int64_t context = job.held.policy->config().max_position_embeddings;
  const int64_t after_prompt = context - static_cast<int64_t>(encoded.ids.size());
  const int64_t after_both =
      std::min(after_prompt, context - static_cast<int64_t>(encoded.corrupted_ids.size()));
  uint32_t sample = job.generations();
  for (const v1::GivenResponse& given : source.given()) {
    ATTUNE_ASSIGN_OR_RETURN(
        responses->emplace_back(),
        DatasetResponse(job, prompt, sample++, v1::PROVENANCE_GIVEN, given.text(), after_both));
  }
  if (job.request.include_gold() && !source.gold().empty()) {
    ATTUNE_ASSIGN_OR_RETURN(
        responses->emplace_back(),
        DatasetResponse(
            job, prompt, sample, v1::PROVENANCE_GOLD, source.gold(),
            std::min(after_prompt, static_cast<int64_t>(job.request.sampling().max_new_tokens()))));
  }
  return absl::OkStatus();
}

}  // namespace attune
