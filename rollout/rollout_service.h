// The wire side of a rollout worker: unpacks, delegates, packs, counts.
#ifndef ATTUNE_ROLLOUT_ROLLOUT_SERVICE_H_
#define ATTUNE_ROLLOUT_ROLLOUT_SERVICE_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "attune/v1/rollout.grpc.pb.h"
#include "common/metrics.h"
#include "model/engine_thread.h"
#include "rollout/endpoint_sampler.h"
#include "rollout/policy_store.h"
#include "rpc/membership_agent.h"

namespace attune {

// Thread-safe.
class RolloutServiceImpl final : public v1::RolloutService::Service {
 public:
  // All Sample calls share one engine; each scores on as many threads as the engine has.
  // `endpoint` samples; null: the engine does.
  RolloutServiceImpl(Metrics& metrics, const EngineOptions& engine,
                     std::unique_ptr<EndpointSampler> endpoint = nullptr)
      : metrics_(metrics),
        threads_(engine.threads),
        endpoint_(std::move(endpoint)),
        engine_(engine, /*waiting_max=*/2 * kSampleCallsMax * kSamplePromptsMax) {}

  // Registers `worker` with the coordinator, which is told of each new policy from now on.
  void Join(const std::string& coordinator, const v1::WorkerInfo& worker);
  // Tells the coordinator that no more work should come. Nothing happens without a Join.
  void Leave();

  grpc::Status DescribeModel(grpc::ServerContext* context, const v1::DescribeModelRequest* request,
                             v1::DescribeModelResponse* response) override;
  grpc::Status LoadPolicy(grpc::ServerContext* context, const v1::LoadPolicyRequest* request,
                          v1::LoadPolicyResponse* response) override;
  // RESOURCE_EXHAUSTED while kSampleCallsMax others run; otherwise as SampleResponses or
  // EndpointSampler::Sample.
  grpc::Status Sample(grpc::ServerContext* context, const v1::SampleRequest* request,
                      v1::SampleResponse* response) override;

  static constexpr int kSampleCallsMax = 8;

 private:
  [[nodiscard]] absl::StatusOr<v1::LoadPolicyResponse> Load(const v1::LoadPolicyRequest& request);
  void ReportHeld();
  [[nodiscard]] absl::StatusOr<v1::SampleResponse> SampleHeld(const grpc::ServerContext& context,
                                                              const v1::SampleRequest& request);
  // What the engine has done since the last time.
  void CountEngine();
  // Where something else than the policy samples.
  void CountSampler(const v1::SampleResponse& response);
  void CountSample(const v1::SampleResponse& response, double seconds);

  Metrics& metrics_;
  const int threads_;
  const std::unique_ptr<EndpointSampler> endpoint_;
  EngineThread engine_;
  PolicyStore store_;
  absl::Mutex describe_mu_;  // one model at a time is loaded to be described
  absl::Mutex mu_;
  std::unique_ptr<MembershipAgent> membership_ ABSL_GUARDED_BY(mu_);
  int sample_calls_ ABSL_GUARDED_BY(mu_) = 0;
  EngineCounters counted_ ABSL_GUARDED_BY(mu_);
};

}  // namespace attune

#endif  // ATTUNE_ROLLOUT_ROLLOUT_SERVICE_H_
