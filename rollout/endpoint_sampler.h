// Sample requests answered with a server outside: it draws the tokens, everything else is ours.
#ifndef ATTUNE_ROLLOUT_ENDPOINT_SAMPLER_H_
#define ATTUNE_ROLLOUT_ENDPOINT_SAMPLER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "attune/v1/oracle_spec.pb.h"
#include "attune/v1/rollout.pb.h"
#include "common/metrics.h"
#include "rollout/completion_api.h"
#include "rollout/policy_store.h"
#include "rollout/response_builder.h"
#include "rpc/endpoint.h"
#include "rpc/http_client.h"

namespace attune {

struct SamplerEndpoint {
  std::string address;  // of an OpenAI-compatible server, with or without /v1
  std::string model;    // as the server calls it
  std::string api_key;  // empty: none is sent. Never part of a message
  v1::CallSpec calls;   // every field set, but for cache_entries
};

// Three attempts of three minutes, at most `kSampleCallsMax` Sample calls' worth in flight.
v1::CallSpec SamplerCallDefaults();

// Thread-safe.
class EndpointSampler {
 public:
  // `metrics` must outlive it.
  EndpointSampler(SamplerEndpoint options, Metrics& metrics);

  // As SampleResponses (rollout/response_sampler.h), but each sampled response is drawn by the
  // server, with one call (rollout/completion_api.h says what is asked and believed), and then
  // scored on at most `threads` threads:
  //   - logps, initial_logps and hidden_sum are of the policies held, as of all responses;
  //   - sampling_logps is what the server reported for each token, empty where it did not; of an
  //     end of sequence that it left out, the policy's own;
  //   - sampler.name is the model; sampler.staleness is SamplerStaleness of what the server has
  //     when the call begins; sampler.gap is the mean of |reported - ours| over the tokens that the
  //     server reported, 0 where it reported none. Reported log-probabilities are taken for those
  //     of the untempered, untruncated distribution: what vLLM (logprobs_mode raw_logprobs),
  //     llama.cpp and `attune serve` report. SGLang reports tempered ones unless it is told
  //     otherwise, which at a temperature of 1 are the same.
  //
  // INVALID_ARGUMENT also for an opponent and for quantised sampling, which only the worker's own
  // engine has. UNAVAILABLE: the server could not be asked, or has not answered well; says what was
  // asked of whom and what came back.
  [[nodiscard]] absl::StatusOr<v1::SampleResponse> Sample(const HeldPolicies& held,
                                                          const v1::SampleRequest& request,
                                                          int threads,
                                                          absl::FunctionRef<bool()> cancelled);

  // Calls in flight for one Sample call.
  static constexpr int kAskedAtOnce = 32;

 private:
  [[nodiscard]] absl::StatusOr<uint32_t> AskStaleness(const v1::PolicyVersion& policy);
  [[nodiscard]] absl::StatusOr<ExternalCompletion> Ask(const SampleJob& job, int prompt,
                                                       uint32_t sample);
  [[nodiscard]] absl::StatusOr<v1::Response> Score(const SampleJob& job, int prompt,
                                                   uint32_t sample,
                                                   const ExternalCompletion& completion,
                                                   uint32_t staleness) const;

  const SamplerEndpoint options_;
  const std::string base_;  // ends with /v1
  CallMetrics call_metrics_;
  Endpoint endpoint_;
  HttpClient http_;
};

}  // namespace attune

#endif  // ATTUNE_ROLLOUT_ENDPOINT_SAMPLER_H_
