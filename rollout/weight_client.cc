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
#include "absl/time/time.h"
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

// A rank's part of the vector, in elements: what was received ends at `next`.
struct Slice {
  int64_t next = 0;
  int64_t end = 0;
};

// The transfer of one policy, shared by the threads that pull its slices. Each thread writes to
// the slice that it claimed and to nothing else, so the values need no lock.
class Transfer {
 public:
  Transfer(const v1::PolicyVersion& version, int64_t count, size_t ranks)
      : version_(version),
        count_(count),
        slice_size_((count + static_cast<int64_t>(ranks) - 1) / static_cast<int64_t>(ranks)),
        values_(count) {}

  // Pulls what the rank at `address` serves.
  void Pull(const std::string& address) {
    const absl::Status status = PullSlice(address);
    if (status.ok()) return;
    absl::MutexLock lock(&mu_);
    if (!failure_.ok()) return;
    failure_ = Annotate(
        status, absl::StrCat("cannot fetch the weights ", version_.digest(), " from ", address));
  }

  // After all threads have ended.
  absl::StatusOr<FetchedWeights> Finish() {
    absl::MutexLock lock(&mu_);
    ATTUNE_RETURN_IF_ERROR(failure_);
    const int64_t slices = (count_ + slice_size_ - 1) / slice_size_;
    if (static_cast<int64_t>(claimed_.size()) != slices) {
      return absl::DataLossError(absl::StrCat("the trainer ranks served ", claimed_.size(), " of ",
                                              slices, " slices of the weights ",
                                              version_.digest()));
    }
    return FetchedWeights{std::move(values_), static_cast<uint64_t>(count_) * sizeof(float)};
  }

 private:
  absl::Status PullSlice(const std::string& address) {
    grpc::ClientContext context;
    SetDeadline(context, kFetchTimeout);
    v1::FetchWeightsRequest request;
    *request.mutable_policy() = version_;
    const auto stub = v1::WeightService::NewStub(MakeChannel(address));
    const auto reader = stub->FetchWeights(&context, request);
    Slice slice;
    absl::Status refusal;
    v1::WeightChunk chunk;
    while (refusal.ok() && reader->Read(&chunk)) {
      refusal = Failed() ? absl::CancelledError("another rank failed") : Accept(chunk, slice);
    }
    if (!refusal.ok()) context.TryCancel();
    const absl::Status ended = FromGrpcStatus(reader->Finish());
    ATTUNE_RETURN_IF_ERROR(refusal);
    ATTUNE_RETURN_IF_ERROR(ended);
    if (slice.next == slice.end) return absl::OkStatus();
    return absl::DataLossError(
        absl::StrCat("the slice ended at element ", slice.next, " instead of ", slice.end));
  }

  absl::Status Accept(const v1::WeightChunk& chunk, Slice& slice) {
    const std::string& values = chunk.values();
    const uint32_t crc = Crc32c(values);
    if (crc != chunk.crc32c()) {
      return absl::DataLossError(absl::StrCat("the chunk at element ", chunk.offset(),
                                              " has CRC-32C ", crc, " instead of ",
                                              chunk.crc32c()));
    }
    if (chunk.total() != static_cast<uint64_t>(count_)) {
      return absl::DataLossError(absl::StrCat("the rank's model has ", chunk.total(),
                                              " parameters, the model here ", count_));
    }
    if (values.empty() || values.size() > kChunkBytesMax || values.size() % sizeof(float) != 0) {
      return absl::DataLossError(absl::StrCat("a chunk has ", values.size(),
                                              " bytes, not 4 times 1 to ", kChunkBytesMax / 4));
    }
    if (slice.end == 0) ATTUNE_RETURN_IF_ERROR(Claim(chunk.offset(), slice));
    const uint64_t size = values.size() / sizeof(float);
    if (chunk.offset() != static_cast<uint64_t>(slice.next) ||
        size > static_cast<uint64_t>(slice.end - slice.next)) {
      return absl::DataLossError(absl::StrCat("a chunk holds ", size, " elements from ",
                                              chunk.offset(), " where those from ", slice.next,
                                              " to ", slice.end, " are still to come"));
    }
    std::memcpy(&values_[slice.next], values.data(), values.size());
    slice.next += static_cast<int64_t>(size);
    return absl::OkStatus();
  }

