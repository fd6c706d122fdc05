#include "oracle/judge.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "common/status_macros.h"

namespace attune {

absl::StatusOr<Verdict> ScoringJudge::Decide(const v1::Candidates& item) const {
  Verdict verdict;
  for (int i = 0; i < item.responses_size(); ++i) {
    absl::StatusOr<double> score = Score(item, i);
    if (!score.ok()) return Annotate(score.status(), absl::StrCat("scoring response ", i));
    verdict.scores.push_back(*score);
  }
  return verdict;
}

Verdict VerdictOfPreferences(std::vector<double> preferences, size_t candidates) {
  ATTUNE_CHECK(preferences.size() == candidates * candidates);
  Verdict verdict;
  for (size_t i = 0; i < candidates; ++i) {
    double sum = 0;
    for (size_t j = 0; j < candidates; ++j) sum += j == i ? 0 : preferences[i * candidates + j];
    verdict.scores.push_back(candidates > 1 ? sum / static_cast<double>(candidates - 1) : 0.5);
  }
  verdict.preferences = std::move(preferences);
  return verdict;
}

absl::Status CheckVerdict(const Verdict& verdict, size_t candidates) {
  const auto wrong = [](const auto&... parts) {
    return absl::InternalError(absl::StrCat("the oracle answered ", parts...));
  };
  if (verdict.scores.size() != candidates) {
    return wrong(verdict.scores.size(), " scores for ", candidates, " responses");
  }
  for (double score : verdict.scores) {
    if (!std::isfinite(score)) return wrong("a score that is not finite: ", score);
  }
  const std::vector<double>& p = verdict.preferences;
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
