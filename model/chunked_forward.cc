#include "model/chunked_forward.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "common/status_macros.h"

namespace attune {
namespace {

// Some fifty rows of a vocabulary of 150,000, so that the head need not be read from memory for
// every few of them.
constexpr int64_t kLogitsMax = 8 << 20;

}  // namespace

absl::Status ForwardInChunks(
    const Policy& policy, absl::Span<const PolicyRow> rows,
    absl::FunctionRef<absl::Status(size_t row, absl::Span<const float> logits)> take) {
  const int64_t width = policy.config().outputs();
  const int64_t hidden = policy.config().hidden_size;
  const int64_t logit_rows = std::max<int64_t>(1, kLogitsMax / width);
  std::vector<float> logits;
  for (size_t begin = 0; begin < rows.size(); begin += kForwardRowsMax) {
    const auto chunk = rows.subspan(begin, kForwardRowsMax);
    const std::vector<float> states = policy.Forward(chunk);
    std::vector<size_t> wanted;
    for (size_t i = 0; i < chunk.size(); ++i) {
      if (chunk[i].wants_logits) wanted.push_back(begin + i);
    }
    const int64_t count = wanted.size();
    for (int64_t first = 0; first < count; first += logit_rows) {
      const int64_t end = std::min(first + logit_rows, count);
      logits.resize((end - first) * width);
      policy.Logits(&states[first * hidden], end - first, logits.data());
      for (int64_t i = first; i < end; ++i) {
        ATTUNE_RETURN_IF_ERROR(
            take(wanted[i], absl::MakeConstSpan(&logits[(i - first) * width], width)));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace attune
