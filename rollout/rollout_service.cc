#include "rollout/rollout_service.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "model/model_config.h"
#include "model/weights.h"
#include "rollout/response_builder.h"
#include "rollout/response_sampler.h"
#include "rollout/weight_client.h"
#include "rpc/grpc_status.h"

namespace attune {
namespace {

constexpr absl::Duration kRetryAfter = absl::Seconds(1);

absl::StatusOr<v1::DescribeModelResponse> Describe(const std::string& path) {
  ATTUNE_ASSIGN_OR_RETURN(const ModelConfig config, LoadModelConfig(path));
  if (config.num_labels > 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(path,
                     " is a sequence classifier; a policy needs a vocabulary head, as a "
                     "*ForCausalLM directory has"));
  }
  ATTUNE_RETURN_IF_ERROR(LoadTokenizer(path, config.vocab_size).status());
  ATTUNE_ASSIGN_OR_RETURN(const WeightFiles weights, WeightFiles::Open(path, config));
  const std::vector<TensorSpec> layout = WeightLayout(config);
  v1::DescribeModelResponse response;
  response.set_architecture(config.model_type);
  response.set_parameters(WeightCount(layout));
  response.set_vocab_size(static_cast<uint32_t>(config.vocab_size));
  response.set_max_position_embeddings(static_cast<uint32_t>(config.max_position_embeddings));
  response.set_weights_digest(WeightsDigest(layout, weights));
  return response;
}

absl::Status CheckHolds(const HeldPolicies* held, const v1::SampleRequest& request) {
  const std::string& wanted = request.policy().digest();
  if (held == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("this worker holds no policy yet, not ", wanted, "; call LoadPolicy"));
  }
  if (held->version.digest() != wanted) {
    return absl::FailedPreconditionError(absl::StrCat("this worker holds the policy ",
                                                      held->version.digest(), ", not ", wanted,
                                                      "; call LoadPolicy"));
  }
  if (held->precision != TensorTypeOf(request.precision())) {
    return absl::FailedPreconditionError(
        absl::StrCat("this worker holds the policy ", wanted, " in another precision than ",
                     v1::Precision_Name(request.precision()), "; call LoadPolicy"));
  }
  if (NeedsInitialPolicy(request) && held->initial == nullptr) {
    return absl::FailedPreconditionError(
        "this worker holds no initial policy; call LoadPolicy with one");
  }
  return absl::OkStatus();
}

}  // namespace

void RolloutServiceImpl::Join(const std::string& coordinator, const v1::WorkerInfo& worker) {
  absl::MutexLock lock(&mu_);
  membership_ = std::make_unique<MembershipAgent>(coordinator, worker);
}

void RolloutServiceImpl::Leave() {
  std::unique_ptr<MembershipAgent> leaving;  // takes up to seconds: outside the lock
  absl::MutexLock lock(&mu_);
  leaving = std::move(membership_);
}

grpc::Status RolloutServiceImpl::DescribeModel(grpc::ServerContext* context,
                                               const v1::DescribeModelRequest* request,
                                               v1::DescribeModelResponse* response) {
  absl::MutexLock lock(&describe_mu_);
  absl::StatusOr<v1::DescribeModelResponse> described = Describe(request->model_path());
  if (!described.ok()) {
    // Whatever is wrong with a model is wrong with the request that names it.
    return ToGrpcStatus(absl::InvalidArgumentError(absl::StrCat(
        "the model ", request->model_path(), " cannot be used: ", described.status().message())));
  }
  *response = *std::move(described);
  return grpc::Status::OK;
}

grpc::Status RolloutServiceImpl::LoadPolicy(grpc::ServerContext* context,
                                            const v1::LoadPolicyRequest* request,
                                            v1::LoadPolicyResponse* response) {
  absl::StatusOr<v1::LoadPolicyResponse> loaded = Load(*request);
  if (loaded.ok()) *response = *std::move(loaded);
  return ToGrpcStatus(loaded.status());
}

absl::StatusOr<v1::LoadPolicyResponse> RolloutServiceImpl::Load(
    const v1::LoadPolicyRequest& request) {
  const Stopwatch watch;
  absl::StatusOr<uint64_t> bytes = store_.Load(request);
  if (!bytes.ok()) {
    LogWarning("cannot load the policy of round ", request.policy().version().round(), ": ",
               bytes.status().message());
    return bytes.status();
  }
  v1::LoadPolicyResponse response;
  *response.mutable_policy() = request.policy().version();
  response.set_seconds(watch.Seconds());
  response.set_bytes(*bytes);
  metrics_.Observe("attune_weight_sync_duration_seconds", "Time to load and verify a policy.",
                   response.seconds());
  metrics_.Add("attune_weight_sync_bytes_total", "Weights received from trainers.",
               static_cast<double>(*bytes));
  LogInfo("loaded the policy of round ", response.policy().round(), " (",
          response.policy().digest().substr(0, 12), ") in ", response.seconds(), " s");
  ReportHeld();
  return response;
}

void RolloutServiceImpl::ReportHeld() {
  absl::MutexLock lock(&mu_);
  // What is held now, perhaps by a later call: the last report is then always the last policy.
  const v1::PolicyVersion version = store_.Get()->version;
  metrics_.Set("attune_policy_round", "Round of the policy held.", version.round());
  if (membership_ != nullptr) membership_->SetPolicy(version);
}

grpc::Status RolloutServiceImpl::Sample(grpc::ServerContext* context,
                                        const v1::SampleRequest* request,
                                        v1::SampleResponse* response) {
  const Stopwatch watch;
  absl::StatusOr<v1::SampleResponse> sampled = SampleHeld(*context, *request);
  if (!sampled.ok()) return ToGrpcStatus(sampled.status());
  *response = *std::move(sampled);
  CountSample(*response, watch.Seconds());
  CountSampler(*response);
  CountEngine();
  return grpc::Status::OK;
}

