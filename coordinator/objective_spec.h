#ifndef ATTUNE_COORDINATOR_OBJECTIVE_SPEC_H_
#define ATTUNE_COORDINATOR_OBJECTIVE_SPEC_H_

#include "attune/v1/job.pb.h"
#include "coordinator/spec_checks.h"

namespace attune {

// Problems of spec.objective and of what else has to fit it; `spec` has its defaults filled in.
void CheckObjective(const v1::JobSpec& spec, Violations* violations);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_OBJECTIVE_SPEC_H_
