// Gives tasks to whichever workers are alive, a few at a time each, until every task is done.
#ifndef ATTUNE_COORDINATOR_TASK_POOL_H_
#define ATTUNE_COORDINATOR_TASK_POOL_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stop_token>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "attune/v1/membership.pb.h"
#include "coordinator/membership.h"

namespace attune {

struct TaskPoolOptions {
  v1::WorkerRole role;
  int calls_per_worker = 1;                              // at a time
  uint32_t attempts_max = 10;                            // of one task
  absl::Duration no_worker_timeout = absl::Minutes(10);  // patience without any live worker
  absl::Duration bench = absl::Seconds(1);               // rest of a worker that failed a task
};

// Does task `index` on `worker`; called from several threads, at most one call per task and
// calls_per_worker per worker at a time. A retryable error (IsRetryable) or FAILED_PRECONDITION
// gives the task to the next free worker; any other ends everything.
using TaskCall = std::function<absl::Status(const v1::WorkerInfo& worker, size_t index)>;

// Returns when all tasks are done, or with the first final error once no call is running:
// UNAVAILABLE when attempts or patience are used up (the last error is quoted), CANCELLED when
// `stop` was requested. Workers that join meanwhile get work.
absl::Status RunTasks(const Membership& membership, const TaskPoolOptions& options, size_t tasks,
                      std::stop_token stop, const TaskCall& call);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_TASK_POOL_H_
