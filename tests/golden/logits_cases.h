// Mappings of what is computed from logits.
#ifndef ATTUNE_TESTS_GOLDEN_LOGITS_CASES_H_
#define ATTUNE_TESTS_GOLDEN_LOGITS_CASES_H_

#include "tests/golden/golden_case.h"

namespace attune {

absl::StatusOr<nlohmann::json> BatchLogps(const GoldenCase& golden);
absl::StatusOr<nlohmann::json> LdDpo(const GoldenCase& golden);
absl::StatusOr<nlohmann::json> Tdpo(const GoldenCase& golden);
absl::StatusOr<nlohmann::json> TrlHeadDpo(const GoldenCase& golden);
absl::StatusOr<nlohmann::json> TrlKto(const GoldenCase& golden);
absl::StatusOr<nlohmann::json> Exo(const GoldenCase& golden);
absl::StatusOr<nlohmann::json> TrlEntropy(const GoldenCase& golden);

}  // namespace attune

#endif  // ATTUNE_TESTS_GOLDEN_LOGITS_CASES_H_
