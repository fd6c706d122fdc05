#include "client/submission.h"

#include "rpc/grpc_status.h"
#include "spec/yaml_message.h"

namespace attune {

absl::StatusOr<v1::Job> SubmitJob(JobClient& client, const JobFile& file,
                                  const std::string& request_id, bool validate_only) {
  v1::CreateJobRequest request;
  *request.mutable_spec() = file.spec;
  request.set_request_id(request_id);
  // A file with problems is never run, but its other values are looked at.
  request.set_validate_only(validate_only || !file.violations.empty());
  absl::StatusOr<v1::Job> job = client.CreateJob(request);
  if (file.violations.empty()) return job;
  return BadRequestError(MergeViolations(file.violations, FieldViolations(job.status())));
}

}  // namespace attune
