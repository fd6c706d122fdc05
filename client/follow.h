// A job followed to its end in front of people or programs.
#ifndef ATTUNE_CLIENT_FOLLOW_H_
#define ATTUNE_CLIENT_FOLLOW_H_

#include <string>

#include "absl/status/statusor.h"
#include "client/job_client.h"
#include "client/terminal.h"

namespace attune {

// Shows every event, from the first of the job on, as lines on `terminal`. Returns the job as it
// ended.
[[nodiscard]] absl::StatusOr<v1::Job> FollowJob(JobClient& client, const v1::Job& job,
                                                Terminal& terminal);
// The same with every event as one line of JSON on standard output.
[[nodiscard]] absl::StatusOr<v1::Job> FollowJobAsJson(JobClient& client, const v1::Job& job);

// "jobs/x SUCCEEDED", "jobs/x FAILED (NO_PAIRS): no response differs from ...".
std::string DescribeEnd(const v1::Job& job);

}  // namespace attune

#endif  // ATTUNE_CLIENT_FOLLOW_H_
