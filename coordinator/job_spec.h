// The only place where user input is judged: a JobSpec as submitted -> presets and defaults filled
// in, or every problem at once. Inside, a resolved spec is trusted.
#ifndef ATTUNE_COORDINATOR_JOB_SPEC_H_
#define ATTUNE_COORDINATOR_JOB_SPEC_H_

#include <string>
#include <vector>

#include "attune/v1/job.pb.h"
#include "rpc/grpc_status.h"

namespace attune {

struct ResolvedJobSpec {
  v1::JobSpec spec;  // every field set, paths absolute; meaningful only without violations
  std::vector<FieldViolation> violations;
};

// Applies the preset and the defaults of job.proto, then checks every value: ranges, combinations
// (a lexicon without a path, a pattern that does not compile), existence of files. Relative paths
// are taken from `model_root`. Reads the file system, changes nothing.
ResolvedJobSpec ResolveJobSpec(const v1::JobSpec& submitted, const std::string& model_root);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_JOB_SPEC_H_
