#include "coordinator/evaluation.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "common/check.h"
#include "common/rng.h"
#include "common/statistics.h"
#include "common/text_diversity.h"

namespace attune {
namespace {

constexpr size_t kComparedRounds = 16;

// sum of log(pi / pi_0) over a response: an unbiased sample of KL(pi || pi_0) per response.
double LogRatio(const v1::Response& response) {
  ATTUNE_CHECK(response.initial_logps_size() == response.logps_size());
  double sum = 0;
  for (int t = 0; t < response.logps_size(); ++t) {
    sum += static_cast<double>(response.logps(t)) - response.initial_logps(t);
  }
  return sum;
}

// By how much the policy's response, the last candidate, is preferred to candidate `other`.
double Preference(const v1::Judgment& judgment, int other) {
  const int n = judgment.scores_size();
  if (judgment.preferences_size() > 0) {
    ATTUNE_CHECK(judgment.preferences_size() == n * n);
    return judgment.preferences((n - 1) * n + other);
  }
  const double gap = judgment.scores(n - 1) - judgment.scores(other);
  return gap > 0 ? 1 : gap == 0 ? 0.5 : 0;
}

// Positions of the prompts whose judgement did not fail.
std::vector<size_t> Judged(const EvaluationInput& input) {
  std::vector<size_t> judged;
  for (size_t i = 0; i < input.judgments.size(); ++i) {
    const v1::Judgment& judgment = input.judgments[i];
    ATTUNE_CHECK(judgment.prompt_index() == input.responses[i].prompt_index());
    if (judgment.scores().empty()) continue;
    ATTUNE_CHECK(static_cast<size_t>(judgment.scores_size()) == input.earlier.size() + 1);
    judged.push_back(i);
  }
  return judged;
}

v1::HeadToHead Compare(const EvaluationInput& input, absl::Span<const size_t> judged,
                       size_t opponent, v1::Evaluation* evaluation) {
  const EarlierRound& earlier = input.earlier[opponent];
  std::vector<double> preferences, lengths;
  double wins = 0;
  for (size_t i : judged) {
    const v1::Response& other = earlier.responses[i];
    ATTUNE_CHECK(other.prompt_index() == input.responses[i].prompt_index());
    preferences.push_back(Preference(input.judgments[i], static_cast<int>(opponent)));
    lengths.push_back(input.responses[i].token_ids_size() - other.token_ids_size());
    wins += preferences.back();
  }
  const auto count = static_cast<double>(judged.size());
  const Interval bootstrap =
      BootstrapInterval(preferences, CounterRng({input.seed, earlier.round}).key());
  v1::HeadToHead result;
  result.set_round(earlier.round);
  result.set_win_rate(wins / count);
  result.set_win_rate_low(bootstrap.low);
  result.set_win_rate_high(bootstrap.high);
  result.set_length_controlled_win_rate(LengthControlledWinRate(preferences, lengths));
  if (earlier.round == 0) {
    const Interval wilson = WilsonInterval(wins, count);
    evaluation->set_win_rate(wins / count);
    evaluation->set_win_rate_low(wilson.low);
    evaluation->set_win_rate_high(wilson.high);
    evaluation->set_length_controlled_win_rate(result.length_controlled_win_rate());
  }
  return result;
}

void AddDomains(const EvaluationInput& input, absl::Span<const size_t> judged,
                v1::Evaluation* evaluation) {
  std::map<std::string, v1::DomainScore> domains;
  for (size_t i : judged) {
    const std::string& domain = input.prompts[input.responses[i].prompt_index()].domain();
    if (domain.empty()) continue;
    v1::DomainScore& score = domains[domain];
    score.set_domain(domain);
    score.set_prompts(score.prompts() + 1);
    score.set_mean_score(score.mean_score() + *input.judgments[i].scores().rbegin());
  }
  for (auto& [name, score] : domains) {
    score.set_mean_score(score.mean_score() / score.prompts());
    *evaluation->add_domains() = std::move(score);
  }
}

void AddMeans(const EvaluationInput& input, absl::Span<const size_t> judged,
              v1::Evaluation* evaluation) {
  std::vector<std::string> texts;
  double score = 0, kl = 0, logps = 0, tokens = 0;
  for (size_t i : judged) {
    const v1::Response& response = input.responses[i];
    score += *input.judgments[i].scores().rbegin();
    kl += LogRatio(response);
    for (float logp : response.logps()) logps += logp;
    tokens += response.token_ids_size();
    texts.push_back(response.text());
  }
  const auto count = static_cast<double>(judged.size());
  evaluation->set_prompts(static_cast<uint32_t>(judged.size()));
  evaluation->set_mean_score(score / count);
  evaluation->set_kl(kl / count);
  evaluation->set_mean_length(tokens / count);
  evaluation->set_entropy(tokens > 0 ? -logps / tokens : 0);
  evaluation->set_distinct_2(DistinctNgrams(texts, 2));
}

}  // namespace

std::vector<uint32_t> ComparedRounds(uint32_t round, uint32_t best_round) {
  std::set<uint32_t> rounds = {0, best_round};
  for (uint32_t newest = round; newest > 0 && rounds.size() < kComparedRounds; --newest) {
    rounds.insert(newest);
  }
  return {rounds.begin(), rounds.end()};
}

v1::Response ForComparison(const v1::Response& response) {
  v1::Response kept;
  kept.set_prompt_index(response.prompt_index());
  kept.set_sample(response.sample());
  *kept.mutable_token_ids() = response.token_ids();
  kept.set_text(response.text());
  *kept.mutable_policy() = response.policy();
  return kept;
}

std::vector<v1::Response> SideBySide(const EvaluationInput& input) {
  std::vector<v1::Response> candidates;
  for (size_t i = 0; i < input.responses.size(); ++i) {
    for (const EarlierRound& round : input.earlier) {
      ATTUNE_CHECK(round.responses[i].prompt_index() == input.responses[i].prompt_index());
      candidates.push_back(round.responses[i]);
    }
    candidates.push_back(ForComparison(input.responses[i]));
  }
  return candidates;
}

v1::Evaluation Evaluate(const EvaluationInput& input) {
  ATTUNE_CHECK(input.responses.size() == input.judgments.size());
  v1::Evaluation evaluation;
  const std::vector<size_t> judged = Judged(input);
  if (judged.empty()) return evaluation;
  AddMeans(input, judged, &evaluation);
  AddDomains(input, judged, &evaluation);
  for (size_t opponent = 0; opponent < input.earlier.size(); ++opponent) {
    *evaluation.add_against() = Compare(input, judged, opponent, &evaluation);
  }
  return evaluation;
}

}  // namespace attune
