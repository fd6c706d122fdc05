// What a job asks of rollout workers, oracles and trainers. The one seam between the runner and
// the outside: gRPC in the service (grpc_workers.h), a fake in tests.
#ifndef ATTUNE_COORDINATOR_WORKERS_H_
#define ATTUNE_COORDINATOR_WORKERS_H_

#include <cstdint>
#include <functional>
#include <stop_token>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "attune/v1/job.pb.h"
#include "attune/v1/oracle.pb.h"
#include "attune/v1/rollout.pb.h"
#include "attune/v1/trainer.pb.h"
#include "attune/v1/types.pb.h"

namespace attune {

// How far a call is; called from any thread, often.
using ProgressCall = std::function<void(uint64_t done, uint64_t total)>;
using StepCall = std::function<void(const v1::StepMetrics& step)>;

// Where the policies of a request are to be had, and how they compute.
struct Policies {
  v1::PolicySource current;
  v1::PolicySource initial;
  v1::Precision precision;
};

// Every method waits for workers, retries within a budget and ends with CANCELLED soon after
// `stop` is requested. UNAVAILABLE: budget used up. Results are complete and in the order asked;
// they do not depend on which workers answered. Thread-safe.
class Workers {
 public:
  virtual ~Workers() = default;

  // What is at `model_path`; INVALID_ARGUMENT with a sentence when it cannot be used.
  [[nodiscard]] virtual absl::StatusOr<v1::DescribeModelResponse> DescribeModel(
      const std::string& model_path, std::stop_token stop) = 0;
  [[nodiscard]] virtual absl::StatusOr<v1::DescribeResponse> DescribeOracle(
      const v1::OracleSpec& spec, std::stop_token stop) = 0;

  // `request` holds all prompts; it is cut into tasks here.
  [[nodiscard]] virtual absl::StatusOr<std::vector<v1::Response>> Sample(
      const v1::SampleRequest& request, const Policies& policies, std::stop_token stop,
      const ProgressCall& progress) = 0;
  [[nodiscard]] virtual absl::StatusOr<std::vector<v1::Judgment>> Judge(
      const v1::JudgeRequest& request, std::stop_token stop, const ProgressCall& progress) = 0;
  // The gang's addresses and the attempt are filled in here.
  [[nodiscard]] virtual absl::StatusOr<v1::TrainRoundResult> Train(
      v1::TrainRoundRequest request, std::stop_token stop, const StepCall& step) = 0;
  // Every live rollout worker is asked to load and attest the policy; OK once at least one has. One
  // that failed, or joins later, loads it before it samples.
  virtual absl::Status Publish(const Policies& policies, std::stop_token stop,
                               const ProgressCall& progress) = 0;

  // Trainer ranks that may serve weights now.
  virtual std::vector<std::string> WeightAddresses() const = 0;
};

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_WORKERS_H_
