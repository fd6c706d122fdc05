#include "spec/spec_checks.h"

#include "absl/strings/str_format.h"

namespace attune {

std::string Number(double value) { return absl::StrFormat("%.12g", value); }

std::string Describe(const Limits& limits) {
  const std::string low = Number(limits.low);
  const std::string high = Number(limits.high);
  if (limits.low_end == End::kIncluded && limits.high_end == End::kIncluded) {
    return absl::StrCat("between ", low, " and ", high);
  }
  return absl::StrCat(limits.low_end == End::kIncluded ? "at least " : "above ", low, " and ",
                      limits.high_end == End::kIncluded ? "at most " : "below ", high);
}

bool IsWithin(double value, const Limits& limits) {
  const bool low = limits.low_end == End::kIncluded ? value >= limits.low : value > limits.low;
  const bool high = limits.high_end == End::kIncluded ? value <= limits.high : value < limits.high;
  return low && high;
}

}  // namespace attune
