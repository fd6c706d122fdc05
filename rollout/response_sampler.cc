#include "rollout/response_sampler.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "common/check.h"
#include "common/rng.h"
#include "common/status_macros.h"
#include "model/generator.h"
#include "model/scorer.h"
#include "rpc/grpc_status.h"

namespace attune {
namespace {

// Sequences decoded together by one thread: enough to read the weights seldom, few enough for
// their keys and values to stay small.
constexpr int kSequencesMax = 32;

bool HasOpponent(const v1::SamplingSpec& sampling) {
  return sampling.opponent() == v1::OPPONENT_INITIAL || sampling.opponent() == v1::OPPONENT_MIXTURE;
}

// Where nothing is sampled, every prompt must bring responses, and how to sample is of no interest.
absl::Status CheckGivenAlone(const v1::SampleRequest& request) {
  std::vector<FieldViolation> violations;
  const auto without =
      std::find_if(request.prompts().begin(), request.prompts().end(),
                   [](const v1::Prompt& prompt) { return prompt.given().empty(); });
  if (without != request.prompts().end()) {
    violations.push_back({"sampling.num_generations",
                          absl::StrCat("0, but prompt ", without->index(),
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
  if (sampling.opponent() == v1::OPPONENT_MIXTURE) {
    const double coef = sampling.mixture_coef();
    check("mixture_coef", sampling.has_mixture_coef(), coef, coef >= 0 && coef <= 1, "0-1");
  }
  return BadRequestError(violations);
}

SamplingOptions ToOptions(const v1::SamplingSpec& sampling) {
  return {.temperature = sampling.temperature(),
          .top_p = sampling.top_p(),
          .top_k = sampling.top_k(),
          .max_new_tokens = sampling.max_new_tokens()};
}

struct EncodedPrompt {
  std::string text;
  std::vector<int32_t> ids;
  std::vector<int32_t> corrupted_ids;  // of Prompt.corrupted; empty without
};

// What one request needs in every thread; all of it constant.
struct Job {
  const HeldPolicies& held;
  const v1::SampleRequest& request;
  const SamplingOptions options;
  std::vector<EncodedPrompt> prompts;  // by prompt of the request

  v1::Opponent opponent() const { return request.sampling().opponent(); }
  uint32_t generations() const { return request.sampling().num_generations(); }
};

// Without corrupted_ids.
absl::StatusOr<EncodedPrompt> Encode(const HeldPolicies& held, const v1::Prompt& prompt) {
  if (prompt.messages().empty()) {
    return EncodedPrompt{
        prompt.text(), held.tokenizer->Encode(prompt.text(), /*add_special_tokens=*/true), {}};
  }
  ATTUNE_RETURN_IF_ERROR(held.chat_template.status());
  ATTUNE_ASSIGN_OR_RETURN(
      std::string text,
      (*held.chat_template)->Render(prompt.messages(), /*add_generation_prompt=*/true));
  std::vector<int32_t> ids = held.tokenizer->Encode(text, /*add_special_tokens=*/false);
  return EncodedPrompt{std::move(text), std::move(ids), {}};
}

// The same, once it is seen that a response can follow. `name` is that of the prompt in errors.
absl::StatusOr<EncodedPrompt> EncodeChecked(const HeldPolicies& held, const v1::Prompt& prompt,
                                            absl::string_view name) {
  absl::StatusOr<EncodedPrompt> encoded = Encode(held, prompt);
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
absl::StatusOr<std::vector<int32_t>> EncodeCorrupted(const HeldPolicies& held,
                                                     const v1::Prompt& prompt,
                                                     int64_t prompt_tokens,
                                                     int64_t new_tokens_max) {
  v1::Prompt corrupted;
  (prompt.messages().empty() ? *corrupted.mutable_text() : *corrupted.mutable_messages()) =
      prompt.corrupted();
  const std::string name = absl::StrCat("the corrupted prompt ", prompt.index());
  ATTUNE_ASSIGN_OR_RETURN(EncodedPrompt encoded, EncodeChecked(held, corrupted, name));
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

absl::StatusOr<std::vector<EncodedPrompt>> EncodePrompts(const HeldPolicies& held,
                                                         const v1::SampleRequest& request) {
  std::vector<EncodedPrompt> encoded;
  encoded.reserve(request.prompts_size());
  for (const v1::Prompt& prompt : request.prompts()) {
    ATTUNE_ASSIGN_OR_RETURN(encoded.emplace_back(),
                            EncodeChecked(held, prompt, absl::StrCat("prompt ", prompt.index())));
    if (prompt.corrupted().empty()) continue;
    EncodedPrompt& one = encoded.back();
    ATTUNE_ASSIGN_OR_RETURN(one.corrupted_ids,
                            EncodeCorrupted(held, prompt, static_cast<int64_t>(one.ids.size()),
                                            request.sampling().max_new_tokens()));
  }
  return encoded;
}

v1::Response MakeResponse(const Job& job, int prompt, uint32_t sample, v1::Provenance provenance,
                          absl::Span<const int32_t> token_ids, absl::Span<const float> logps,
                          v1::FinishReason finish_reason) {
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

// Fills what the request asks for beside the log-probabilities of the current policy; initial_logps
// only if they are not there yet.
absl::Status AddAsked(const Job& job, absl::Span<const int32_t> prompt_ids,
                      absl::Span<const int32_t> token_ids, v1::Response& response) {
  const Policy& policy = *job.held.policy;
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

uint64_t SampleKey(const Job& job, int prompt, uint32_t sample) {
  return CounterRng(
             {job.request.seed(), job.request.round(), job.request.prompts(prompt).index(), sample})
      .key();
}

// A response of the dataset, scored like a sample; of its tokens at most `tokens_max`.
absl::StatusOr<v1::Response> DatasetResponse(const Job& job, int prompt, uint32_t sample,
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
  ATTUNE_RETURN_IF_ERROR(AddAsked(job, prompt_ids, ids, response));
  return response;
}

// Those given, then gold. A given one may take what the context leaves after the prompt, and after
// the corrupted one; gold what a sample could.
absl::Status AddDatasetResponses(const Job& job, int prompt, std::vector<v1::Response>* responses) {
  const v1::Prompt& source = job.request.prompts(prompt);
  const EncodedPrompt& encoded = job.prompts[prompt];
  const int64_t context = job.held.policy->config().max_position_embeddings;
  const int64_t after_prompt = context - static_cast<int64_t>(encoded.ids.size());
  const int64_t after_both =
      std::min(after_prompt, context - static_cast<int64_t>(encoded.corrupted_ids.size()));
  uint32_t sample = job.generations();
  for (const v1::GivenResponse& given : source.given()) {
    ATTUNE_ASSIGN_OR_RETURN(responses->emplace_back(),
                            DatasetResponse(job, prompt, sample++, v1::PROVENANCE_GIVEN,
                                            given.text(), after_both));
  }
  if (job.request.include_gold() && !source.gold().empty()) {
    ATTUNE_ASSIGN_OR_RETURN(
        responses->emplace_back(),
        DatasetResponse(job, prompt, sample, v1::PROVENANCE_GOLD, source.gold(),
                        std::min(after_prompt, job.options.max_new_tokens)));
  }
  return absl::OkStatus();
}

// `generation` as the response it is, but for what AddAsked fills. `logps` are the current
// policy's.
v1::Response SampledResponse(const Job& job, int prompt, uint32_t sample, v1::Provenance provenance,
                             const Generation& generation, absl::Span<const float> logps) {
  v1::Response response =
      MakeResponse(job, prompt, sample, provenance, generation.token_ids, logps,
                   generation.stop_reason == StopReason::kEndOfSequence ? v1::FINISH_REASON_STOP
                                                                        : v1::FINISH_REASON_LENGTH);
  response.mutable_sampling_logps()->Assign(generation.sampling_logps.begin(),
                                            generation.sampling_logps.end());
  response.set_seed(SampleKey(job, prompt, sample));
  return response;
}

absl::StatusOr<v1::Response> StudentResponse(const Job& job, int prompt, uint32_t sample,
                                             const Generation& generation) {
  v1::Response response =
      SampledResponse(job, prompt, sample, v1::PROVENANCE_STUDENT, generation, generation.logps);
  ATTUNE_RETURN_IF_ERROR(AddAsked(job, job.prompts[prompt].ids, generation.token_ids, response));
  return response;
}

absl::StatusOr<v1::Response> OpponentResponse(const Job& job, int prompt,
                                              const Generation& generation) {
  const std::vector<int32_t>& prompt_ids = job.prompts[prompt].ids;
  const uint32_t sample = job.generations() - 1;
  // Those of a mixture are recorded under the current policy, the others under the initial one.
  const bool under_initial =
      job.opponent() == v1::OPPONENT_INITIAL && job.held.initial != job.held.policy;
  std::vector<float> logps = generation.logps;
  if (under_initial) {
    ATTUNE_ASSIGN_OR_RETURN(logps,
                            CompletionLogProbs(*job.held.policy, prompt_ids, generation.token_ids));
  }
  v1::Response response =
      SampledResponse(job, prompt, sample, v1::PROVENANCE_OPPONENT, generation, logps);
  if (under_initial && job.request.with_initial_logps()) {
    response.mutable_initial_logps()->Assign(generation.logps.begin(), generation.logps.end());
  }
  ATTUNE_RETURN_IF_ERROR(AddAsked(job, prompt_ids, generation.token_ids, response));
  return response;
}

// What is to be generated: samples [first, last) of the prompts [begin, end).
std::vector<GenerationRequest> Requests(const Job& job, int begin, int end, uint32_t first,
                                        uint32_t last) {
  std::vector<GenerationRequest> requests;
  for (int prompt = begin; prompt < end; ++prompt) {
    GenerationRequest& request = requests.emplace_back();
    request.prompt_ids = job.prompts[prompt].ids;
    for (uint32_t sample = first; sample < last; ++sample) {
      request.sample_keys.push_back(SampleKey(job, prompt, sample));
    }
  }
  return requests;
}

absl::StatusOr<std::vector<std::vector<Generation>>> GenerateOpponents(
    const Job& job, const std::vector<GenerationRequest>& requests) {
  const Policy& policy = *job.held.policy;
  const Policy& initial = *job.held.initial;
  // A mixture of a policy with itself is the policy, to the bit; two passes would be one too many.
  if (job.opponent() == v1::OPPONENT_INITIAL || &initial == &policy) {
    return Generate(initial, requests, job.options);
  }
  return GenerateMixture(policy, initial, job.request.sampling().mixture_coef(), requests,
                         job.options);
}

// Fills results[begin, end), by prompt of the request.
absl::Status SampleGroup(const Job& job, int begin, int end,
                         std::vector<std::vector<v1::Response>>& results) {
  const bool has_opponent = HasOpponent(job.request.sampling());
  const uint32_t own = job.generations() - (has_opponent ? 1 : 0);
  std::vector<std::vector<Generation>> samples;
  if (own > 0) {
    ATTUNE_ASSIGN_OR_RETURN(
        samples, Generate(*job.held.policy, Requests(job, begin, end, 0, own), job.options));
  }
  std::vector<std::vector<Generation>> opponents;
  if (has_opponent) {
    ATTUNE_ASSIGN_OR_RETURN(
        opponents, GenerateOpponents(job, Requests(job, begin, end, own, job.generations())));
  }
  for (int prompt = begin; prompt < end; ++prompt) {
    std::vector<v1::Response>& responses = results[prompt];
    for (uint32_t sample = 0; sample < own; ++sample) {
      ATTUNE_ASSIGN_OR_RETURN(
          responses.emplace_back(),
          StudentResponse(job, prompt, sample, samples[prompt - begin][sample]));
    }
    if (has_opponent) {
      ATTUNE_ASSIGN_OR_RETURN(responses.emplace_back(),
                              OpponentResponse(job, prompt, opponents[prompt - begin][0]));
    }
    ATTUNE_RETURN_IF_ERROR(AddDatasetResponses(job, prompt, &responses));
  }
  return absl::OkStatus();
}

// Runs run(0) .. run(count - 1) on at most `threads` threads until one fails; the first failure.
absl::Status RunInThreads(int count, int threads, absl::FunctionRef<absl::Status(int)> run) {
  std::atomic<int> next = 0;
  absl::Mutex mu;
  absl::Status failure;
  const auto work = [&] {
    for (int item = next++; item < count; item = next++) {
      const absl::Status status = run(item);
      if (status.ok()) continue;
      next = count;
      absl::MutexLock lock(&mu);
      if (failure.ok()) failure = status;
    }
  };
  std::vector<std::thread> helpers;
  for (int i = 1; i < std::min(threads, count); ++i) helpers.emplace_back(work);
  work();
  for (std::thread& helper : helpers) helper.join();
  return failure;
}

}  // namespace

bool NeedsInitialPolicy(const v1::SampleRequest& request) {
  return request.with_initial_logps() || HasOpponent(request.sampling());
}

absl::StatusOr<v1::SampleResponse> SampleResponses(const HeldPolicies& held,
                                                   const v1::SampleRequest& request, int threads,
                                                   absl::FunctionRef<bool()> cancelled) {
  ATTUNE_CHECK(threads > 0);
  ATTUNE_CHECK(!NeedsInitialPolicy(request) || held.initial != nullptr);
  const int prompts = request.prompts_size();
  if (prompts > kSamplePromptsMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("a Sample call has ", prompts, " prompts, the limit is ", kSamplePromptsMax));
  }
  ATTUNE_RETURN_IF_ERROR(CheckSampling(request));
  Job job{held, request, ToOptions(request.sampling()), {}};
  ATTUNE_ASSIGN_OR_RETURN(job.prompts, EncodePrompts(held, request));

  const int generations = static_cast<int>(job.generations());
  const int fair_share = (prompts + threads - 1) / threads;
  const int group = std::max(1, std::min(kSequencesMax / std::max(1, generations), fair_share));
  std::vector<std::vector<v1::Response>> results(prompts);
  ATTUNE_RETURN_IF_ERROR(
      RunInThreads((prompts + group - 1) / group, threads, [&](int index) -> absl::Status {
        if (cancelled()) return absl::CancelledError("the caller has gone");
        const int begin = index * group;
        return SampleGroup(job, begin, std::min(begin + group, prompts), results);
      }));

  v1::SampleResponse response;
  for (std::vector<v1::Response>& responses : results) {
    for (v1::Response& one : responses) *response.add_responses() = std::move(one);
  }
  return response;
}

}  // namespace attune
