// Mappings of losses with more than one pair of log-probabilities, of unpaired losses and of reward
// models.
#ifndef ATTUNE_TESTS_GOLDEN_MULTI_TERM_CASES_H_
#define ATTUNE_TESTS_GOLDEN_MULTI_TERM_CASES_H_

#include "tests/golden/golden_case.h"

namespace attune {

absl::StatusOr<nlohmann::json> Modpo(const GoldenCase& golden);
absl::StatusOr<nlohmann::json> Realign(const GoldenCase& golden);
absl::StatusOr<nlohmann::json> McmDpo(const GoldenCase& golden);
absl::StatusOr<nlohmann::json> OfsDpo(const GoldenCase& golden);
absl::StatusOr<nlohmann::json> DiffusionDpo(const GoldenCase& golden);
// Unpaired.
absl::StatusOr<nlohmann::json> TrlBco(const GoldenCase& golden);
absl::StatusOr<nlohmann::json> Ddo(const GoldenCase& golden);
// Reward models.
absl::StatusOr<nlohmann::json> OpenRlhf(const GoldenCase& golden);
absl::StatusOr<nlohmann::json> TrlRewardModel(const GoldenCase& golden);

}  // namespace attune

#endif  // ATTUNE_TESTS_GOLDEN_MULTI_TERM_CASES_H_