absl::StatusOr<v1::SampleResponse> RolloutServiceImpl::SampleHeld(
    const grpc::ServerContext& context, const v1::SampleRequest& request) {
  {
    absl::MutexLock lock(&mu_);
    if (sample_calls_ == kSampleCallsMax) {
      return OverloadedError(
          absl::StrCat("this worker is busy with ", sample_calls_, " Sample calls"), kRetryAfter);
    }
    ++sample_calls_;
  }
  const absl::Cleanup done = [this] {
    absl::MutexLock lock(&mu_);
    --sample_calls_;
  };
  const std::shared_ptr<const HeldPolicies> held = store_.Get();
  ATTUNE_RETURN_IF_ERROR(CheckHolds(held.get(), request));
  absl::Mutex cancelled_mu;  // gRPC lets only a few threads ask at once
  const auto cancelled = [&] {
    absl::MutexLock lock(&cancelled_mu);
    return context.IsCancelled();
  };
  if (endpoint_ != nullptr) return endpoint_->Sample(*held, request, threads_, cancelled);
  absl::StatusOr<v1::SampleResponse> sampled =
      SampleResponses(*held, request, engine_, threads_, cancelled);
  const double to_first_token = held->first_token->Take();
  if (to_first_token > 0) {
    metrics_.Observe("attune_rollout_new_policy_first_token_seconds",
                     "From being told of a policy to its first token.", to_first_token);
  }
  return sampled;
}

void RolloutServiceImpl::CountEngine() {
  absl::MutexLock lock(&mu_);
  const EngineThread::State state = engine_.state();
  const EngineCounters& now = state.counters;
  const auto add = [&](const char* name, const char* help, double now_value, double counted,
                       const MetricLabels& labels = {}) {
    if (now_value > counted) metrics_.Add(name, help, now_value - counted, labels);
  };
  const char* const tokens = "Tokens run through the model: of prompts, and drawn.";
  add("attune_rollout_engine_tokens_total", tokens, now.prefill_tokens, counted_.prefill_tokens,
      {{"phase", "prefill"}});
  add("attune_rollout_engine_tokens_total", tokens, now.decode_tokens, counted_.decode_tokens,
      {{"phase", "decode"}});
  const char* const seconds = "Time of the engine's steps, shared out by tokens.";
  add("attune_rollout_engine_seconds_total", seconds, now.prefill_seconds, counted_.prefill_seconds,
      {{"phase", "prefill"}});
  add("attune_rollout_engine_seconds_total", seconds, now.decode_seconds, counted_.decode_seconds,
      {{"phase", "decode"}});
  add("attune_rollout_engine_steps_total",
      "Steps of the engine: with the tokens drawn, how full "
      "its batches were.",
      now.steps, counted_.steps);
  add("attune_rollout_preemptions_total", "Responses that gave up their keys and values to others.",
      now.preemptions, counted_.preemptions);
  add("attune_rollout_shared_prompt_tokens_total",
      "Tokens of prompts that samples took from another's prefill.", now.shared_prompt_tokens,
      counted_.shared_prompt_tokens);
  metrics_.Observe("attune_rollout_first_token_seconds",
                   "From a prompt's arrival at the engine to its first token.", now.first_token,
                   counted_.first_token);
  metrics_.Observe("attune_rollout_next_token_seconds", "From a token of a response to the next.",
                   now.next_token, counted_.next_token);
  counted_ = now;
  metrics_.Set("attune_rollout_running_responses", "Responses being decoded.",
               static_cast<double>(state.running));
  metrics_.Set("attune_rollout_waiting_requests", "Requests that wait for the engine.",
               static_cast<double>(state.waiting));
  metrics_.Set("attune_rollout_cache_use_ratio", "Share of the cache of keys and values in use.",
               state.cache_use);
}

void RolloutServiceImpl::CountSampler(const v1::SampleResponse& response) {
  double gaps = 0, with_gap = 0;
  uint32_t staleness = 0;
  bool has_sampler = false;
  for (const v1::Response& one : response.responses()) {
    if (!one.has_sampler()) continue;
    has_sampler = true;
    staleness = std::max(staleness, one.sampler().staleness());
    if (one.sampling_logps().empty()) continue;
    gaps += one.sampler().gap();
    ++with_gap;
  }
  if (!has_sampler) return;
  metrics_.Set("attune_sampler_staleness", "Rounds since the weights of what samples.", staleness);
  if (with_gap == 0) return;
  metrics_.Set("attune_sampler_gap",
               "Nats per token between what samples and the policy, last Sample call.",
               gaps / with_gap);
}

void RolloutServiceImpl::CountSample(const v1::SampleResponse& response, double seconds) {
  double prompt_tokens = 0;
  double completion_tokens = 0;
  for (const v1::Response& one : response.responses()) {
    if (one.sample() == 0) prompt_tokens += one.prompt_token_ids_size();
    completion_tokens += one.token_ids_size();
  }
  const char* const help = "Tokens read (once a prompt) and sampled or scored.";
  metrics_.Add("attune_rollout_tokens_total", help, prompt_tokens, {{"kind", "prompt"}});
  metrics_.Add("attune_rollout_tokens_total", help, completion_tokens, {{"kind", "completion"}});
  metrics_.Add("attune_rollout_responses_total", "Responses sampled or scored.",
               response.responses_size());
  metrics_.Observe("attune_rollout_sample_duration_seconds", "Time to answer a Sample call.",
                   seconds);
}

}  // namespace attune
