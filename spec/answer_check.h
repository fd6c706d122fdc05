// Whether what an oracle answered about n candidates can be used.
#ifndef ATTUNE_SPEC_ANSWER_CHECK_H_
#define ATTUNE_SPEC_ANSWER_CHECK_H_

#include <cstddef>

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace attune {

// OK, or INTERNAL with what makes it unusable: a number that is missing, not finite, or no
// probability, or two of `preferences` [candidates x candidates, by row; or empty] that do not add
// up to 1 (within 1e-6).
absl::Status CheckAnswer(absl::Span<const double> scores, absl::Span<const double> preferences,
                         size_t candidates);

}  // namespace attune

#endif  // ATTUNE_SPEC_ANSWER_CHECK_H_
