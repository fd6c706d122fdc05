#include "rollout/endpoint_sampler.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "common/check.h"
#include "common/status_macros.h"
#include "common/threads.h"
#include "model/scorer.h"
#include "rpc/grpc_status.h"

namespace attune {
namespace {

using nlohmann::json;

constexpr const char* kKind = "completions";

std::string BaseOf(absl::string_view address) {
  return absl::StrCat(absl::StripSuffix(absl::StripSuffix(address, "/"), "/v1"), "/v1");
}

absl::Status CheckOwnEngineUnneeded(const v1::SamplingSpec& sampling) {
  std::vector<FieldViolation> violations;
  if (HasOpponent(sampling)) {
    violations.push_back({"sampling.opponent",
                          "must be none where an endpoint samples (--endpoint "
                          "of the rollout worker): it has no other policy"});
  }
  if (sampling.quantization() == v1::QUANTIZATION_INT8) {
    violations.push_back({"sampling.quantization",
                          "must be none where an endpoint samples (--endpoint of the rollout "
                          "worker): its weights are held as it likes"});
  }
  return BadRequestError(violations);
}

// Whatever is wrong is wrong with the server: another worker may have a better one.
absl::Status Unavailable(absl::string_view asked, const absl::Status& status) {
  return absl::UnavailableError(absl::StrCat("asked for ", asked, ": ", status.message()));
}

// Runs run(0) .. run(count - 1) in threads until one fails; the first failure.
absl::Status RunUntilFailure(size_t count, int threads,
                             absl::FunctionRef<absl::Status(size_t)> run) {
  absl::Mutex mu;
  absl::Status failure;
  RunInThreads(count, threads, [&](size_t index) {
    {
      absl::MutexLock lock(&mu);
      if (!failure.ok()) return;
    }
    absl::Status status = run(index);
    absl::MutexLock lock(&mu);
    if (failure.ok()) failure = std::move(status);
  });
  return failure;
}

}  // namespace

v1::CallSpec SamplerCallDefaults() {
  v1::CallSpec calls;
  calls.set_timeout_seconds(180);
  calls.set_max_attempts(3);
  calls.set_max_concurrency(4 * EndpointSampler::kAskedAtOnce);
  calls.set_breaker_failures(8);
  calls.set_breaker_seconds(5);
  return calls;
}

EndpointSampler::EndpointSampler(SamplerEndpoint options, Metrics& metrics)
    : options_(std::move(options)),
      base_(BaseOf(options_.address)),
      call_metrics_(metrics, "sampler"),
      endpoint_(kKind, base_, call_metrics_) {}

absl::StatusOr<v1::SampleResponse> EndpointSampler::Sample(const HeldPolicies& held,
                                                           const v1::SampleRequest& request,
                                                           int threads,
                                                           absl::FunctionRef<bool()> cancelled) {
  ATTUNE_ASSIGN_OR_RETURN(const SampleJob job, StartSampleJob(held, request));
  ATTUNE_RETURN_IF_ERROR(CheckOwnEngineUnneeded(request.sampling()));
  const size_t generations = job.generations();
  uint32_t staleness = 0;
  if (generations > 0) {
    ATTUNE_ASSIGN_OR_RETURN(staleness, AskStaleness(request.policy()));
  }
  const auto check_wanted = [&] {
    return cancelled() ? absl::CancelledError("the caller has gone") : absl::OkStatus();
  };
  std::vector<ExternalCompletion> completions(job.prompts.size() * generations);
  ATTUNE_RETURN_IF_ERROR(
      RunUntilFailure(completions.size(), kAskedAtOnce, [&](size_t index) -> absl::Status {
        ATTUNE_RETURN_IF_ERROR(check_wanted());
        ATTUNE_ASSIGN_OR_RETURN(completions[index],
                                Ask(job, static_cast<int>(index / generations),
                                    static_cast<uint32_t>(index % generations)));
        return absl::OkStatus();
      }));
  std::vector<std::vector<v1::Response>> results(job.prompts.size());
  ATTUNE_RETURN_IF_ERROR(RunUntilFailure(results.size(), threads, [&](size_t i) -> absl::Status {
    ATTUNE_RETURN_IF_ERROR(check_wanted());
    const int prompt = static_cast<int>(i);
    for (uint32_t sample = 0; sample < generations; ++sample) {
      ATTUNE_ASSIGN_OR_RETURN(
          results[i].emplace_back(),
          Score(job, prompt, sample, completions[i * generations + sample], staleness));
    }
    return AddDatasetResponses(job, prompt, &results[i]);
  }));
  v1::SampleResponse response;
  for (std::vector<v1::Response>& responses : results) {
    for (v1::Response& one : responses) *response.add_responses() = std::move(one);
  }
  return response;
}

absl::StatusOr<uint32_t> EndpointSampler::AskStaleness(const v1::PolicyVersion& policy) {
  const v1::CallSpec& calls = options_.calls;
  uint32_t staleness = 0;
  const absl::Status status = endpoint_.Call(calls, policy.round(), [&]() -> absl::Status {
    ATTUNE_ASSIGN_OR_RETURN(const json models,
                            http_.Get(absl::StrCat(base_, "/models"), options_.api_key,
                                      absl::Seconds(calls.timeout_seconds())));
    ATTUNE_ASSIGN_OR_RETURN(staleness, SamplerStaleness(models, options_.model, policy));
    return absl::OkStatus();
  });
  if (!status.ok()) return Unavailable("the models of the server that samples", status);
  return staleness;
}

absl::StatusOr<ExternalCompletion> EndpointSampler::Ask(const SampleJob& job, int prompt,
                                                        uint32_t sample) {
  const v1::CallSpec& calls = options_.calls;
  const TokenizedPrompt& tokenized = job.prompts[prompt];
  const ModelConfig& config = job.held.policy->config();
  const int64_t room = config.max_position_embeddings - static_cast<int64_t>(tokenized.ids.size());
  const v1::SamplingSpec& sampling = job.request.sampling();
  const CompletionQuestion question{
      .tokenizer = *job.held.tokenizer,
      .prompt = tokenized.text,
      .prompt_ids = tokenized.ids,
      .eos_ids = config.eos_token_ids,
      .vocab_size = config.vocab_size,
      .tokens_max = std::min<int64_t>(sampling.max_new_tokens(), room),
      .sampling = sampling,
      .key = SampleKey(job, prompt, sample),
  };
  const JsonPost post{.url = absl::StrCat(base_, "/completions"),
                      .body = CompletionBody(question, options_.model),
                      .bearer = options_.api_key,
                      .timeout = absl::Seconds(calls.timeout_seconds())};
  ExternalCompletion completion;
  const absl::Status status = endpoint_.Call(calls, question.key, [&]() -> absl::Status {
    ATTUNE_ASSIGN_OR_RETURN(const json answer, http_.Post(post));
    ATTUNE_ASSIGN_OR_RETURN(completion, ParseCompletion(answer, question));
    return absl::OkStatus();
  });
  if (status.ok()) return completion;
  return Unavailable(
      absl::StrCat("sample ", sample, " of prompt ", job.request.prompts(prompt).index(),
                   " of the model ", Excerpt(options_.model)),
      status);
}

absl::StatusOr<v1::Response> EndpointSampler::Score(const SampleJob& job, int prompt,
                                                    uint32_t sample,
                                                    const ExternalCompletion& completion,
                                                    uint32_t staleness) const {
  ATTUNE_ASSIGN_OR_RETURN(
      const std::vector<float> logps,
      CompletionLogProbs(*job.held.policy, job.prompts[prompt].ids, completion.token_ids));
  v1::Response response = MakeResponse(job, prompt, sample, v1::PROVENANCE_STUDENT,
                                       completion.token_ids, logps, completion.finish_reason);
  response.set_seed(SampleKey(job, prompt, sample));
  response.mutable_sampler()->set_name(options_.model);
  response.mutable_sampler()->set_staleness(staleness);
  const std::vector<float>& reported = completion.logps;
  if (!reported.empty()) {
    response.mutable_sampler()->set_gap(SamplerGap(reported, logps));
    response.mutable_sampling_logps()->Assign(reported.begin(), reported.end());
    if (reported.size() < logps.size()) response.add_sampling_logps(logps.back());
  }
  ATTUNE_RETURN_IF_ERROR(AddAsked(job, prompt, response));
  return response;
}

}  // namespace attune
