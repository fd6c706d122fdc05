#include "oracle/tool_match.h"

#include <numeric>
#include <utility>

#include "common/check.h"
#include "common/rng.h"
#include "common/status_macros.h"

namespace attune {
namespace {

constexpr uint64_t kOrderDraw = 0x706c617965727331;  // "players1"
constexpr uint64_t kResamples = 200;

std::vector<uint32_t> OrderOf(const v1::Prompt& prompt, size_t players) {
  return Permutation(CounterRng({kOrderDraw, prompt.index()}), static_cast<uint32_t>(players));
}

double Mean(absl::Span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

}  // namespace

absl::StatusOr<Match> Match::Play(const NamedJudge& judge, absl::Span<const v1::Prompt> prompts,
                                  absl::Span<const std::vector<PlayerAnswer>> answers) {
  const size_t players = answers.size();
  std::vector<v1::Candidates> items;
  for (size_t i = 0; i < prompts.size(); ++i) {
    v1::Candidates& item = items.emplace_back();
    item.set_prompt_index(prompts[i].index());
    item.set_prompt(prompts[i].text());
    item.set_gold(prompts[i].gold());
    item.set_messages(prompts[i].messages());
    for (uint32_t player : OrderOf(prompts[i], players)) {
      item.add_responses(answers[player][i].text);
      item.add_response_tokens(answers[player][i].tokens);
    }
  }
  const std::vector<Decision> decisions = DecideAll(judge, items);
  ATTUNE_RETURN_IF_ERROR(CheckAnyJudged(judge, decisions));
  Match match;
  match.players_ = players;
  for (size_t i = 0; i < prompts.size(); ++i) {
    if (!decisions[i].verdict.ok()) {
      ++match.failed_;
      continue;
    }
    const Verdict& verdict = *decisions[i].verdict;
    const std::vector<uint32_t> order = OrderOf(prompts[i], players);
    std::vector<double> scores(players), preferences(players * players), lengths(players);
    for (size_t a = 0; a < players; ++a) {
      scores[order[a]] = verdict.scores[a];
      lengths[order[a]] = answers[order[a]][i].tokens;
      for (size_t b = 0; b < players; ++b) {
        preferences[order[a] * players + order[b]] = PreferenceOf(verdict, a, b);
      }
    }
    match.scores_.push_back(std::move(scores));
    match.preferences_.push_back(std::move(preferences));
    match.lengths_.push_back(std::move(lengths));
  }
  return match;
}

double Match::MeanScore(size_t player) const {
  std::vector<double> scores;
  for (const std::vector<double>& prompt : scores_) scores.push_back(prompt[player]);
  return Mean(scores);
}

std::vector<double> Match::Preferences(size_t player, size_t other) const {
  std::vector<double> values;
  for (const std::vector<double>& prompt : preferences_) {
    values.push_back(prompt[player * players_ + other]);
  }
  return values;
}

double Match::WinRate(size_t player, size_t other) const {
  return Mean(Preferences(player, other));
}

double Match::LengthControlled(size_t player, size_t other) const {
  std::vector<double> differences;
  for (const std::vector<double>& prompt : lengths_) {
    differences.push_back(prompt[player] - prompt[other]);
  }
  return LengthControlledWinRate(Preferences(player, other), differences);
}

std::vector<double> Match::RatingsOf(absl::Span<const size_t> prompts) const {
  std::vector<double> wins(players_ * players_, 0.0);
  for (size_t prompt : prompts) {
    for (size_t i = 0; i < wins.size(); ++i) {
      wins[i] += i / players_ == i % players_ ? 0 : preferences_[prompt][i];
    }
  }
  return BradleyTerry(players_, wins);
}

std::vector<Match::Rating> Match::Ratings(uint64_t seed) const {
  std::vector<size_t> prompts(preferences_.size());
  std::iota(prompts.begin(), prompts.end(), size_t{0});
  const std::vector<double> ratings = RatingsOf(prompts);
  std::vector<std::vector<double>> resampled(players_);  // [player][resample]
  for (uint64_t resample = 0; resample < kResamples; ++resample) {
    const CounterRng rng({seed, resample});
    for (size_t i = 0; i < prompts.size(); ++i) prompts[i] = rng.Below(i, prompts.size());
    const std::vector<double> drawn = RatingsOf(prompts);
    for (size_t player = 0; player < players_; ++player) {
      resampled[player].push_back(drawn[player]);
    }
  }
  std::vector<Rating> result;
  for (size_t player = 0; player < players_; ++player) {
    result.push_back({ratings[player],
                      {Quantile(resampled[player], 0.025), Quantile(resampled[player], 0.975)}});
  }
  return result;
}

}  // namespace attune
