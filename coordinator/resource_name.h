// The names of resources, built and parsed here alone:
//   jobs/{job}   jobs/{job}/rounds/{round}   jobs/{job}/rounds/{round}/pairs/{pair}
//   jobs/{job}/checkpoints/{round}
#ifndef ATTUNE_COORDINATOR_RESOURCE_NAME_H_
#define ATTUNE_COORDINATOR_RESOURCE_NAME_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace attune {

struct ResourceName {
  std::string job;                // jobs/{job}
  std::string collection;         // "rounds", "checkpoints", or empty
  std::optional<uint32_t> round;  // set with `collection`
};

// INVALID_ARGUMENT when `name` is none of jobs/{job}, jobs/{job}/rounds/{round},
// jobs/{job}/checkpoints/{round}.
[[nodiscard]] absl::StatusOr<ResourceName> ParseResourceName(absl::string_view name);

std::string RoundName(absl::string_view job, uint32_t round);
std::string CheckpointName(absl::string_view job, uint32_t round);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_RESOURCE_NAME_H_
