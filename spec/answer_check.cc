#include "spec/answer_check.h"

#include <cmath>

#include "absl/strings/str_cat.h"

namespace attune {

absl::Status CheckAnswer(absl::Span<const double> scores, absl::Span<const double> preferences,
                         size_t candidates) {
  const auto wrong = [](const auto&... parts) {
    return absl::InternalError(absl::StrCat("the oracle answered ", parts...));
  };
  if (scores.size() != candidates) {
    return wrong(scores.size(), " scores for ", candidates, " responses");
  }
  for (double score : scores) {
    if (!std::isfinite(score)) return wrong("a score that is not finite: ", score);
  }
  const absl::Span<const double> p = preferences;
  if (p.empty()) return absl::OkStatus();
  if (p.size() != candidates * candidates) {
    return wrong(p.size(), " probabilities for ", candidates, " responses");
  }
  for (size_t i = 0; i < candidates; ++i) {
    for (size_t j = 0; j < candidates; ++j) {
      const double here = p[i * candidates + j], there = p[j * candidates + i];
      if (!(here >= 0 && here <= 1)) return wrong("a probability of ", here);
      if (std::abs(here + there - 1) > 1e-6) {
        return wrong("probabilities ", here, " and ", there, " for the two orders of a pair");
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace attune
