#include <algorithm>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "comm/collective.h"
#include "common/check.h"

namespace attune {
namespace {

// What the ranks of one RunLocalRanks share. An operation is two meetings: every rank shows its
// buffer, all meet, each reads what it needs from the others, all meet again before the buffers
// change.
class MeetingPoint {
 public:
  explicit MeetingPoint(int ranks) : ranks_(ranks), buffers_(ranks) {}

  int ranks() const { return ranks_; }

  // Set before a meeting by its rank, read by the others after it.
  void Show(int rank, const void* buffer) { buffers_[rank] = buffer; }
  const void* Shown(int rank) const { return buffers_[rank]; }

  // Waits until every rank is here.
  absl::Status Meet() {
    absl::MutexLock lock(&mu_);
    const uint64_t meeting = meetings_;
    if (++waiting_ == ranks_) {
      waiting_ = 0;
      ++meetings_;
      return absl::OkStatus();
    }
    const auto over = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return meetings_ != meeting || departed_;
    };
    mu_.Await(absl::Condition(&over));
    if (meetings_ != meeting) return absl::OkStatus();
    return absl::AbortedError("another local rank left while this one waited for it");
  }

  // This rank takes part in nothing any more.
  void Depart() {
    absl::MutexLock lock(&mu_);
    departed_ = true;
  }

 private:
  const int ranks_;
  std::vector<const void*> buffers_;
  absl::Mutex mu_;
  int waiting_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t meetings_ ABSL_GUARDED_BY(mu_) = 0;
  bool departed_ ABSL_GUARDED_BY(mu_) = false;
};

class LocalCollective : public Collective {
 public:
  LocalCollective(int rank, MeetingPoint* point) : rank_(rank), point_(point) {}

  int rank() const override { return rank_; }
  int size() const override { return point_->ranks(); }
  bool healthy() const override { return healthy_; }

  absl::Status AllReduceSum(absl::Span<double> values) override {
    std::vector<double> sums(values.size(), 0.0);
    absl::Status status = Exchange(values.data(), [&] {
      for (int r = 0; r < size(); ++r) {
        const double* theirs = static_cast<const double*>(point_->Shown(r));
        for (size_t i = 0; i < sums.size(); ++i) sums[i] += theirs[i];
      }
    });
    std::copy(sums.begin(), sums.end(), values.begin());
    return status;
  }

  absl::Status ReduceScatterSum(absl::Span<double> full) override {
    ATTUNE_CHECK(full.size() % size() == 0);
    const size_t length = full.size() / size();
    // Nobody else reads the slice that this rank writes.
    return Exchange(full.data(), [&] {
      if (size() == 1) return;
      for (size_t i = rank_ * length; i < (rank_ + 1) * length; ++i) {
        double sum = 0;
        for (int r = 0; r < size(); ++r) sum += static_cast<const double*>(point_->Shown(r))[i];
        full[i] = sum;
      }
    });
  }

  absl::Status AllGather(absl::Span<const float> slice, absl::Span<float> full) override {
    ATTUNE_CHECK(full.size() == slice.size() * size());
    return Exchange(slice.data(), [&] {
      for (int r = 0; r < size(); ++r) {
        const float* theirs = static_cast<const float*>(point_->Shown(r));
        float* place = full.data() + r * slice.size();
        if (theirs != place) std::copy(theirs, theirs + slice.size(), place);
      }
    });
  }

  absl::Status Barrier() override {
    return Exchange(nullptr, [] {});
  }

 private:
  template <typename Read>
  absl::Status Exchange(const void* mine, Read read) {
    point_->Show(rank_, mine);
    absl::Status status = point_->Meet();
    if (status.ok()) {
      read();
      status = point_->Meet();
    }
    healthy_ = healthy_ && status.ok();
    return status;
  }

  const int rank_;
  MeetingPoint* const point_;
  bool healthy_ = true;
};

}  // namespace

absl::Status RunLocalRanks(int ranks, const std::function<absl::Status(Collective&)>& body) {
  ATTUNE_CHECK(ranks > 0);
  MeetingPoint point(ranks);
  std::vector<absl::Status> statuses(ranks);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      LocalCollective collective(rank, &point);
      statuses[rank] = body(collective);
      point.Depart();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const absl::Status& status : statuses) {
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace attune
