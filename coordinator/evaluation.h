// What the held-out prompts say about a policy. Pure.
#ifndef ATTUNE_COORDINATOR_EVALUATION_H_
#define ATTUNE_COORDINATOR_EVALUATION_H_

#include "absl/types/span.h"
#include "attune/v1/types.pb.h"

namespace attune {

struct Interval {
  double low;
  double high;
};

// 95 % Wilson score interval of a rate of `wins` (halves for ties) out of `trials` > 0.
Interval WilsonInterval(double wins, double trials);

// One response and one judgment per held-out prompt, in the same order. `initial` holds the
// judgments of the initial policy's responses, in that order too; it is empty when the initial
// policy itself is evaluated, and then there is no win rate. All empty: an empty evaluation.
// distinct_2 counts pairs of neighbouring words, split at white space, within each response.
v1::Evaluation Evaluate(absl::Span<const v1::Response> responses,
                        absl::Span<const v1::Judgment> judgments,
                        absl::Span<const v1::Judgment> initial);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_EVALUATION_H_
