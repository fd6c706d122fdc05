#include "coordinator/job_failure.h"

#include <string>

#include "absl/strings/cord.h"
#include "common/check.h"
#include "common/retry.h"

namespace attune {
namespace {

constexpr char kReasonUrl[] = "attune.v1.FailureReason";

}  // namespace

absl::Status JobFailure(v1::FailureReason reason, const absl::Status& cause) {
  ATTUNE_CHECK(!cause.ok());
  absl::Status status = cause;
  status.SetPayload(kReasonUrl, absl::Cord(v1::FailureReason_Name(reason)));
  return status;
}

v1::FailureReason FailureReasonOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kReasonUrl);
  v1::FailureReason reason = v1::FAILURE_REASON_INTERNAL;
  if (payload.has_value() && v1::FailureReason_Parse(std::string(*payload), &reason)) return reason;
  return IsRetryable(status) ? v1::FAILURE_REASON_WORKERS_LOST : v1::FAILURE_REASON_INTERNAL;
}

}  // namespace attune
