// Generation on all processors, for tools that have the machine to themselves.
#ifndef ATTUNE_MODEL_GENERATE_ALL_H_
#define ATTUNE_MODEL_GENERATE_ALL_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/generator.h"

namespace attune {

// As Generate, in batches on a thread per processor. The result depends on the arguments alone.
[[nodiscard]] absl::StatusOr<std::vector<std::vector<Generation>>> GenerateAll(
    const Policy& policy, absl::Span<const GenerationRequest> requests,
    const SamplingOptions& options);

}  // namespace attune

#endif  // ATTUNE_MODEL_GENERATE_ALL_H_
