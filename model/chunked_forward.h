// Long forward passes in pieces of bounded memory, for the generator and the scorer.
#ifndef ATTUNE_MODEL_CHUNKED_FORWARD_H_
#define ATTUNE_MODEL_CHUNKED_FORWARD_H_

#include <cstddef>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "model/policy.h"

namespace attune {

// Rows of one forward pass: enough to keep the multipliers busy.
inline constexpr size_t kForwardRowsMax = 256;

// Calls take(index of the row, its logits) for every row that wants logits, in order, and stops at
// the first error. Memory: the activations of kForwardRowsMax rows and 32 MiB of logits (at least
// one row's), for any number of rows and any vocabulary. The numbers do not depend on how the rows
// are cut.
absl::Status ForwardInChunks(
    const Policy& policy, absl::Span<const PolicyRow> rows,
    absl::FunctionRef<absl::Status(size_t row, absl::Span<const float> logits)> take);

}  // namespace attune

#endif  // ATTUNE_MODEL_CHUNKED_FORWARD_H_
