// Which of the numbers of a round somebody should look at. docs/diagnosis.md says what to do about
// each alarm. Pure.
#ifndef ATTUNE_COORDINATOR_ALARMS_H_
#define ATTUNE_COORDINATOR_ALARMS_H_

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "attune/v1/job.pb.h"
#include "attune/v1/round.pb.h"

namespace attune {

// The alarms of the phase that `record` has just reached; those of its earlier phases are in it.
// `before` are the records of the rounds before, in order, round 0 first.
std::vector<v1::Alarm> AlarmsOf(const v1::JobSpec& spec, absl::Span<const v1::RoundRecord> before,
                                const v1::RoundRecord& record);

// "displacement", ...: the kind in metric labels and in people's words.
std::string AlarmLabel(v1::AlarmKind kind);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_ALARMS_H_
