// What a job's objective means: defaults of the options its losses have, and every combination that
// would not work.
#ifndef ATTUNE_COORDINATOR_OBJECTIVE_SPEC_H_
#define ATTUNE_COORDINATOR_OBJECTIVE_SPEC_H_

#include "attune/v1/job.pb.h"
#include "spec/spec_checks.h"
#include "common/loss_needs.h"

namespace attune {

// What the losses of an objective need, taken together. Numbers that LossType does not have need
// nothing.
LossNeeds NeedsOf(const v1::ObjectiveSpec& objective);

// Fills in the options that one of the losses has and that are left out, and their weights. An
// objective without a reference in any loss gets none unless one is given.
void FillObjectiveDefaults(bool reference_given, v1::ObjectiveSpec* objective);

// Problems of spec.objective and of what else has to fit it; `spec` has its defaults filled in.
void CheckObjective(const v1::JobSpec& spec, Violations* violations);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_OBJECTIVE_SPEC_H_
