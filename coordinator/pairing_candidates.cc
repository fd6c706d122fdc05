#include "coordinator/pairing_candidates.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "common/check.h"
#include "common/rng.h"
#include "coordinator/defects.h"

namespace attune {
namespace {

constexpr uint64_t kFlipDraw = 0x666c697073636f31;  // "flipsco1": which of a job's draws it is

// Whether flip_rate has the prompt judged the wrong way round.
bool IsFlipped(const PairingInput& input, const v1::Judgment& judgment) {
  const CounterRng rng({input.seed, kFlipDraw, input.round, judgment.prompt_index()});
  return rng.Uniform(0) < input.spec->oracle().flip_rate();
}

std::vector<double> Scores(const v1::Judgment& judgment, bool flipped) {
  std::vector<double> scores(judgment.scores().begin(), judgment.scores().end());
  if (flipped) {
    for (double& score : scores) score = 0 - score;  // of 0 this is 0, and not -0
  }
  return scores;
}

std::vector<double> Preferences(const v1::Judgment& judgment, bool flipped) {
  const auto& given = judgment.preferences();
  const int n = judgment.scores_size();
  ATTUNE_CHECK(given.empty() || given.size() == n * n);
  std::vector<double> preferences(given.begin(), given.end());
  for (int i = 0; flipped && i < given.size(); ++i) preferences[i] = given[i % n * n + i / n];
  return preferences;
}

std::vector<bool> Defective(absl::Span<const v1::Response> responses, const v1::DefectSpec& spec) {
  std::vector<bool> defective;
  for (const v1::Response& response : responses) defective.push_back(HasDefect(response, spec));
  return defective;
}

std::vector<double> Margins(const v1::JobSpec& spec, const v1::Judgment& judgment) {
  ATTUNE_CHECK(judgment.auxiliary_size() == spec.auxiliary_oracles_size());
  std::vector<double> margins(judgment.scores_size(), 0.0);
  for (int k = 0; k < judgment.auxiliary_size(); ++k) {
    const auto& scores = judgment.auxiliary(k).scores();
    ATTUNE_CHECK(scores.size() == judgment.scores_size());
    for (int i = 0; i < scores.size(); ++i) {
      margins[i] += spec.auxiliary_oracles(k).weight() * scores[i];
    }
  }
  return margins;
}

// Mean over the others of the oracle's probability, or of 1, 1/2 or 0.
double ShareOfOthers(const Candidates& candidates, size_t position) {
  double wins = 0;
  for (size_t other = 0; other < candidates.size(); ++other) {
    if (other == position) continue;
    const double gap = candidates.Gap(position, other);
    if (!candidates.preferences.empty()) {
      wins += candidates.Preference(position, other);
    } else if (gap >= 0) {
      wins += gap > 0 ? 1 : 0.5;
    }
  }
  return candidates.size() < 2 ? 0 : wins / static_cast<double>(candidates.size() - 1);
}

// Mean over all, itself included.
double MeanBradleyTerry(const Candidates& candidates, size_t position) {
  double sum = 0;
  for (size_t other = 0; other < candidates.size(); ++other) {
    sum += candidates.preferences.empty() ? Sigmoid(candidates.Gap(position, other))
                                          : candidates.Preference(position, other);
  }
  return sum / static_cast<double>(candidates.size());
}

std::vector<double> WinRates(const Candidates& candidates, v1::WinRate kind) {
  std::vector<double> rates;
  for (size_t i = 0; i < candidates.size(); ++i) {
    rates.push_back(kind == v1::WIN_RATE_BRADLEY_TERRY ? MeanBradleyTerry(candidates, i)
                                                       : ShareOfOthers(candidates, i));
  }
  return rates;
}

// Characters, not bytes, of UTF-8.
size_t Characters(const std::string& text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; }));
}

std::vector<Standing> Standings(const Candidates& candidates, double length_penalty) {
  std::vector<Standing> standings;
  for (size_t i = 0; i < candidates.size(); ++i) {
    double score = candidates.scores[i];
    if (length_penalty != 0) {
      score -= length_penalty * static_cast<double>(Characters(candidates.responses[i].text()));
    }
    standings.emplace_back(!candidates.defective[i], score);
  }
  return standings;
}

Candidates MakeCandidates(const PairingInput& input, size_t prompt,
                          absl::Span<const v1::Response> responses) {
  const v1::PairingSpec& spec = input.spec->pairing();
  Candidates candidates{&input.prompts[prompt], &input.judgments[prompt], responses};
  ATTUNE_CHECK(candidates.judgment->prompt_index() == candidates.prompt->index());
  ATTUNE_CHECK(static_cast<size_t>(candidates.judgment->scores_size()) == responses.size());
  const bool flipped = IsFlipped(input, *candidates.judgment);
  candidates.scores = Scores(*candidates.judgment, flipped);
  candidates.preferences = Preferences(*candidates.judgment, flipped);
  candidates.by_preference =
      spec.target() == v1::PAIR_TARGET_PREFERENCE && !candidates.preferences.empty();
  candidates.defective = Defective(responses, spec.defects());
  candidates.margins = Margins(*input.spec, *candidates.judgment);
  candidates.win_rates = WinRates(candidates, spec.win_rate());
  candidates.standings = Standings(candidates, spec.length_penalty());
  return candidates;
}

}  // namespace

double Candidates::Gap(size_t a, size_t b) const {
  if (defective[a] == defective[b]) {
    return by_preference ? Preference(a, b) - Preference(b, a) : scores[a] - scores[b];
  }
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  return defective[b] ? kInfinity : -kInfinity;
}

bool Candidates::Ties(size_t a, size_t b) const {
  return preferences.empty() ? Gap(a, b) == 0 : Preference(a, b) == 0.5;
}

double Candidates::Preference(size_t a, size_t b) const {
  if (defective[a] != defective[b]) return defective[b] ? 1 : 0;
  return preferences[a * size() + b];
}

double Sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

std::vector<Candidates> GroupByPrompt(const PairingInput& input) {
  ATTUNE_CHECK(input.judgments.size() == input.prompts.size());
  std::vector<Candidates> groups;
  size_t begin = 0;
  for (size_t i = 0; i < input.prompts.size(); ++i) {
    size_t end = begin;
    while (end < input.responses.size() &&
           input.responses[end].prompt_index() == input.prompts[i].index()) {
      ++end;
    }
    const bool failed = begin < end && input.judgments[i].scores().empty();
    if (!failed) {
      groups.push_back(MakeCandidates(input, i, input.responses.subspan(begin, end - begin)));
    }
    begin = end;
  }
  ATTUNE_CHECK(begin == input.responses.size());
  return groups;
}

}  // namespace attune
