// Workers over gRPC: leases of a few prompts to rollout workers and oracles, one call to every rank
// of the trainer gang.
#ifndef ATTUNE_COORDINATOR_GRPC_WORKERS_H_
#define ATTUNE_COORDINATOR_GRPC_WORKERS_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "coordinator/membership.h"
#include "coordinator/workers.h"
#include "grpcpp/channel.h"

namespace attune {

class GrpcWorkers final : public Workers {
 public:
  // `membership` must outlive it.
  explicit GrpcWorkers(const Membership* membership) : membership_(membership) {}

  // host:port under which trainers reach this coordinator; known once its server listens.
  void SetSelf(const std::string& self);

  [[nodiscard]] absl::StatusOr<v1::DescribeModelResponse> DescribeModel(
      const std::string& model_path, std::stop_token stop) override;
  [[nodiscard]] absl::StatusOr<v1::DescribeResponse> DescribeOracle(const v1::OracleSpec& spec,
                                                                    std::stop_token stop) override;
  [[nodiscard]] absl::StatusOr<std::vector<v1::Response>> Sample(
      const v1::SampleRequest& request, const Policies& policies, std::stop_token stop,
      const ProgressCall& progress) override;
  [[nodiscard]] absl::StatusOr<std::vector<v1::Judgment>> Judge(
      const v1::JudgeRequest& request, std::stop_token stop, const ProgressCall& progress) override;
  [[nodiscard]] absl::StatusOr<v1::TrainRoundResult> Train(v1::TrainRoundRequest request,
                                                           std::stop_token stop,
                                                           const StepCall& step) override;
  absl::Status Publish(const Policies& policies, std::stop_token stop,
                       const ProgressCall& progress) override;
  std::vector<std::string> WeightAddresses() const override;

 private:
  std::shared_ptr<grpc::Channel> ChannelTo(const std::string& address);
  absl::Status LoadPolicy(const v1::WorkerInfo& worker, const Policies& policies,
                          std::stop_token stop);

  const Membership* const membership_;
  absl::Mutex mu_;
  std::string self_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, std::shared_ptr<grpc::Channel>> channels_ ABSL_GUARDED_BY(mu_);
};

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_GRPC_WORKERS_H_
