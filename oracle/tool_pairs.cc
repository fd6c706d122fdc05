#include "oracle/tool_pairs.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "common/rng.h"
#include "common/status_macros.h"
#include "spec/dataset_file.h"

namespace attune {
namespace {

constexpr uint64_t kOrderDraw = 0x6f72646572303031;  // "order001"

// Adds the row's candidates, its split and its pairs.
void AddRow(const v1::Prompt& prompt, const LengthCounter& lengths, LabelledRows* rows) {
  const size_t row = rows->items.size();
  const std::vector<uint32_t> order = Permutation(CounterRng({kOrderDraw, prompt.index()}),
                                                  static_cast<uint32_t>(prompt.given_size()));
  v1::Candidates item;
  item.set_prompt_index(prompt.index());
  item.set_prompt(prompt.text());
  item.set_gold(prompt.gold());
  item.set_messages(prompt.messages());
  std::vector<double> labels;
  for (uint32_t index : order) {
    const v1::GivenResponse& given = prompt.given(static_cast<int>(index));
    item.add_responses(given.text());
    item.add_response_tokens(lengths.Count(given.text()));
    labels.push_back(given.score());
  }
  const size_t pairs = rows->pairs.size();
  for (size_t i = 0; i < labels.size(); ++i) {
    for (size_t j = i + 1; j < labels.size(); ++j) {
      if (labels[i] > labels[j]) rows->pairs.push_back({row, i, j});
      if (labels[j] > labels[i]) rows->pairs.push_back({row, j, i});
    }
  }
  if (rows->pairs.size() == pairs) {
    ++rows->without_preference;
    return;
  }
  rows->items.push_back(std::move(item));
  rows->splits.push_back(prompt.domain());
}

}  // namespace

absl::StatusOr<LabelledRows> LoadLabelledRows(const std::string& path,
                                              const LengthCounter& lengths) {
  ATTUNE_ASSIGN_OR_RETURN(const Dataset dataset, LoadDataset(path));
  LabelledRows rows;
  for (const v1::Prompt& prompt : dataset.prompts) AddRow(prompt, lengths, &rows);
  if (!rows.pairs.empty()) return rows;
  return absl::InvalidArgumentError(
      absl::StrCat(path, " has ", dataset.prompts.size(),
                   " rows, none with two responses that are labelled differently; give \"chosen\" "
                   "and \"rejected\", or another shape of preferences"));
}

LabelledRows Reversed(const LabelledRows& rows) {
  LabelledRows reversed = rows;
  for (v1::Candidates& item : reversed.items) {
    std::reverse(item.mutable_responses()->begin(), item.mutable_responses()->end());
    std::reverse(item.mutable_response_tokens()->begin(), item.mutable_response_tokens()->end());
  }
  for (LabelledPair& pair : reversed.pairs) {
    const size_t last = static_cast<size_t>(rows.items[pair.row].responses_size()) - 1;
    pair.winner = last - pair.winner;
    pair.loser = last - pair.loser;
  }
  return reversed;
}

std::vector<std::optional<double>> WinnerPreferences(const LabelledRows& rows,
                                                     absl::Span<const Decision> decisions) {
  ATTUNE_CHECK(decisions.size() == rows.items.size());
  std::vector<std::optional<double>> preferences;
  for (const LabelledPair& pair : rows.pairs) {
    const absl::StatusOr<Verdict>& verdict = decisions[pair.row].verdict;
    std::optional<double>& preference = preferences.emplace_back();
    if (verdict.ok()) preference = PreferenceOf(*verdict, pair.winner, pair.loser);
  }
  return preferences;
}

void Accuracy::Add(const std::optional<double>& preference) {
  ++pairs;
  if (!preference.has_value()) {
    ++failed;
  } else if (*preference == 0.5) {
    ++ties;
  } else if (*preference > 0.5) {
    ++correct;
  }
}

Agreement AgreementOf(const LabelledRows& rows, absl::Span<const std::optional<double>> a,
                      absl::Span<const std::optional<double>> b) {
  ATTUNE_CHECK(a.size() == rows.pairs.size() && b.size() == rows.pairs.size());
  Agreement agreement;
  double shares_a[3] = {}, shares_b[3] = {};  // of the answers: counts
  for (size_t i = 0; i < rows.pairs.size(); ++i) {
    if (!a[i].has_value() || !b[i].has_value()) continue;
    // As shown, not as labelled: else two oracles that are always right would agree by chance.
    const bool winner_first = rows.pairs[i].winner < rows.pairs[i].loser;
    const auto answer = [&](double preference) {
      return preference == 0.5 ? 2 : (preference > 0.5) == winner_first ? 0 : 1;
    };
    ++agreement.pairs;
    agreement.agreed += answer(*a[i]) == answer(*b[i]) ? 1 : 0;
    ++shares_a[answer(*a[i])];
    ++shares_b[answer(*b[i])];
  }
  if (agreement.pairs == 0) return agreement;
  const double pairs = static_cast<double>(agreement.pairs);
  double chance = 0;
  for (int k = 0; k < 3; ++k) chance += shares_a[k] / pairs * (shares_b[k] / pairs);
  const double share = static_cast<double>(agreement.agreed) / pairs;
  agreement.kappa = chance < 1 ? (share - chance) / (1 - chance) : 1;
  return agreement;
}

}  // namespace attune
