// What a job specification means where it says nothing: the preset of its algorithm, then the
// defaults of job.proto.
#ifndef ATTUNE_COORDINATOR_PRESETS_H_
#define ATTUNE_COORDINATOR_PRESETS_H_

#include "attune/v1/job.pb.h"

namespace attune {

// Every field set that has a meaning for the job (oracle.target_length only for the length oracle).
// An unknown algorithm is kept and filled in as the default one. Doing it twice changes nothing.
v1::JobSpec WithPresetAndDefaults(const v1::JobSpec& submitted);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_PRESETS_H_
