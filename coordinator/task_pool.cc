#include "coordinator/task_pool.h"

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/retry.h"

namespace attune {
namespace {

constexpr absl::Duration kLookForWorkersEvery = absl::Milliseconds(200);

class TaskPool {
 public:
  TaskPool(const Membership& membership, const TaskPoolOptions& options, size_t tasks,
           std::stop_token stop, const TaskCall& call)
      : membership_(membership),
        options_(options),
        stop_(std::move(stop)),
        call_(call),
        attempts_(tasks, 0),
        unfinished_(tasks) {
    for (size_t task = 0; task < tasks; ++task) waiting_.push_back(task);
  }

  absl::Status Run() {
    absl::Duration last_seen = MonotonicTime();
    while (true) {
      const std::vector<v1::WorkerInfo> live = membership_.Live(options_.role);
      if (!live.empty()) last_seen = MonotonicTime();
      if (MonotonicTime() - last_seen > options_.no_worker_timeout) {
        Fail(absl::UnavailableError(
            absl::StrCat("no ", v1::WorkerRole_Name(options_.role), " has been alive for ",
                         absl::FormatDuration(options_.no_worker_timeout))));
      }
      if (stop_.stop_requested()) Fail(absl::CancelledError("stopped"));
      absl::MutexLock lock(&mu_);
      if (unfinished_ == 0 || !failure_.ok()) break;
      // One call on every worker before a second on any.
      for (int calls = 0; calls < options_.calls_per_worker; ++calls) {
        for (const v1::WorkerInfo& worker : live) StartCalls(worker, calls);
      }
      mu_.AwaitWithTimeout(absl::Condition(this, &TaskPool::Ended), kLookForWorkersEvery);
    }
    for (std::thread& thread : threads_) thread.join();
    absl::MutexLock lock(&mu_);
    return unfinished_ == 0 ? absl::OkStatus() : failure_;
  }

 private:
  struct Use {
    int threads = 0;
    absl::Duration benched_until = -absl::InfiniteDuration();
  };

  bool Ended() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return unfinished_ == 0 || !failure_.ok();
  }
  bool EndedOrWaiting() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return Ended() || !waiting_.empty();
  }

  // A thread more for a worker that has so many and is not benched; a second one and later ones
  // only as far as there are tasks for them.
  void StartCalls(const v1::WorkerInfo& worker, int threads) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    Use& use = use_[worker.id()];
    if (use.threads != threads || MonotonicTime() < use.benched_until) return;
    if (threads > 0 && serving_ >= unfinished_) return;
    ++use.threads;
    ++serving_;
    threads_.emplace_back([this, worker] { Serve(worker); });
  }

  // Tasks one after another, until none is left or one fails.
  void Serve(const v1::WorkerInfo& worker) {
    absl::Status status;
    while (status.ok()) {
      std::optional<size_t> task = Take();
      if (!task.has_value()) break;
      status = call_(worker, *task);
      Done(worker, *task, status);
    }
    absl::MutexLock lock(&mu_);
    Use& use = use_[worker.id()];
    --use.threads;
    --serving_;
    if (!status.ok()) use.benched_until = MonotonicTime() + options_.bench;
  }

  std::optional<size_t> Take() {
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(this, &TaskPool::EndedOrWaiting));
    if (Ended()) return std::nullopt;
    const size_t task = waiting_.front();
    waiting_.pop_front();
    ++attempts_[task];
    return task;
  }

  void Done(const v1::WorkerInfo& worker, size_t task, const absl::Status& status) {
    absl::MutexLock lock(&mu_);
    if (status.ok()) {
      --unfinished_;
      return;
    }
    if (stop_.stop_requested()) {
      FailLocked(absl::CancelledError("stopped"));
      return;
    }
    LogWarning("task ", task, " failed on ", worker.id(), " (attempt ", attempts_[task],
               "): ", status.ToString(absl::StatusToStringMode::kWithNoExtraData));
    const bool retry = IsRetryable(status) || absl::IsFailedPrecondition(status);
    if (retry && attempts_[task] < options_.attempts_max) {
      waiting_.push_front(task);
    } else if (retry) {
      FailLocked(absl::UnavailableError(absl::StrCat(
          "a task failed ", attempts_[task], " times, the last time with: ", status.message())));
    } else {
      FailLocked(status);
    }
  }

  void Fail(const absl::Status& status) {
    absl::MutexLock lock(&mu_);
    FailLocked(status);
  }
  void FailLocked(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (failure_.ok()) failure_ = status;
  }

  const Membership& membership_;
  const TaskPoolOptions& options_;
  const std::stop_token stop_;
  const TaskCall& call_;

  std::vector<std::thread> threads_;  // touched by Run's thread alone
  absl::Mutex mu_;
  std::deque<size_t> waiting_ ABSL_GUARDED_BY(mu_);
  std::vector<uint32_t> attempts_ ABSL_GUARDED_BY(mu_);
  size_t unfinished_ ABSL_GUARDED_BY(mu_);
  absl::Status failure_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, Use> use_ ABSL_GUARDED_BY(mu_);  // by worker id
  size_t serving_ ABSL_GUARDED_BY(mu_) = 0;              // threads
};

}  // namespace

absl::Status RunTasks(const Membership& membership, const TaskPoolOptions& options, size_t tasks,
                      std::stop_token stop, const TaskCall& call) {
  return TaskPool(membership, options, tasks, std::move(stop), call).Run();
}

}  // namespace attune
