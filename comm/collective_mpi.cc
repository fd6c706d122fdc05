#include <mpi.h>

#include <algorithm>
#include <climits>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "comm/collective.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/status_macros.h"

namespace attune {
namespace {

absl::Status FromMpi(int code, absl::string_view operation) {
  if (code == MPI_SUCCESS) return absl::OkStatus();
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(code, text, &length);
  return absl::InternalError(absl::StrCat("MPI ", operation, ": ", text));
}

class MpiCollective : public Collective {
 public:
  MpiCollective(int rank, int size) : rank_(rank), size_(size) {}

  // Without health some rank is still inside an operation, and finalising would wait for it.
  ~MpiCollective() override {
    if (healthy_) MPI_Finalize();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  bool healthy() const override { return healthy_; }

  // MPI's own reductions choose their order; adding up gathered values fixes it.
  absl::Status AllReduceSum(absl::Span<double> values) override {
    std::vector<double> all(values.size() * size_);
    ATTUNE_RETURN_IF_ERROR(Run("AllReduceSum", values.size(), [&](int count, MPI_Request* request) {
      return MPI_Iallgather(values.data(), count, MPI_DOUBLE, all.data(), count, MPI_DOUBLE,
                            MPI_COMM_WORLD, request);
    }));
    std::fill(values.begin(), values.end(), 0.0);
    for (int r = 0; r < size_; ++r) {
      for (size_t i = 0; i < values.size(); ++i) values[i] += all[r * values.size() + i];
    }
    return absl::OkStatus();
  }

  absl::Status ReduceScatterSum(absl::Span<const double> full,
                                absl::Span<double> slice) override {
    ATTUNE_CHECK(full.size() == slice.size() * size_);
    received_.resize(full.size());
    ATTUNE_RETURN_IF_ERROR(
        Run("ReduceScatterSum", slice.size(), [&](int count, MPI_Request* request) {
          return MPI_Ialltoall(full.data(), count, MPI_DOUBLE, received_.data(), count, MPI_DOUBLE,
                               MPI_COMM_WORLD, request);
        }));
    std::fill(slice.begin(), slice.end(), 0.0);
    for (int r = 0; r < size_; ++r) {
      const double* theirs = received_.data() + r * slice.size();
      for (size_t i = 0; i < slice.size(); ++i) slice[i] += theirs[i];
    }
    return absl::OkStatus();
  }

  absl::Status AllGather(absl::Span<const float> slice, absl::Span<float> full) override {
    ATTUNE_CHECK(full.size() == slice.size() * size_);
    const bool in_place = slice.data() == full.data() + rank_ * slice.size();
    return Run("AllGather", slice.size(), [&](int count, MPI_Request* request) {
      return MPI_Iallgather(in_place ? MPI_IN_PLACE : slice.data(), count, MPI_FLOAT, full.data(),
                            count, MPI_FLOAT, MPI_COMM_WORLD, request);
    });
  }

  absl::Status Barrier() override {
    return Run("Barrier", 0, [](int, MPI_Request* request) {
      return MPI_Ibarrier(MPI_COMM_WORLD, request);
    });
  }

 private:
  // Starts operation number operations_ and waits for it.
  template <typename Start>
  absl::Status Run(absl::string_view operation, size_t count, Start start) {
    ++operations_;
    if (!healthy_) {
      return absl::FailedPreconditionError(
          absl::StrCat("rank ", rank_, ": no collective operation after one that failed"));
    }
    if (count > INT_MAX) {
      return absl::InvalidArgumentError(absl::StrCat(
          operation, " of ", count, " elements per rank; the limit of MPI is ", INT_MAX));
    }
    MPI_Request request = MPI_REQUEST_NULL;
    absl::Status status = FromMpi(start(static_cast<int>(count), &request), operation);
    if (status.ok()) status = Wait(operation, &request);
    healthy_ = status.ok();
    return Annotate(status, absl::StrCat("rank ", rank_, " of ", size_));
  }

  // MPI_Wait spins on a core, for as long as the slowest rank takes. So: some quick looks for an
  // operation that is nearly done, then short sleeps.
  absl::Status Wait(absl::string_view operation, MPI_Request* request) {
    constexpr int kQuickLooks = 200;
    const absl::Duration deadline = MonotonicTime() + kCollectiveTimeout;
    for (int64_t looks = 0;; ++looks) {
      int done = 0;
      ATTUNE_RETURN_IF_ERROR(FromMpi(MPI_Test(request, &done, MPI_STATUS_IGNORE), operation));
      if (done) return absl::OkStatus();
      if (looks < kQuickLooks) continue;
      if (MonotonicTime() > deadline) {
        return absl::DeadlineExceededError(absl::StrCat(
            "collective operation ", operations_, " (", operation, ") is not done after ",
            absl::FormatDuration(kCollectiveTimeout), ": a rank is gone or stuck; restart all"));
      }
      PauseFor(absl::Microseconds(100));
    }
  }

  const int rank_;
  const int size_;
  bool healthy_ = true;
  uint64_t operations_ = 0;
  std::vector<double> received_;  // scratch of ReduceScatterSum
};

}  // namespace

absl::StatusOr<std::unique_ptr<Collective>> MakeMpiCollective() {
  int provided = 0;
  ATTUNE_RETURN_IF_ERROR(
      FromMpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided), "initialisation"));
  if (provided != MPI_THREAD_MULTIPLE) {
    return absl::FailedPreconditionError(
        absl::StrCat("this MPI library grants thread level ", provided, ", MPI_THREAD_MULTIPLE is ",
                     "needed"));
  }
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  int rank = 0;
  int size = 1;
  ATTUNE_RETURN_IF_ERROR(FromMpi(MPI_Comm_rank(MPI_COMM_WORLD, &rank), "rank"));
  ATTUNE_RETURN_IF_ERROR(FromMpi(MPI_Comm_size(MPI_COMM_WORLD, &size), "size"));
  return std::make_unique<MpiCollective>(rank, size);
}

}  // namespace attune
