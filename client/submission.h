// Job files handed to a coordinator.
#ifndef ATTUNE_CLIENT_SUBMISSION_H_
#define ATTUNE_CLIENT_SUBMISSION_H_

#include <string>

#include "absl/status/statusor.h"
#include "client/job_client.h"
#include "client/job_file.h"

namespace attune {

// Creates the job, or with `validate_only` only asks whether it would be accepted. The error of a
// refused job holds every problem: those of the file and those the coordinator finds.
[[nodiscard]] absl::StatusOr<v1::Job> SubmitJob(JobClient& client, const JobFile& file,
                                                const std::string& request_id, bool validate_only);

}  // namespace attune

#endif  // ATTUNE_CLIENT_SUBMISSION_H_
