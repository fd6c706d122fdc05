#include "worker/agreement.h"

#include <algorithm>
#include <vector>

#include "common/status_macros.h"

namespace attune {

absl::Status SumIfAllWell(Collective& ranks, const absl::Status& mine, bool stop,
                          absl::Span<double> values) {
  std::vector<double> sums(values.begin(), values.end());
  const bool cancelled = absl::IsCancelled(mine);
  sums.push_back(mine.ok() || cancelled ? 0 : 1);
  sums.push_back(stop || cancelled ? 1 : 0);
  ATTUNE_RETURN_IF_ERROR(ranks.AllReduceSum(absl::MakeSpan(sums)));
  if (!mine.ok()) return mine;
  if (sums[values.size()] > 0) return absl::AbortedError("another trainer rank failed");
  if (sums[values.size() + 1] > 0) return absl::CancelledError("training was stopped");
  std::copy_n(sums.begin(), values.size(), values.begin());
  return absl::OkStatus();
}

}  // namespace attune
