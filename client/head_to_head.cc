#include "client/head_to_head.h"

#include <algorithm>

#include "common/statistics.h"

namespace attune {
namespace {

HeadToHeadCell Opposite(const HeadToHeadCell& cell) {
  return {1 - cell.win_rate, 1 - cell.high, 1 - cell.low, 1 - cell.length_controlled};
}

// The newest record with a comparison; null if there is none.
const v1::RoundRecord* NewestCompared(const std::vector<v1::RoundRecord>& records) {
  for (auto record = records.rbegin(); record != records.rend(); ++record) {
    if (!record->evaluation().against().empty()) return &*record;
  }
  return nullptr;
}

void Summarise(const std::vector<double>& wins, HeadToHeadMatrix* matrix) {
  const size_t n = matrix->rounds.size();
  std::vector<double> rates;
  for (const auto& cell : matrix->cells) {
    if (!cell.has_value()) return;
    rates.push_back(cell->win_rate);
  }
  const PreferenceMatrix preferences(n, rates.data());
  const CycleCount cycles = CountCycles(preferences);
  if (cycles.triples > 0) {
    matrix->cycle_rate = static_cast<double>(cycles.cyclic) / static_cast<double>(cycles.triples);
  }
  std::vector<double> newest(n, 0.0);
  newest.back() = 1;
  matrix->newest_exploitability = Exploitability(preferences, newest);
  matrix->uniform_exploitability =
      Exploitability(preferences, std::vector<double>(n, 1.0 / static_cast<double>(n)));
  matrix->ratings = BradleyTerry(n, wins);
}

}  // namespace

HeadToHeadMatrix MakeHeadToHead(const std::vector<v1::RoundRecord>& records) {
  HeadToHeadMatrix matrix;
  const v1::RoundRecord* newest = NewestCompared(records);
  if (newest == nullptr) return matrix;
  for (const v1::HeadToHead& result : newest->evaluation().against()) {
    matrix.rounds.push_back(result.round());
  }
  matrix.rounds.push_back(newest->round());
  const size_t n = matrix.rounds.size();
  matrix.cells.resize(n * n);
  std::vector<double> wins(n * n, 0.0);
  for (size_t i = 0; i < n; ++i) matrix.cells[i * n + i] = HeadToHeadCell{0.5, 0.5, 0.5, 0.5};
  const auto position = [&](uint32_t round) -> size_t {
    return std::find(matrix.rounds.begin(), matrix.rounds.end(), round) - matrix.rounds.begin();
  };
  for (const v1::RoundRecord& record : records) {
    const size_t row = position(record.round());
    if (row == n) continue;
    for (const v1::HeadToHead& result : record.evaluation().against()) {
      const size_t column = position(result.round());
      if (column == n) continue;
      const HeadToHeadCell cell = {result.win_rate(), result.win_rate_low(), result.win_rate_high(),
                                   result.length_controlled_win_rate()};
      matrix.cells[row * n + column] = cell;
      matrix.cells[column * n + row] = Opposite(cell);
      wins[row * n + column] = cell.win_rate * record.evaluation().prompts();
      wins[column * n + row] = (1 - cell.win_rate) * record.evaluation().prompts();
    }
  }
  Summarise(wins, &matrix);
  return matrix;
}

}  // namespace attune
