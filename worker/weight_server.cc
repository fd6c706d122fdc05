#include "worker/weight_server.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "rpc/grpc_status.h"
#include "worker/sharded_optimizer.h"

namespace attune {
namespace {

constexpr size_t kVersionsMax = 2;
constexpr size_t kChunkElements = (1 << 20) / sizeof(float);

}  // namespace

void WeightServer::Publish(const v1::PolicyVersion& policy, absl::Span<const float> weights) {
  const size_t size = SliceSize(static_cast<int64_t>(weights.size()), ranks_);
  const size_t begin = std::min(weights.size(), rank_ * size);
  const absl::Span<const float> mine = weights.subspan(begin, size);  // cut at the end
  auto slice = std::make_shared<const Slice>(
      Slice{policy, begin, weights.size(), {mine.begin(), mine.end()}});
  absl::MutexLock lock(&mu_);
  slices_.push_back(std::move(slice));
  if (slices_.size() > kVersionsMax) slices_.pop_front();
}

std::shared_ptr<const WeightServer::Slice> WeightServer::Find(
    const v1::PolicyVersion& policy) const {
  absl::MutexLock lock(&mu_);
  for (const auto& slice : slices_) {
    if (slice->policy.digest() == policy.digest()) return slice;
  }
  return nullptr;
}

grpc::Status WeightServer::FetchWeights(grpc::ServerContext*,
                                        const v1::FetchWeightsRequest* request,
                                        grpc::ServerWriter<v1::WeightChunk>* writer) {
  const std::shared_ptr<const Slice> slice = Find(request->policy());
  if (slice == nullptr) {
    return ToGrpcStatus(absl::NotFoundError(
        absl::StrCat("trainer rank ", rank_, " does not hold the policy of round ",
                     request->policy().round(), " with digest ", request->policy().digest())));
  }
  for (size_t first = 0; first < slice->values.size(); first += kChunkElements) {
    const size_t count = std::min(kChunkElements, slice->values.size() - first);
    v1::WeightChunk chunk;
    chunk.set_offset(slice->offset + first);
    chunk.set_total(slice->total);
    chunk.mutable_values()->assign(reinterpret_cast<const char*>(slice->values.data() + first),
                                   count * sizeof(float));
    chunk.set_crc32c(Crc32c(chunk.values()));
    if (!writer->Write(chunk)) return grpc::Status(grpc::StatusCode::CANCELLED, "the caller left");
    metrics_->Add("attune_weight_sync_bytes_total", "Weight bytes sent to rollout workers.",
                  static_cast<double>(chunk.values().size()));
  }
  return grpc::Status::OK;
}

}  // namespace attune
