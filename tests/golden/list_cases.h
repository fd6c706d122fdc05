// Mappings of losses of groups of responses and of lists of items.
#ifndef ATTUNE_TESTS_GOLDEN_LIST_CASES_H_
#define ATTUNE_TESTS_GOLDEN_LIST_CASES_H_

#include "tests/golden/golden_case.h"

namespace attune {

absl::StatusOr<nlohmann::json> Nca(const GoldenCase& golden);  // pairs too
absl::StatusOr<nlohmann::json> Irpo(const GoldenCase& golden);
absl::StatusOr<nlohmann::json> AdpoTrl(const GoldenCase& golden);
absl::StatusOr<nlohmann::json> AdpoPlackettLuce(const GoldenCase& golden);

}  // namespace attune

#endif  // ATTUNE_TESTS_GOLDEN_LIST_CASES_H_
