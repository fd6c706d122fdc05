// Mappings of what is computed from token log-probabilities.
#ifndef ATTUNE_TESTS_GOLDEN_TOKEN_CASES_H_
#define ATTUNE_TESTS_GOLDEN_TOKEN_CASES_H_

#include "tests/golden/golden_case.h"

namespace attune {

absl::StatusOr<nlohmann::json> Halos(const GoldenCase& golden);
absl::StatusOr<nlohmann::json> TrlXpo(const GoldenCase& golden);
absl::StatusOr<nlohmann::json> TrlNashMd(const GoldenCase& golden);
absl::StatusOr<nlohmann::json> TrlOnlineDpo(const GoldenCase& golden);

}  // namespace attune

#endif  // ATTUNE_TESTS_GOLDEN_TOKEN_CASES_H_
