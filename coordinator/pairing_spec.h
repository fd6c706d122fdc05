#ifndef ATTUNE_COORDINATOR_PAIRING_SPEC_H_
#define ATTUNE_COORDINATOR_PAIRING_SPEC_H_

#include "attune/v1/job.pb.h"
#include "spec/spec_checks.h"

namespace attune {

// Problems of spec.pairing and of what else has to fit it; `spec` has its defaults filled in.
void CheckPairing(const v1::JobSpec& spec, Violations* violations);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_PAIRING_SPEC_H_
