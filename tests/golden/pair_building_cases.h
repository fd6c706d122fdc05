// Mappings of how pairs are built from scored responses.
#ifndef ATTUNE_TESTS_GOLDEN_PAIR_BUILDING_CASES_H_
#define ATTUNE_TESTS_GOLDEN_PAIR_BUILDING_CASES_H_

#include "tests/golden/golden_case.h"

namespace attune {

absl::StatusOr<nlohmann::json> PairsRlhflow(const GoldenCase& golden);
absl::StatusOr<nlohmann::json> PairsOpenRlhf(const GoldenCase& golden);
absl::StatusOr<nlohmann::json> DnoPairs(const GoldenCase& golden);
absl::StatusOr<nlohmann::json> ChesQuantileSlice(const GoldenCase& golden);

}  // namespace attune

#endif  // ATTUNE_TESTS_GOLDEN_PAIR_BUILDING_CASES_H_
