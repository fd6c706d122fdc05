// A coordinator that knows nothing but pairs.
#ifndef ATTUNE_TESTS_UNIT_WORKER_FAKE_PAIR_SERVICE_H_
#define ATTUNE_TESTS_UNIT_WORKER_FAKE_PAIR_SERVICE_H_

#include <algorithm>
#include <atomic>
#include <utility>
#include <vector>

#include "attune/v1/trainer.grpc.pb.h"

namespace attune {

class FakePairService : public v1::PairService::Service {
 public:
  explicit FakePairService(std::vector<v1::TrainingPair> pairs) : pairs_(std::move(pairs)) {}

  // The next `calls` calls fail with `status` after their first pair.
  void FailNext(int calls, grpc::StatusCode status) {
    failure_ = status;
    failures_left_ = calls;
  }
  int calls() const { return calls_; }

  grpc::Status StreamPairs(grpc::ServerContext*, const v1::StreamPairsRequest* request,
                           grpc::ServerWriter<v1::TrainingPair>* writer) override {
    ++calls_;
    const bool fails = failures_left_-- > 0;
    const uint32_t batch = request->batch_size();
    for (uint32_t first = 0; first < pairs_.size(); first += batch) {
      const uint32_t size = std::min<uint32_t>(batch, pairs_.size() - first);
      const uint32_t run = (size + request->world_size() - 1) / request->world_size();
      const uint32_t end = std::min(size, (request->rank() + 1) * run);
      for (uint32_t i = request->rank() * run; i < end; ++i) {
        v1::TrainingPair pair = pairs_[first + i];
        pair.set_update(first / batch);
        pair.set_position(i);
        writer->Write(pair);
        if (fails) return grpc::Status(failure_, "as the test asked");
      }
    }
    return grpc::Status::OK;
  }

 private:
  const std::vector<v1::TrainingPair> pairs_;
  std::atomic<int> calls_ = 0;
  std::atomic<int> failures_left_ = 0;
  std::atomic<grpc::StatusCode> failure_ = grpc::StatusCode::UNAVAILABLE;
};

}  // namespace attune

#endif  // ATTUNE_TESTS_UNIT_WORKER_FAKE_PAIR_SERVICE_H_
