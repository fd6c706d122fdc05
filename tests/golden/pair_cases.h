// Mappings of pairwise losses of summed log-probabilities.
#ifndef ATTUNE_TESTS_GOLDEN_PAIR_CASES_H_
#define ATTUNE_TESTS_GOLDEN_PAIR_CASES_H_

#include "tests/golden/golden_case.h"

namespace attune {

absl::StatusOr<nlohmann::json> DpoEricMitchell(const GoldenCase& golden);
absl::StatusOr<nlohmann::json> TrlV024Dpo(const GoldenCase& golden);
absl::StatusOr<nlohmann::json> FDpo(const GoldenCase& golden);
absl::StatusOr<nlohmann::json> DpopRDpoSampo(const GoldenCase& golden);
absl::StatusOr<nlohmann::json> Spin(const GoldenCase& golden);
absl::StatusOr<nlohmann::json> Sppo(const GoldenCase& golden);
absl::StatusOr<nlohmann::json> DnoSoftRegression(const GoldenCase& golden);
// Without a reference.
absl::StatusOr<nlohmann::json> Simpo(const GoldenCase& golden);
absl::StatusOr<nlohmann::json> TrlCpo(const GoldenCase& golden);
absl::StatusOr<nlohmann::json> TrlOrpo(const GoldenCase& golden);

}  // namespace attune

#endif  // ATTUNE_TESTS_GOLDEN_PAIR_CASES_H_
