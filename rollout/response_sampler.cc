#include "rollout/response_sampler.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "common/check.h"
#include "common/status_macros.h"
#include "model/generator.h"
#include "model/scorer.h"
#include "rollout/response_builder.h"

namespace attune {
namespace {

// Sequences decoded together by one thread: enough to read the weights seldom, few enough for
// their keys and values to stay small.
constexpr int kSequencesMax = 32;

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
                   generation.stop_reason == StopReason::kEndOfSequence ? v1::FINISH_REASON_STOP
                                                                        : v1::FINISH_REASON_LENGTH);
  response.mutable_sampling_logps()->Assign(generation.sampling_logps.begin(),
                                            generation.sampling_logps.end());
  response.set_seed(SampleKey(job, prompt, sample));
  return response;
}

absl::StatusOr<v1::Response> StudentResponse(const SampleJob& job, int prompt, uint32_t sample,
                                             const Generation& generation) {
  v1::Response response =
      SampledResponse(job, prompt, sample, v1::PROVENANCE_STUDENT, generation, generation.logps);
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

// What is to be generated: samples [first, last) of the prompts [begin, end).
std::vector<GenerationRequest> Requests(const SampleJob& job, int begin, int end, uint32_t first,
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
    const SampleJob& job, const std::vector<GenerationRequest>& requests) {
  const Policy& policy = *job.held.policy;
  const Policy& initial = *job.held.initial;
  const SamplingOptions options = ToOptions(job.request.sampling());
  // A mixture of a policy with itself is the policy, to the bit; two passes would be one too many.
  if (job.request.sampling().opponent() == v1::OPPONENT_INITIAL || &initial == &policy) {
    return Generate(initial, requests, options);
  }
  return GenerateMixture(policy, initial, job.request.sampling().mixture_coef(), requests, options);
}

// Fills results[begin, end), by prompt of the request.
absl::Status SampleGroup(const SampleJob& job, int begin, int end,
                         std::vector<std::vector<v1::Response>>& results) {
  const bool has_opponent = HasOpponent(job.request.sampling());
  const uint32_t own = job.generations() - (has_opponent ? 1 : 0);
  const SamplingOptions options = ToOptions(job.request.sampling());
  std::vector<std::vector<Generation>> samples;
  if (own > 0) {
    ATTUNE_ASSIGN_OR_RETURN(samples,
                            Generate(*job.held.policy, Requests(job, begin, end, 0, own), options));
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

absl::StatusOr<v1::SampleResponse> SampleResponses(const HeldPolicies& held,
                                                   const v1::SampleRequest& request, int threads,
                                                   absl::FunctionRef<bool()> cancelled) {
  ATTUNE_CHECK(threads > 0);
  ATTUNE_ASSIGN_OR_RETURN(const SampleJob job, StartSampleJob(held, request));

  const int prompts = request.prompts_size();
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
