// Why a job failed, carried by a Status: a reason from the closed list of job.proto.
#ifndef ATTUNE_COORDINATOR_JOB_FAILURE_H_
#define ATTUNE_COORDINATOR_JOB_FAILURE_H_

#include "absl/status/status.h"
#include "attune/v1/job.pb.h"

namespace attune {

// `cause` must not be OK.
absl::Status JobFailure(v1::FailureReason reason, const absl::Status& cause);

// The reason given to JobFailure; else WORKERS_LOST for UNAVAILABLE and its like, else INTERNAL.
v1::FailureReason FailureReasonOf(const absl::Status& status);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_JOB_FAILURE_H_
