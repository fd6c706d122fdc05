// A trainer rank as rollout workers see it, on a real gRPC server; it can be told to misbehave.
#ifndef ATTUNE_TESTS_UNIT_ROLLOUT_FAKE_WEIGHT_SERVER_H_
#define ATTUNE_TESTS_UNIT_ROLLOUT_FAKE_WEIGHT_SERVER_H_

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "attune/v1/weight.grpc.pb.h"
#include "common/check.h"
#include "common/digest.h"
#include "rpc/server.h"

namespace attune {

class FakeWeightServer final : public v1::WeightService::Service {
 public:
  // What it does to each chunk before it sends it; false: the chunk is left out.
  using Tamper = std::function<bool(v1::WeightChunk&)>;

  // Serves slice `rank` of `ranks` of `weights`, whose digest is `digest`.
  FakeWeightServer(std::vector<float> weights, std::string digest, int rank, int ranks,
                   Tamper tamper = nullptr)
      : weights_(std::move(weights)), digest_(std::move(digest)), tamper_(std::move(tamper)) {
    const size_t slice = (weights_.size() + ranks - 1) / ranks;
    begin_ = std::min(weights_.size(), rank * slice);
    end_ = std::min(weights_.size(), begin_ + slice);
    auto server = RpcServer::Start("127.0.0.1:0", {this});
    ATTUNE_CHECK(server.ok());
    server_ = *std::move(server);
  }

  const std::string& address() const { return server_->address(); }

  grpc::Status FetchWeights(grpc::ServerContext*, const v1::FetchWeightsRequest* request,
                            grpc::ServerWriter<v1::WeightChunk>* writer) override {
    if (request->policy().digest() != digest_) {
      return {grpc::StatusCode::NOT_FOUND, "this rank holds another version"};
    }
    constexpr size_t kChunk = 10'000;  // elements; not a divisor of the slices
    for (size_t offset = begin_; offset < end_; offset += kChunk) {
      v1::WeightChunk chunk;
      chunk.set_offset(offset);
      chunk.set_total(weights_.size());
      chunk.set_values(&weights_[offset], std::min(kChunk, end_ - offset) * sizeof(float));
      chunk.set_crc32c(Crc32c(chunk.values()));
      if (tamper_ != nullptr && !tamper_(chunk)) continue;
      if (!writer->Write(chunk)) break;
    }
    return grpc::Status::OK;
  }

 private:
  const std::vector<float> weights_;
  const std::string digest_;
  const Tamper tamper_;
  size_t begin_ = 0;
  size_t end_ = 0;
  std::unique_ptr<RpcServer> server_;  // last: it calls the above
};

}  // namespace attune

#endif  // ATTUNE_TESTS_UNIT_ROLLOUT_FAKE_WEIGHT_SERVER_H_
