// Streams stored pairs to trainer ranks.
#ifndef ATTUNE_COORDINATOR_PAIR_SERVICE_H_
#define ATTUNE_COORDINATOR_PAIR_SERVICE_H_

#include "absl/status/status.h"
#include "attune/v1/trainer.grpc.pb.h"
#include "storage/store.h"

namespace attune {

class PairServiceImpl final : public v1::PairService::Service {
 public:
  explicit PairServiceImpl(const Store* store) : store_(store) {}

  grpc::Status StreamPairs(grpc::ServerContext* context, const v1::StreamPairsRequest* request,
                           grpc::ServerWriter<v1::TrainingPair>* writer) override;

 private:
  absl::Status Stream(const v1::StreamPairsRequest& request,
                      grpc::ServerWriter<v1::TrainingPair>* writer);

  const Store* const store_;
};

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_PAIR_SERVICE_H_
