// What becomes of the matches when a text is split at them.
#ifndef ATTUNE_MODEL_TOKENIZER_SPLIT_BEHAVIOR_H_
#define ATTUNE_MODEL_TOKENIZER_SPLIT_BEHAVIOR_H_

#include <cstddef>
#include <vector>

#include "absl/status/statusor.h"
#include "model/tokenizer/regex.h"
#include "model/tokenizer/tokenizer_json.h"

namespace attune {

// Of "the-final--countdown" at "-":
enum class SplitBehavior {
  kRemoved,             // the final countdown
  kIsolated,            // the - final - - countdown
  kMergedWithPrevious,  // the- final- - countdown
  kMergedWithNext,      // the -final - -countdown
  kContiguous,          // the - final -- countdown
};

[[nodiscard]] absl::StatusOr<SplitBehavior> ParseSplitBehavior(const TokenizerJson& json);

// The pieces of `text`, which `matches` (ordered, not overlapping, inside `text`) cut. `invert`
// exchanges matches and what lies between them. Pieces are never empty.
std::vector<TextSpan> SplitAt(const std::vector<TextSpan>& matches, TextSpan text,
                              SplitBehavior behavior, bool invert);

}  // namespace attune

#endif  // ATTUNE_MODEL_TOKENIZER_SPLIT_BEHAVIOR_H_
