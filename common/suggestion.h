// "did you mean": the nearest known word to a mistyped one.
#ifndef ATTUNE_COMMON_SUGGESTION_H_
#define ATTUNE_COMMON_SUGGESTION_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace attune {

// Least number of inserted, removed, replaced or swapped neighbouring characters.
size_t EditDistance(absl::string_view a, absl::string_view b);

// `; did you mean "rounds"?`, or "" when nothing known is near. Upper and lower case, and "-" for
// "_", count as the same letter.
std::string DidYouMean(absl::string_view word, const std::vector<std::string>& known);

}  // namespace attune

#endif  // ATTUNE_COMMON_SUGGESTION_H_
