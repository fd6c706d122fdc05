#include "oracle/judge.h"

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

}  // namespace attune
