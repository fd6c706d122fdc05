// TrainerService of one rank: loads the input policy, trains one round with the other ranks, saves
// the checkpoint (rank 0) and hands the new policy to the weight server.
#ifndef ATTUNE_WORKER_TRAINER_SERVICE_H_
#define ATTUNE_WORKER_TRAINER_SERVICE_H_

#include <atomic>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "attune/v1/trainer.grpc.pb.h"
#include "comm/collective.h"
#include "common/metrics.h"
#include "worker/attempt_gate.h"
#include "worker/weight_server.h"

namespace attune {

// Collective operations happen inside TrainRound only, on one thread at a time. Thread-safe.
class TrainerServiceImpl : public v1::TrainerService::Service {
 public:
  // All outlive the service. `threads` of computation for this rank.
  TrainerServiceImpl(Collective* ranks, WeightServer* weights, Metrics* metrics, int threads)
      : ranks_(ranks), weights_(weights), metrics_(metrics), threads_(threads) {}

  grpc::Status TrainRound(grpc::ServerContext* context, const v1::TrainRoundRequest* request,
                          grpc::ServerWriter<v1::TrainRoundEvent>* writer) override;

  // False once a collective operation has failed. The gang must then be started again.
  bool healthy() const { return healthy_; }

 private:
  using Stop = std::function<bool()>;
  using Emit = std::function<void(const v1::StepMetrics&)>;

  [[nodiscard]] absl::StatusOr<v1::TrainRoundResult> Train(const v1::TrainRoundRequest& request,
                                                           const Stop& stop, const Emit& emit);
  // Returns when all ranks work on the same attempt.
  absl::Status Meet(const v1::TrainRoundRequest& request, const Stop& stop);
  void Count(const v1::StepMetrics& step, uint32_t pairs, double tokens, double seconds);

  Collective* const ranks_;
  WeightServer* const weights_;
  Metrics* const metrics_;
  const int threads_;
  AttemptGate gate_;
  std::atomic<bool> healthy_ = true;
};

}  // namespace attune

#endif  // ATTUNE_WORKER_TRAINER_SERVICE_H_
