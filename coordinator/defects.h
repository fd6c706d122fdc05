// Responses that no oracle needs to see to be worse than others.
#ifndef ATTUNE_COORDINATOR_DEFECTS_H_
#define ATTUNE_COORDINATOR_DEFECTS_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "attune/v1/job.pb.h"
#include "attune/v1/types.pb.h"

namespace attune {

// Whether some `ngram` neighbouring words occur more than `max_repeats` times in `text`;
// overlapping occurrences count. Words are what ASCII white space separates, as they are written.
// ngram > 0. Time is linear in the text (times ngram), memory too.
bool RepeatsNgram(absl::string_view text, uint32_t ngram, uint32_t max_repeats);

// Whether `response` has one of the defects that `spec` names. A gold response never has one.
bool HasDefect(const v1::Response& response, const v1::DefectSpec& spec);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_DEFECTS_H_
