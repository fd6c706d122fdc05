#include "coordinator/resource_name.h"

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace attune {

absl::StatusOr<ResourceName> ParseResourceName(absl::string_view name) {
  const std::vector<std::string> parts = absl::StrSplit(name, '/');
  const auto bad = [&] {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", name, "\" is not a resource name; expected jobs/{job}, jobs/{job}/rounds/{round} or "
        "jobs/{job}/checkpoints/{round}"));
  };
  if (parts.size() < 2 || parts[0] != "jobs" || parts[1].empty()) return bad();
  ResourceName result{.job = absl::StrCat("jobs/", parts[1])};
  if (parts.size() == 2) return result;
  uint32_t round = 0;
  if (parts.size() != 4 || (parts[2] != "rounds" && parts[2] != "checkpoints") ||
      !absl::SimpleAtoi(parts[3], &round)) {
    return bad();
  }
  result.collection = parts[2];
  result.round = round;
  return result;
}

std::string RoundName(absl::string_view job, uint32_t round) {
  return absl::StrCat(job, "/rounds/", round);
}

std::string CheckpointName(absl::string_view job, uint32_t round) {
  return absl::StrCat(job, "/checkpoints/", round);
}

}  // namespace attune
