// Mappings of what is no loss: filters of pairs, weights, oracles, moving references.
#ifndef ATTUNE_TESTS_GOLDEN_OTHER_CASES_H_
#define ATTUNE_TESTS_GOLDEN_OTHER_CASES_H_

#include "tests/golden/golden_case.h"

namespace attune {

absl::StatusOr<nlohmann::json> Ches(const GoldenCase& golden);
absl::StatusOr<nlohmann::json> DroReasoningReflection(const GoldenCase& golden);
absl::StatusOr<nlohmann::json> PamaMinNorm(const GoldenCase& golden);
absl::StatusOr<nlohmann::json> TrDpoSync(const GoldenCase& golden);

}  // namespace attune

#endif  // ATTUNE_TESTS_GOLDEN_OTHER_CASES_H_
