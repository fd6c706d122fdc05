#include "rollout/weight_client.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <set>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "attune/v1/weight.grpc.pb.h"
#include "common/digest.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "model/model_config.h"
#include "model/weights.h"
#include "rpc/channel.h"
#include "rpc/grpc_status.h"

namespace attune {
namespace {

static_assert(std::endian::native == std::endian::little, "values are copied as they come");

constexpr absl::Duration kFetchTimeout = absl::Minutes(5);
constexpr size_t kChunkBytesMax = 1 << 20;

// The transfer of one policy, shared by the threads that pull its slices. Each thread writes to
// the slice that it claimed, and to nothing else, so the values need no lock.
class Transfer {
 public:
  Transfer(const v1::PolicyVersion& version, int64_t count, size_t ranks)
      : version_(version),
        count_(count),
        slice_((count + static_cast<int64_t>(ranks) - 1) / static_cast<int64_t>(ranks)),
        values_(count) {}

  // Pulls what the rank at `address` serves.
  void Pull(const std::string& address) {
    grpc::ClientContext context;
    SetDeadline(context, kFetchTimeout);
    v1::FetchWeightsRequest request;
    *request.mutable_policy() = version_;
    const auto stub = v1::WeightService::NewStub(MakeChannel(address));
    const auto reader = stub->FetchWeights(&context, request);
    int64_t next = -1;  // where the next chunk begins; -1 before the first
    absl::Status refusal;
    v1::WeightChunk chunk;
    while (refusal.ok() && !Failed() && reader->Read(&chunk)) refusal = Accept(chunk, next);
    if (!refusal.ok() || Failed()) context.TryCancel();
    const absl::Status ended = FromGrpcStatus(reader->Finish());
    if (refusal.ok()) refusal = ended;
    if (refusal.ok() && next >= 0 && next != SliceEnd(next - 1)) {
      refusal = absl::DataLossError(
          absl::StrCat("the slice ended at element ", next, " instead of ", SliceEnd(next - 1)));
    }
    if (!refusal.ok()) {
      Fail(Annotate(refusal, absl::StrCat("cannot fetch weights from ", address)));
    }
  }

  absl::StatusOr<FetchedWeights> Finish() && {
    absl::MutexLock lock(&mu_);
    ATTUNE_RETURN_IF_ERROR(failure_);
    const int64_t slices = (count_ + slice_ - 1) / slice_;
    if (static_cast<int64_t>(claimed_.size()) != slices) {
      return absl::DataLossError(absl::StrCat("only ", claimed_.size(), " of ", slices,
                                              " slices of the weights were served"));
    }
    return FetchedWeights{std::move(values_), static_cast<uint64_t>(count_) * sizeof(float)};
  }

 private:
  int64_t SliceEnd(int64_t element) const {
    return std::min(count_, (element / slice_ + 1) * slice_);
  }

  absl::Status Accept(const v1::WeightChunk& chunk, int64_t& next) {
    const std::string& values = chunk.values();
    if (Crc32c(values) != chunk.crc32c()) {
      return absl::DataLossError(
          absl::StrCat("the chunk at element ", chunk.offset(), " has CRC-32C ", Crc32c(values),
                       " instead of ", chunk.crc32c()));
    }
    if (chunk.total() != static_cast<uint64_t>(count_)) {
      return absl::DataLossError(absl::StrCat("the sender's model has ", chunk.total(),
                                              " parameters, the model here ", count_));
    }
    if (values.empty() || values.size() > kChunkBytesMax || values.size() % sizeof(float) != 0) {
      return absl::DataLossError(
          absl::StrCat("a chunk has ", values.size(), " bytes, the limit is ", kChunkBytesMax));
    }
    if (next < 0) {
      ATTUNE_RETURN_IF_ERROR(Claim(chunk.offset()));
      next = static_cast<int64_t>(chunk.offset());
    }
    const int64_t size = static_cast<int64_t>(values.size() / sizeof(float));
    if (chunk.offset() != static_cast<uint64_t>(next) || size > SliceEnd(next) - next ||
        (next > 0 && next % slice_ == 0 && !first_of_slice_allowed(next))) {
      return absl::DataLossError(absl::StrCat("a chunk has the elements from ", chunk.offset(),
                                              " to ", chunk.offset() + size, " where ", next,
                                              " to at most ", SliceEnd(next), " should follow"));
    }
    std::memcpy(&values_[next], values.data(), values.size());
    next += size;
    return absl::OkStatus();
  }
};

}  // namespace
}  // namespace attune
