// Files of recorded numbers as cases.
#ifndef ATTUNE_TESTS_GOLDEN_GOLDEN_FILES_H_
#define ATTUNE_TESTS_GOLDEN_GOLDEN_FILES_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/golden/golden_case.h"

namespace attune {

// The inputs that several files share, by the stem of their name.
using CommonInputs = std::map<std::string, nlohmann::json>;

// The common_*.json of a directory and, for a directory of derived files, of the one above it.
[[nodiscard]] absl::StatusOr<CommonInputs> ReadCommonInputs(const std::string& directory);

// Names of the *.json files with cases, sorted.
[[nodiscard]] absl::StatusOr<std::vector<std::string>> ListGoldenFiles(
    const std::string& directory);

// GoldenCase.file is not set: the vector moves.
[[nodiscard]] absl::StatusOr<std::vector<GoldenCase>> ReadCases(const std::string& path,
                                                                const CommonInputs& common);

}  // namespace attune

#endif  // ATTUNE_TESTS_GOLDEN_GOLDEN_FILES_H_
