#include "coordinator/evaluation.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "common/check.h"

namespace attune {
namespace {

double DistinctPairs(absl::Span<const v1::Response> responses) {
  std::set<std::pair<std::string, std::string>> distinct;
  size_t total = 0;
  for (const v1::Response& response : responses) {
    const std::vector<std::string> words =
        absl::StrSplit(response.text(), absl::ByAnyChar(" \t\r\n"), absl::SkipEmpty());
    for (size_t i = 1; i < words.size(); ++i) distinct.emplace(words[i - 1], words[i]);
    total += words.empty() ? 0 : words.size() - 1;
  }
  return total == 0 ? 0 : static_cast<double>(distinct.size()) / static_cast<double>(total);
}

// sum of log(pi / pi_0) over a response: an unbiased sample of KL(pi || pi_0) per response.
double LogRatio(const v1::Response& response) {
  ATTUNE_CHECK(response.initial_logps_size() == response.logps_size());
  double sum = 0;
  for (int t = 0; t < response.logps_size(); ++t) {
    sum += static_cast<double>(response.logps(t)) - response.initial_logps(t);
  }
  return sum;
}

}  // namespace

Interval WilsonInterval(double wins, double trials) {
  constexpr double kZ = 1.959963984540054;  // of the two-sided 95 % normal interval
  const double rate = wins / trials;
  const double scale = 1 / (1 + kZ * kZ / trials);
  const double middle = rate + kZ * kZ / (2 * trials);
  const double half =
      kZ * std::sqrt(rate * (1 - rate) / trials + kZ * kZ / (4 * trials * trials));
  return {.low = std::max(0.0, scale * (middle - half)),
          .high = std::min(1.0, scale * (middle + half))};
}

v1::Evaluation Evaluate(absl::Span<const v1::Response> responses,
                        absl::Span<const v1::Judgment> judgments,
                        absl::Span<const v1::Judgment> initial) {
  ATTUNE_CHECK(responses.size() == judgments.size());
  ATTUNE_CHECK(initial.empty() || initial.size() == judgments.size());
  v1::Evaluation evaluation;
  if (responses.empty()) return evaluation;
  const double count = static_cast<double>(responses.size());
  double score = 0, kl = 0, length = 0, wins = 0;
  for (size_t i = 0; i < responses.size(); ++i) {
    score += judgments[i].scores(0);
    kl += LogRatio(responses[i]);
    length += responses[i].token_ids_size();
    if (initial.empty()) continue;
    ATTUNE_CHECK(initial[i].prompt_index() == judgments[i].prompt_index());
    const double gap = judgments[i].scores(0) - initial[i].scores(0);
    wins += gap > 0 ? 1 : gap == 0 ? 0.5 : 0;
  }
  evaluation.set_prompts(static_cast<uint32_t>(responses.size()));
  evaluation.set_mean_score(score / count);
  evaluation.set_kl(kl / count);
  evaluation.set_mean_length(length / count);
  evaluation.set_distinct_2(DistinctPairs(responses));
  if (!initial.empty()) {
    const Interval interval = WilsonInterval(wins, count);
    evaluation.set_win_rate(wins / count);
    evaluation.set_win_rate_low(interval.low);
    evaluation.set_win_rate_high(interval.high);
  }
  return evaluation;
}

}  // namespace attune
