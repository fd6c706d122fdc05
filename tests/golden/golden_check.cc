// Compares our objectives with numbers recorded from the code of those who invented them.
//
//   golden_check DIR...
//
// Reads the *.json of each directory and prints a line per case, known differences, and last
// "N passed, M failed". Status 1 on any failure: a deviation, a method without a mapping, a file
// that cannot be read, no case at all.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/files.h"
#include "common/status_macros.h"
#include "tests/golden/comparison.h"
#include "tests/golden/golden_case.h"
#include "tests/golden/golden_files.h"
#include "tests/golden/known_differences.h"
#include "tests/golden/mappings.h"

namespace attune {
namespace {

struct Counts {
  int passed = 0;
  int failed = 0;
  int known_differences = 0;  // reasons of cases and of methods without a mapping
};

// What names the method first; without what is null.
std::string ShowHparams(const nlohmann::json& hparams) {
  constexpr size_t kLengthMax = 120;
  std::vector<std::string> names;
  std::vector<std::string> numbers;
  for (const auto& [key, value] : hparams.items()) {
    if (value.is_null()) continue;
    const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    (value.is_string() || value.is_array() ? names : numbers).push_back(key + "=" + text);
  }
  names.insert(names.end(), numbers.begin(), numbers.end());
  const std::string line = absl::StrJoin(names, " ");
  return line.size() > kLengthMax ? line.substr(0, kLengthMax) + "..." : line;
}

std::string ShowDeviation(const Deviation& deviation) {
  return absl::StrFormat("%s: wanted %s, got %s, tolerance %.3g", deviation.path, deviation.wanted,
                         deviation.got, deviation.allowed);
}

// The boundary to LibTorch and to the JSON library, which throw.
absl::StatusOr<nlohmann::json> Compute(Mapping mapping, const GoldenCase& golden) {
  try {
    return mapping(golden);
  } catch (const std::exception& error) {
    const std::string what = error.what();
    return absl::InvalidArgumentError(what.substr(0, what.find('\n')));
  }
}

// The one furthest beyond its tolerance.
const Deviation& Worst(const std::vector<Deviation>& deviations) {
  const auto excess = [](const Deviation& deviation) {
    return deviation.allowed > 0 ? deviation.error / deviation.allowed
                                 : std::numeric_limits<double>::infinity();
  };
  return *std::max_element(
      deviations.begin(), deviations.end(),
      [&](const Deviation& a, const Deviation& b) { return excess(a) < excess(b); });
}

// Empty: as wanted, but for the differences whose reasons are added.
absl::StatusOr<std::vector<Deviation>> Unexpected(Mapping mapping, const GoldenCase& golden,
                                                  std::set<std::string>& reasons) {
  ATTUNE_ASSIGN_OR_RETURN(const nlohmann::json ours, Compute(mapping, golden));
  std::vector<Deviation> unexpected;
  for (const Deviation& deviation : Compare(golden, ours)) {
    const char* reason = KnownReason(golden, deviation);
    if (reason == nullptr) {
      unexpected.push_back(deviation);
    } else {
      reasons.insert(reason);
    }
  }
  return unexpected;
}

void CheckCase(Mapping mapping, const std::string& file, const GoldenCase& golden, Counts& counts) {
  std::set<std::string> reasons;
  const auto unexpected = Unexpected(mapping, golden, reasons);
  const std::string name =
      absl::StrFormat("%s case %d [%s]", file, golden.number, ShowHparams(golden.hparams));
  if (!unexpected.ok()) {
    std::printf("%s: FAILED: %s\n", name.c_str(), unexpected.status().ToString().c_str());
  } else if (!unexpected->empty()) {
    std::printf("%s: FAILED: %s (and %zu more)\n", name.c_str(),
                ShowDeviation(Worst(*unexpected)).c_str(), unexpected->size() - 1);
  } else {
    std::printf("%s: ok\n", name.c_str());
  }
  const bool passed = unexpected.ok() && unexpected->empty();
  ++(passed ? counts.passed : counts.failed);
  for (const std::string& reason : reasons) {
    std::printf("known difference: %s: %s\n", name.c_str(), reason.c_str());
    ++counts.known_differences;
  }
}

absl::Status CheckFile(const std::string& directory, const std::string& file,
                       const CommonInputs& common, Counts& counts) {
  ATTUNE_ASSIGN_OR_RETURN(std::vector<GoldenCase> cases,
                          ReadCases(JoinPath(directory, file), common));
  if (cases.empty()) return absl::InvalidArgumentError("no cases");
  const std::string& method = cases.front().method;
  if (const char* reason = NotImplementedReason(method); reason != nullptr) {
    std::printf("known difference: %s is not compared: %s\n", method.c_str(), reason);
    ++counts.known_differences;
    return absl::OkStatus();
  }
  const Mapping mapping = FindMapping(method);
  if (mapping == nullptr) {
    return absl::UnimplementedError(absl::StrCat("no mapping of method ", method));
  }
  for (GoldenCase& golden : cases) golden.file = &cases;
  for (const GoldenCase& golden : cases) CheckCase(mapping, file, golden, counts);
  return absl::OkStatus();
}

absl::Status CheckDirectory(const std::string& directory, Counts& counts) {
  ATTUNE_ASSIGN_OR_RETURN(const CommonInputs common, ReadCommonInputs(directory));
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::string> files, ListGoldenFiles(directory));
  for (const std::string& file : files) {
    const absl::Status status = CheckFile(directory, file, common, counts);
    if (status.ok()) continue;
    std::printf("%s: FAILED: %s\n", file.c_str(), status.ToString().c_str());
    ++counts.failed;
  }
  return absl::OkStatus();
}

int Main(const std::vector<std::string>& directories) {
  Counts counts;
  for (const std::string& directory : directories) {
    const absl::Status status = CheckDirectory(directory, counts);
    if (status.ok()) continue;
    std::printf("%s: FAILED: %s\n", directory.c_str(), status.ToString().c_str());
    ++counts.failed;
  }
  std::printf("%d known differences\n", counts.known_differences);
  std::printf("%d passed, %d failed\n", counts.passed, counts.failed);
  return counts.failed == 0 && counts.passed > 0 ? 0 : 1;
}

}  // namespace
}  // namespace attune

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: golden_check DIR...\n");
    return 1;
  }
  return attune::Main({argv + 1, argv + argc});
}
