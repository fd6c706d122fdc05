// Jobs as everybody in the coordinator sees them: the service creates, cancels and watches them,
// the runner works them off. Owns the event sequence of every job and wakes whoever waits.
#ifndef ATTUNE_COORDINATOR_JOB_BOOK_H_
#define ATTUNE_COORDINATOR_JOB_BOOK_H_

#include <cstdint>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "attune/v1/job.pb.h"
#include "attune/v1/job_service.pb.h"
#include "common/metrics.h"
#include "storage/store.h"

namespace attune {

bool IsFinished(v1::JobState state);  // SUCCEEDED, FAILED or CANCELLED

// A job taken up by the runner, and the way to stop it.
struct JobLease {
  v1::Job job;
  std::stop_token stop;  // requested by Cancel and by Shutdown
};

// Thread-safe.
class JobBook {
 public:
  // Both must outlive the book. Finds the unfinished jobs of an earlier process.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<JobBook>> Open(Store* store,
                                                                     Metrics* metrics);

  [[nodiscard]] absl::StatusOr<v1::Job> Create(v1::Job job, const std::string& request_id);
  // Asks for the end of a job: a queued one is CANCELLED at once, a running one CANCELLING.
  [[nodiscard]] absl::StatusOr<v1::Job> Cancel(const std::string& name);

  // Quarantined prompts of an unfinished job will be drawn again in its next round; a job that
  // failed because of its oracle is queued again. FAILED_PRECONDITION: there is nothing to retry.
  [[nodiscard]] absl::StatusOr<v1::Job> RetryQuarantined(const std::string& name);

  // Waits for the unfinished job accepted first. Empty after Shutdown.
  std::optional<JobLease> WaitForWork();
  // Writes the job (as it is in `commit.job`), whatever else the commit holds, and one event with
  // `message` and, if there is a round in the commit, its record; all in one batch. A job that was
  // asked to end meanwhile stays CANCELLING until `commit.job` is finished. Job.retry_prompts is
  // the book's: what the job holds of it is not looked at, and prompts that a round drew leave it.
  absl::Status Write(Commit commit, const std::string& message);
  // Shown to watchers; not stored.
  void SetProgress(const v1::Job& job, const v1::Progress& progress);

  struct News {
    std::vector<v1::JobEvent> events;  // stored ones, then at most one with progress
    uint64_t progress_seen = 0;        // pass it to the next call
    bool ended = false;                // the job is finished and every event was given
  };
  // Events after `after_sequence`, and progress newer than `progress_seen`; waits up to `timeout`
  // for any.
  [[nodiscard]] absl::StatusOr<News> WaitForNews(const v1::Job& job, uint64_t after_sequence,
                                                 uint64_t progress_seen, absl::Duration timeout);

  // No more work is given out and the running job is asked to stop; it is taken up again by the
  // next process.
  void Shutdown();
  bool ShuttingDown() const;

 private:
  struct Live {  // an unfinished job
    std::string name;
    std::stop_source stop;
    v1::JobState state = v1::JOB_STATE_QUEUED;
    bool cancelled = false;
    v1::Progress progress;
    uint64_t progress_version = 0;
  };

  JobBook(Store* store, Metrics* metrics) : store_(store), metrics_(metrics) {}
  // Notes the state of a job, which may be finished now, and counts.
  void TrackLocked(const v1::Job& job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status WriteLocked(Commit commit, const std::string& message)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return shutting_down_ || !live_.empty();
  }

  Store* const store_;
  Metrics* const metrics_;
  mutable absl::Mutex mu_;
  absl::CondVar changed_;
  std::map<uint64_t, Live> live_ ABSL_GUARDED_BY(mu_);  // by ordinal
  bool shutting_down_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_JOB_BOOK_H_
