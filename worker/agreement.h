// How ranks fail together. A rank that met an error must not leave the others waiting for it in a
// collective operation: it comes to the next agreement with its error instead.
#ifndef ATTUNE_WORKER_AGREEMENT_H_
#define ATTUNE_WORKER_AGREEMENT_H_

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "comm/collective.h"

namespace attune {

// Sums `values` over the ranks if every rank is well and none wants to stop. Otherwise no rank
// gets OK: one that failed gets its own error back, the others ABORTED, or CANCELLED when a rank
// only wanted to stop (a CANCELLED of its own means that too).
absl::Status SumIfAllWell(Collective& ranks, const absl::Status& mine, bool stop,
                          absl::Span<double> values);

}  // namespace attune

#endif  // ATTUNE_WORKER_AGREEMENT_H_
