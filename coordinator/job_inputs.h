// What a job refers to: its model, its dataset, and what its oracle decides by.
#ifndef ATTUNE_COORDINATOR_JOB_INPUTS_H_
#define ATTUNE_COORDINATOR_JOB_INPUTS_H_

#include <vector>

#include "attune/v1/job.pb.h"
#include "rpc/grpc_status.h"

namespace attune {

// Everything that is missing, cannot be read or does not compile. `spec` has its defaults filled in
// and absolute paths. Reads the whole dataset; of the other files only whether they are there, and
// of a model that is to answer messages whether it has a chat template.
std::vector<FieldViolation> CheckJobInputs(const v1::JobSpec& spec);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_JOB_INPUTS_H_
