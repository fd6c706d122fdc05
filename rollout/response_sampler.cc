#include "rollout/response_sampler.h"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/cleanup/cleanup.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "common/check.h"
#include "common/status_macros.h"
#include "common/threads.h"
#include "model/scorer.h"
#include "model/tokenizer/stop_texts.h"
#include "rollout/response_builder.h"

namespace attune {
namespace {

SamplingOptions ToOptions(const v1::SamplingSpec& sampling) {
  return {
      .temperature = sampling.temperature(),
      .top_p = sampling.top_p(),
      .top_k = sampling.top_k(),
      .min_p = sampling.min_p(),
      .repetition_penalty = sampling.has_repetition_penalty() ? sampling.repetition_penalty() : 1,
      .min_new_tokens = sampling.min_new_tokens(),
      .max_new_tokens = sampling.max_new_tokens()};
}

// `generation` as the response it is, but for what AddAsked fills. `logps` are the current
// policy's.
v1::Response SampledResponse(const SampleJob& job, int prompt, uint32_t sample,
                             v1::Provenance provenance, const Generation& generation,
                             absl::Span<const float> logps) {
  v1::Response response =
      MakeResponse(job, prompt, sample, provenance, generation.token_ids, logps,
                   generation.stop_reason == StopReason::kLength ? v1::FINISH_REASON_LENGTH
                                                                 : v1::FINISH_REASON_STOP);
  response.mutable_sampling_logps()->Assign(generation.sampling_logps.begin(),
                                            generation.sampling_logps.end());
  response.set_seed(SampleKey(job, prompt, sample));
  return response;
}

bool IsQuantized(const SampleJob& job) {
  return job.request.sampling().quantization() == v1::QUANTIZATION_INT8;
}

absl::StatusOr<v1::Response> StudentResponse(const SampleJob& job, int prompt, uint32_t sample,
                                             const Generation& generation) {
  std::vector<float> logps = generation.logps;
  if (IsQuantized(job)) {
    ATTUNE_ASSIGN_OR_RETURN(
        logps, CompletionLogProbs(*job.held.policy, job.prompts[prompt].ids, generation.token_ids));
  }
  v1::Response response =
      SampledResponse(job, prompt, sample, v1::PROVENANCE_STUDENT, generation, logps);
  if (IsQuantized(job)) {
    response.mutable_sampler()->set_name("int8");
    response.mutable_sampler()->set_gap(SamplerGap(generation.logps, logps));
  }
  ATTUNE_RETURN_IF_ERROR(AddAsked(job, prompt, response));
  return response;
}

absl::StatusOr<v1::Response> OpponentResponse(const SampleJob& job, int prompt,
                                              const Generation& generation) {
  const std::vector<int32_t>& prompt_ids = job.prompts[prompt].ids;
  const uint32_t sample = job.generations() - 1;
  // Those of a mixture are recorded under the current policy, the others under the initial one.
  const bool under_initial = job.request.sampling().opponent() == v1::OPPONENT_INITIAL &&
                             job.held.initial != job.held.policy;
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
  ATTUNE_RETURN_IF_ERROR(AddAsked(job, prompt, response));
  return response;
}

// Where the engine leaves the samples of a call, and the call waits for prompts that have all of
// theirs. Thread-safe. Shared with the callbacks of the engine, which may outlive the call.
class Samples {
 public:
  Samples(int prompts, int generations) : missing_(prompts, generations), samples_(prompts) {
    for (std::vector<Generation>& of_prompt : samples_) of_prompt.resize(generations);
    if (generations > 0) return;
    for (int prompt = 0; prompt < prompts; ++prompt) ready_.push_back(prompt);
  }

  void Put(int prompt, size_t sample, absl::StatusOr<Generation> generation) {
    absl::MutexLock lock(&mu_);
    failure_.Update(generation.status());
    if (!generation.ok()) return;
    samples_[prompt][sample] = *std::move(generation);
    if (--missing_[prompt] == 0) ready_.push_back(prompt);
  }

  // Whoever waits stops waiting.
  void Fail(const absl::Status& status) {
    absl::MutexLock lock(&mu_);
    failure_.Update(status);
  }

  absl::Status status() {
    absl::MutexLock lock(&mu_);
    return failure_;
  }

  // A prompt with all its samples, of which each is given out once; -1 once there is none left or
  // something has failed.
  int Next(absl::FunctionRef<bool()> cancelled) {
    for (;;) {
      if (status().ok() && cancelled()) Fail(absl::CancelledError("the caller has gone"));
      absl::MutexLock lock(&mu_);
      if (!mu_.AwaitWithTimeout(absl::Condition(this, &Samples::HasNews), kLookAround)) continue;
      if (!failure_.ok() || ready_.empty()) return -1;
      const int prompt = ready_.front();
      ready_.pop_front();
      ++taken_;
      return prompt;
    }
  }

  // Of a prompt that Next gave.
  std::vector<Generation> Take(int prompt) {
    absl::MutexLock lock(&mu_);
    return std::move(samples_[prompt]);
  }

 private:
  static constexpr absl::Duration kLookAround = absl::Milliseconds(100);

  bool HasNews() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return !failure_.ok() || !ready_.empty() || taken_ == missing_.size();
  }

