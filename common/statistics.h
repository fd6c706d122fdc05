// Statistics of preferences and of win rates. Pure; docs/diagnosis.md has the formulas and papers.
#ifndef ATTUNE_COMMON_STATISTICS_H_
#define ATTUNE_COMMON_STATISTICS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace attune {

struct Interval {
  double low;
  double high;
};

// 95 % Wilson score interval of a rate of `wins` (halves for ties) out of `trials` > 0.
Interval WilsonInterval(double wins, double trials);

// 95 % percentile interval of the mean of `values` (not empty): the values are drawn again, with
// replacement, 1000 times by `seed`. With one value a prompt, of two policies on that prompt, it is
// the paired bootstrap. A function of its arguments alone.
Interval BootstrapInterval(absl::Span<const double> values, uint64_t seed);

// The win rate at equal lengths: of the logistic regression of preferences (in [0, 1]) on an
// intercept and tanh(length difference / standard deviation of the differences), what it predicts
// where the difference is 0 (AlpacaEval 2.0, Dubois 2024, for one pair of models).
// length_differences[i] is that of the judged response's length less the other's, in any unit.
// A ridge of 0.01 keeps separable data finite. Both of one size, not empty.
double LengthControlledWinRate(absl::Span<const double> preferences,
                               absl::Span<const double> length_differences);

// Pearson's correlation, in [-1, 1]; 0 where one side does not vary. Both of one size.
double Correlation(absl::Span<const double> x, absl::Span<const double> y);

// The `share` (in [0, 1]) quantile of `values`, linear between neighbours; 0 of nothing.
double Quantile(std::vector<double> values, double share);

// Preferences between n players: n x n by row, the probability (or share of games) with which the
// player of the row is preferred to that of the column; p_ij + p_ji = 1, p_ii = 1/2.
class PreferenceMatrix {
 public:
  // `values` points to n * n numbers, which must outlive the matrix.
  PreferenceMatrix(size_t n, const double* values) : n_(n), values_(values) {}

  size_t size() const { return n_; }
  double operator()(size_t row, size_t column) const { return values_[row * n_ + column]; }

 private:
  const size_t n_;
  const double* const values_;
};

struct CycleCount {
  uint64_t cyclic = 0;
  uint64_t triples = 0;
};

// Triples of players whose majorities go round: each preferred to the next, and the last to the
// first. A triple with a tie is not cyclic.
CycleCount CountCycles(const PreferenceMatrix& matrix);

// By how much the best answer to a mixture of the players beats it: the largest of P(i beats the
// mixture) - 1/2, which is 0 at a Nash equilibrium. `mixture` are probabilities, one a player.
double Exploitability(const PreferenceMatrix& matrix, absl::Span<const double> mixture);

// Bradley-Terry strengths as logits, with mean 0: sigmoid(r_i - r_j) fits the share of games that i
// wins against j. By the MM algorithm (Hunter 2004). `wins` is n x n by row: games (or parts of
// them) that the row's player won against the column's; each pair also gets 1/100 of a game drawn,
// so that a player who always wins has a finite strength.
std::vector<double> BradleyTerry(size_t n, absl::Span<const double> wins);

}  // namespace attune

#endif  // ATTUNE_COMMON_STATISTICS_H_
