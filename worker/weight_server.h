// WeightService: gives this rank's slice of the newest policies to rollout workers.
#ifndef ATTUNE_WORKER_WEIGHT_SERVER_H_
#define ATTUNE_WORKER_WEIGHT_SERVER_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "attune/v1/weight.grpc.pb.h"
#include "common/metrics.h"

namespace attune {

// Thread-safe.
class WeightServer : public v1::WeightService::Service {
 public:
  // `metrics` outlives the server.
  WeightServer(int rank, int ranks, Metrics* metrics)
      : rank_(rank), ranks_(ranks), metrics_(metrics) {}

  // Copies this rank's slice of `weights`, the whole vector. The newest two policies are held:
  // workers may still be fetching the one before.
  void Publish(const v1::PolicyVersion& policy, absl::Span<const float> weights);

  grpc::Status FetchWeights(grpc::ServerContext* context, const v1::FetchWeightsRequest* request,
                            grpc::ServerWriter<v1::WeightChunk>* writer) override;

 private:
  struct Slice {
    v1::PolicyVersion policy;
    uint64_t offset;
    uint64_t total;
    std::vector<float> values;
  };

  std::shared_ptr<const Slice> Find(const v1::PolicyVersion& policy) const;

  const int rank_;
  const int ranks_;
  Metrics* const metrics_;
  mutable absl::Mutex mu_;
  std::deque<std::shared_ptr<const Slice>> slices_ ABSL_GUARDED_BY(mu_);  // oldest first
};

}  // namespace attune

#endif  // ATTUNE_WORKER_WEIGHT_SERVER_H_