  absl::Mutex mu_;
  absl::Status failure_ ABSL_GUARDED_BY(mu_);
  std::vector<int> missing_ ABSL_GUARDED_BY(mu_);  // samples of each prompt
  std::vector<std::vector<Generation>> samples_ ABSL_GUARDED_BY(mu_);
  std::deque<int> ready_ ABSL_GUARDED_BY(mu_);
  size_t taken_ ABSL_GUARDED_BY(mu_) = 0;
};

// Ends a response with the first stop text in it. May outlive the call.
std::function<bool(size_t, const Generation&)> OnToken(const SampleJob& job, int prompt,
                                                       uint32_t samples) {
  const auto& texts = job.request.sampling().stop();
  const auto stops = std::make_shared<std::vector<StopTexts>>();  // a std::function is copyable
  for (uint32_t i = 0; i < samples && !texts.empty(); ++i) {
    stops->emplace_back(job.held.tokenizer.get(), job.prompts[prompt].ids,
                        std::vector<std::string>(texts.begin(), texts.end()));
  }
  return [stops, tokenizer = job.held.tokenizer, policy = job.held.policy,
          first = job.held.first_token](size_t sample, const Generation& so_far) {
    first->Drawn();
    if (stops->empty()) return false;
    const std::vector<int32_t>& eos = policy->config().eos_token_ids;
    const int32_t last = so_far.token_ids.back();
    return std::find(eos.begin(), eos.end(), last) == eos.end() && (*stops)[sample].Push(last);
  };
}

// Samples [first, last) of a prompt, drawn from `policy` and perhaps `other`.
EngineRequest RequestFor(const SampleJob& job, int prompt, uint32_t first, uint32_t last,
                         const std::shared_ptr<Samples>& samples) {
  EngineRequest request;
  request.policy = IsQuantized(job) ? job.held.quantized->Of(*job.held.policy) : job.held.policy;
  request.prompt_ids = job.prompts[prompt].ids;
  for (uint32_t sample = first; sample < last; ++sample) {
    request.sample_keys.push_back(SampleKey(job, prompt, sample));
  }
  request.options = ToOptions(job.request.sampling());
  request.on_token = OnToken(job, prompt, last - first);
  request.on_done = [samples, prompt, first](size_t sample, absl::StatusOr<Generation> response) {
    samples->Put(prompt, first + sample, std::move(response));
  };
  return request;
}

// All that is to be drawn for the prompt.
std::vector<EngineRequest> RequestsFor(const SampleJob& job, int prompt,
                                       const std::shared_ptr<Samples>& samples) {
  std::vector<EngineRequest> requests;
  const v1::SamplingSpec& sampling = job.request.sampling();
  const uint32_t own = job.generations() - (HasOpponent(sampling) ? 1 : 0);
  if (own > 0) requests.push_back(RequestFor(job, prompt, 0, own, samples));
  if (!HasOpponent(sampling)) return requests;
  EngineRequest& opponent =
      requests.emplace_back(RequestFor(job, prompt, own, job.generations(), samples));
  opponent.policy = job.held.policy;
  // A mixture of a policy with itself is the policy, to the bit; two passes would be one too many.
  if (sampling.opponent() == v1::OPPONENT_INITIAL || job.held.initial == job.held.policy) {
    opponent.policy = job.held.initial;
  } else {
    opponent.other = job.held.initial;
    opponent.other_weight = sampling.mixture_coef();
  }
  return requests;
}

absl::StatusOr<std::vector<v1::Response>> ResponsesTo(const SampleJob& job, int prompt,
                                                      absl::Span<const Generation> samples) {
  const uint32_t own = job.generations() - (HasOpponent(job.request.sampling()) ? 1 : 0);
  std::vector<v1::Response> responses;
  for (uint32_t sample = 0; sample < own; ++sample) {
    ATTUNE_ASSIGN_OR_RETURN(responses.emplace_back(),
                            StudentResponse(job, prompt, sample, samples[sample]));
  }
  if (own < job.generations()) {
    ATTUNE_ASSIGN_OR_RETURN(responses.emplace_back(), OpponentResponse(job, prompt, samples[own]));
  }
  ATTUNE_RETURN_IF_ERROR(AddDatasetResponses(job, prompt, &responses));
  return responses;
}

}  // namespace

absl::StatusOr<v1::SampleResponse> SampleResponses(const HeldPolicies& held,
                                                   const v1::SampleRequest& request,
                                                   EngineThread& engine, int threads,
                                                   absl::FunctionRef<bool()> cancelled) {
  ATTUNE_CHECK(threads > 0);
  ATTUNE_ASSIGN_OR_RETURN(const SampleJob job, StartSampleJob(held, request));
  const int prompts = request.prompts_size();
  const auto samples = std::make_shared<Samples>(prompts, job.generations());
  std::vector<uint64_t> ids;
  absl::Cleanup forget = [&] { engine.Cancel(ids); };
  for (int prompt = 0; prompt < prompts; ++prompt) {
    for (EngineRequest& one : RequestsFor(job, prompt, samples)) {
      ATTUNE_ASSIGN_OR_RETURN(ids.emplace_back(), engine.Submit(std::move(one)));
    }
  }
  // What is scored is scored here, while the engine draws the rest.
  std::vector<std::vector<v1::Response>> results(prompts);
  RunInThreads(std::min(prompts, threads), threads, [&](size_t) {
    for (int prompt = samples->Next(cancelled); prompt >= 0; prompt = samples->Next(cancelled)) {
      absl::StatusOr<std::vector<v1::Response>> responses =
          ResponsesTo(job, prompt, samples->Take(prompt));
      if (!responses.ok()) return samples->Fail(responses.status());
      results[prompt] = *std::move(responses);
    }
  });
  ATTUNE_RETURN_IF_ERROR(samples->status());
  std::move(forget).Cancel();

  v1::SampleResponse response;
  for (std::vector<v1::Response>& responses : results) {
    for (v1::Response& one : responses) *response.add_responses() = std::move(one);
  }
  return response;
}

}  // namespace attune
