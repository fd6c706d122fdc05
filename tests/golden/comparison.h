// Recorded outputs against ours.
#ifndef ATTUNE_TESTS_GOLDEN_COMPARISON_H_
#define ATTUNE_TESTS_GOLDEN_COMPARISON_H_

#include <string>
#include <vector>

#include "tests/golden/golden_case.h"

namespace attune {

struct Deviation {
  std::string path;  // of the output, for example "grad_of_sum.policy_chosen_logps[5]"
  std::string wanted;
  std::string got;
  double error = 0;    // |wanted - got|; infinite if one is no number
  double allowed = 0;  // for this number
};

// Relative tolerance of an output of a case: 1e-9 where the original computed in float64, 1e-6
// where it mixed, 1e-4 in float32. Numbers below 1e-3 count as 1e-3; where float32 was involved,
// whose rounding errors are those of the terms of a sum, those below a tenth of the largest number
// of the output count as that.
double RelativeTolerance(const GoldenCase& golden, const std::string& path);

// What differs, in the order of the outputs; empty: nothing. Keys that only we have are not
// compared. null wants null or zeros (a gradient that is not there).
std::vector<Deviation> Compare(const GoldenCase& golden, const nlohmann::json& ours);

}  // namespace attune

#endif  // ATTUNE_TESTS_GOLDEN_COMPARISON_H_
