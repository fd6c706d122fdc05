#include "model/generate_all.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "common/status_macros.h"
#include "common/threads.h"

namespace attune {
namespace {

using Responses = std::vector<std::vector<Generation>>;

// Sequences decoded together: enough to fill the kernels' tiles, few enough to fit the caches.
constexpr size_t kBatchSequences = 64;

}  // namespace

absl::StatusOr<std::vector<std::vector<Generation>>> GenerateAll(
    const Policy& policy, absl::Span<const GenerationRequest> requests,
    const SamplingOptions& options) {
  if (requests.empty()) return Responses();
  const size_t threads = static_cast<size_t>(ProcessorCount());
  const size_t samples = std::max<size_t>(1, requests[0].sample_keys.size());
  const size_t even = (requests.size() + threads - 1) / threads;
  const size_t batch = std::clamp<size_t>(even, 1, std::max<size_t>(1, kBatchSequences / samples));
  const size_t batches = (requests.size() + batch - 1) / batch;
  std::vector<absl::StatusOr<Responses>> results(batches);
  RunInThreads(batches, static_cast<int>(threads), [&](size_t i) {
    results[i] = Generate(policy, requests.subspan(i * batch, batch), options);
  });
  Responses all;
  for (absl::StatusOr<Responses>& result : results) {
    ATTUNE_RETURN_IF_ERROR(result.status());
    std::move(result->begin(), result->end(), std::back_inserter(all));
  }
  return all;
}

}  // namespace attune
