// The win rates of a job's rounds against each other, as one matrix.
#ifndef ATTUNE_CLIENT_HEAD_TO_HEAD_H_
#define ATTUNE_CLIENT_HEAD_TO_HEAD_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "attune/v1/round.pb.h"

namespace attune {

// Of the row's policy against the column's.
struct HeadToHeadCell {
  double win_rate;
  double low;  // 95 % interval
  double high;
  double length_controlled;
};

// Rounds that the newest evaluated one was compared with, and itself, oldest first; 0 is the
// initial policy. n x n cells by row, antisymmetric around 1/2: cell (i, j) is 1 less cell (j, i),
// and 1/2 where i = j. Empty: those two were not compared. No rounds: nothing was.
struct HeadToHeadMatrix {
  std::vector<uint32_t> rounds;
  std::vector<std::optional<HeadToHeadCell>> cells;
  // Where every cell is there:
  std::vector<double> ratings;        // Bradley-Terry logits with mean 0, by round
  double cycle_rate = 0;              // of triples of rounds
  double uniform_exploitability = 0;  // of the uniform mixture of the rounds
  double newest_exploitability = 0;   // of the newest round alone

  const std::optional<HeadToHeadCell>& At(size_t row, size_t column) const {
    return cells[row * rounds.size() + column];
  }
};

// `records` are those of rounds 1.. in order.
HeadToHeadMatrix MakeHeadToHead(const std::vector<v1::RoundRecord>& records);

}  // namespace attune

#endif  // ATTUNE_CLIENT_HEAD_TO_HEAD_H_
