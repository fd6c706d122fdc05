#include <mpi.h>

#include <algorithm>
#include <climits>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
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

constexpr size_t kPartElements = size_t{1} << 20;  // of sums, which need scratch
constexpr absl::Duration kAnswerTime = absl::Seconds(2);

// False once `until` has passed. MPI_Wait spins on a core, for as long as the slowest rank takes.
// So: some quick looks for what is nearly done, then short sleeps.
absl::StatusOr<bool> DoneBy(absl::Duration until, MPI_Request* request,
                            absl::string_view operation) {
  constexpr int kQuickLooks = 200;
  for (int64_t looks = 0;; ++looks) {
    int done = 0;
    ATTUNE_RETURN_IF_ERROR(FromMpi(MPI_Test(request, &done, MPI_STATUS_IGNORE), operation));
    if (done) return true;
    if (looks < kQuickLooks) continue;
    if (MonotonicTime() > until) return false;
    PauseFor(absl::Microseconds(100));
  }
}

// The number of the operation that each rank has come to, in memory that the others read without
// its help.
class Arrivals {
 public:
  absl::Status Open() {
    ATTUNE_RETURN_IF_ERROR(
        FromMpi(MPI_Win_allocate(sizeof(uint64_t), sizeof(uint64_t), MPI_INFO_NULL, MPI_COMM_WORLD,
                                 &mine_, &window_),
                "window"));
    *mine_ = 0;
    return FromMpi(MPI_Win_lock_all(MPI_MODE_NOCHECK, window_), "lock");
  }
  void Close() {
    MPI_Win_unlock_all(window_);
    MPI_Win_free(&window_);
  }

  void Come(uint64_t operation) {
    *mine_ = operation;
    MPI_Win_sync(window_);
  }

  // Which ranks have not come to it, for people.
  std::string Missing(uint64_t operation, int size) const {
    std::vector<std::string> missing;
    for (int rank = 0; rank < size; ++rank) {
      // Outlives this call where the rank does not answer.
      auto* const theirs = new uint64_t(0);
      MPI_Request request = MPI_REQUEST_NULL;
      MPI_Rget(theirs, 1, MPI_UINT64_T, rank, 0, 1, MPI_UINT64_T, window_, &request);
      const absl::StatusOr<bool> answered =
          DoneBy(MonotonicTime() + kAnswerTime, &request, "question");
      if (!answered.ok() || !*answered) {
        missing.push_back(absl::StrCat("rank ", rank, " does not answer"));
        continue;
      }
      if (*theirs < operation) {
        missing.push_back(
            absl::StrCat("rank ", rank, " has not come to it (it is at ", *theirs, ")"));
      }
      delete theirs;
    }
    return missing.empty() ? "every rank has come to it" : absl::StrJoin(missing, ", ");
  }

 private:
  MPI_Win window_ = MPI_WIN_NULL;
  uint64_t* mine_ = nullptr;
};

class MpiCollective : public Collective {
 public:
  MpiCollective(int rank, int size, absl::Duration timeout, Arrivals arrivals)
      : rank_(rank), size_(size), timeout_(timeout), arrivals_(arrivals) {}

  // Without health some rank is still inside an operation, and finalising would wait for it.
  ~MpiCollective() override {
    if (!healthy_) return;
    arrivals_.Close();
    MPI_Finalize();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  bool healthy() const override { return healthy_; }

  // MPI's own reductions choose their order; adding up gathered values fixes it.
  absl::Status AllReduceSum(absl::Span<double> values) override {
    size_t at = 0;
    do {  // one operation at least, so that no rank runs ahead
      const absl::Span<double> part = values.subspan(at, kPartElements);
      received_.resize(part.size() * size_);
      ATTUNE_RETURN_IF_ERROR(Run("AllReduceSum", part.size(), [&](int count, MPI_Request* request) {
        return MPI_Iallgather(part.data(), count, MPI_DOUBLE, received_.data(), count, MPI_DOUBLE,
                              MPI_COMM_WORLD, request);
      }));
      AddReceived(part);
      at += kPartElements;
    } while (at < values.size());
    return absl::OkStatus();
  }

  absl::Status ReduceScatterSum(absl::Span<double> full) override {
    ATTUNE_CHECK(full.size() % size_ == 0);
    const size_t length = full.size() / size_;
    for (size_t at = 0; at < length; at += kPartElements) {
      const size_t size = std::min(kPartElements, length - at);
      received_.resize(size * size_);
      ATTUNE_RETURN_IF_ERROR(Run("ReduceScatterSum", size, [&](int count, MPI_Request* request) {
        // Of everybody's slices the same part.
        MPI_Aint lower = 0, extent = 0;
        MPI_Datatype part = MPI_DATATYPE_NULL, spaced = MPI_DATATYPE_NULL;
        MPI_Type_get_extent(MPI_DOUBLE, &lower, &extent);
        MPI_Type_contiguous(count, MPI_DOUBLE, &part);
        MPI_Type_create_resized(part, 0, static_cast<MPI_Aint>(length) * extent, &spaced);
        MPI_Type_commit(&spaced);
        const int code = MPI_Ialltoall(full.data() + at, 1, spaced, received_.data(), count,
                                       MPI_DOUBLE, MPI_COMM_WORLD, request);
        MPI_Type_free(&part);
        MPI_Type_free(&spaced);  // goes when the operation is done with it
        return code;
      }));
      AddReceived(full.subspan(rank_ * length + at, size));
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
    arrivals_.Come(++operations_);
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

  absl::Status Wait(absl::string_view operation, MPI_Request* request) {
    ATTUNE_ASSIGN_OR_RETURN(const bool done,
                            DoneBy(MonotonicTime() + timeout_, request, operation));
    if (done) return absl::OkStatus();
    return absl::DeadlineExceededError(
        absl::StrCat("collective operation ", operations_, " (", operation, ") is not done after ",
                     absl::FormatDuration(timeout_), ": ", arrivals_.Missing(operations_, size_),
                     "; restart all ranks"));
  }

  // What came from every rank, one after the other, becomes `sums`, in the order of the ranks.
  void AddReceived(absl::Span<double> sums) const {
    std::fill(sums.begin(), sums.end(), 0.0);
    for (int r = 0; r < size_; ++r) {
      const double* const theirs = received_.data() + r * sums.size();
      for (size_t i = 0; i < sums.size(); ++i) sums[i] += theirs[i];
    }
  }

  const int rank_;
  const int size_;
  const absl::Duration timeout_;
  Arrivals arrivals_;
  bool healthy_ = true;
  uint64_t operations_ = 0;
  std::vector<double> received_;  // scratch of sums
};

}  // namespace

absl::StatusOr<std::unique_ptr<Collective>> MakeMpiCollective(absl::Duration timeout) {
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
  Arrivals arrivals;
  ATTUNE_RETURN_IF_ERROR(arrivals.Open());
  return std::make_unique<MpiCollective>(rank, size, timeout, arrivals);
}

}  // namespace attune