  // The slice that begins at `offset`, for the calling thread alone.
  absl::Status Claim(uint64_t offset, Slice& slice) {
    absl::MutexLock lock(&mu_);
    if (offset >= static_cast<uint64_t>(count_) ||
        offset % static_cast<uint64_t>(slice_size_) != 0 || !claimed_.insert(offset).second) {
      return absl::DataLossError(absl::StrCat("a slice begins at element ", offset,
                                              "; expected each multiple of ", slice_size_,
                                              " below ", count_, " once"));
    }
    slice.next = static_cast<int64_t>(offset);
    slice.end = std::min(slice.next + slice_size_, count_);
    return absl::OkStatus();
  }

  bool Failed() {
    absl::MutexLock lock(&mu_);
    return !failure_.ok();
  }

  const v1::PolicyVersion version_;
  const int64_t count_;       // elements of the vector
  const int64_t slice_size_;  // elements of every slice but the last
  std::vector<float> values_;
  absl::Mutex mu_;
  std::set<uint64_t> claimed_ ABSL_GUARDED_BY(mu_);  // first elements of the slices
  absl::Status failure_ ABSL_GUARDED_BY(mu_);        // the first one
};

absl::Status CheckDigest(const v1::PolicyVersion& version, const std::string& digest) {
  if (digest == version.digest()) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("the weights of round ", version.round(),
                                          " arrived with the digest ", digest, " instead of ",
                                          version.digest()));
}

absl::StatusOr<LoadedPolicy> LoadFromDirectory(const v1::PolicySource& source,
                                               TensorType precision) {
  const bool initial = source.version().round() == 0;
  const std::string& directory =
      source.checkpoint_path().empty() && initial ? source.model_path() : source.checkpoint_path();
  if (directory.empty()) {
    return absl::NotFoundError(absl::StrCat("there is no directory with the weights of round ",
                                            source.version().round(), "; give checkpoint_path"));
  }
  ATTUNE_ASSIGN_OR_RETURN(ModelConfig config, LoadModelConfig(directory));
  ATTUNE_ASSIGN_OR_RETURN(const WeightFiles files, WeightFiles::Open(directory, config));
  ATTUNE_RETURN_IF_ERROR(CheckDigest(source.version(), WeightsDigest(WeightLayout(config), files)));
  // fp32 values that are stored in less are held in less.
  if (precision == TensorType::kF32) return LoadedPolicy{Policy::Read(std::move(config), files), 0};
  return LoadedPolicy{Policy::Read(std::move(config), files, precision), 0};
}

// Whether the same weights may still be had from a directory: the ranks are not there, as opposed
// to there and wrong.
bool IsAway(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsNotFound(status) ||
         absl::IsDeadlineExceeded(status);
}

}  // namespace

absl::StatusOr<FetchedWeights> FetchWeights(const v1::PolicyVersion& version,
                                            const std::vector<std::string>& addresses,
                                            int64_t count) {
  Transfer transfer(version, count, addresses.size());
  std::vector<std::thread> threads;
  for (const std::string& address : addresses) {
    threads.emplace_back([&transfer, &address] { transfer.Pull(address); });
  }
  for (std::thread& thread : threads) thread.join();
  return transfer.Finish();
}

TensorType TensorTypeOf(v1::Precision precision) {
  return precision == v1::PRECISION_BF16 ? TensorType::kBf16 : TensorType::kF32;
}

absl::StatusOr<LoadedPolicy> LoadPolicy(const v1::PolicySource& source, TensorType precision) {
  if (source.weight_addresses().empty()) return LoadFromDirectory(source, precision);
  ATTUNE_ASSIGN_OR_RETURN(ModelConfig config, LoadModelConfig(source.model_path()));
  const std::vector<TensorSpec> layout = WeightLayout(config);
  const absl::StatusOr<FetchedWeights> weights = FetchWeights(
      source.version(), {source.weight_addresses().begin(), source.weight_addresses().end()},
      WeightCount(layout));
  if (weights.ok()) {
    ATTUNE_RETURN_IF_ERROR(CheckDigest(source.version(), WeightsDigest(layout, weights->values)));
    ATTUNE_ASSIGN_OR_RETURN(std::shared_ptr<const Policy> policy,
                            Policy::Create(std::move(config), weights->values, precision));
    return LoadedPolicy{std::move(policy), weights->bytes};
  }
  if (!IsAway(weights.status())) return weights.status();
  LogWarning(weights.status().message(), "; trying the directory");
  absl::StatusOr<LoadedPolicy> fallback = LoadFromDirectory(source, precision);
  if (fallback.ok()) return fallback;
  return Annotate(fallback.status(), weights.status().message());
}

}  // namespace attune
