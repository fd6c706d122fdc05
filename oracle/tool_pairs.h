// Labelled pairs of a dataset, and what an oracle says of them.
#ifndef ATTUNE_ORACLE_TOOL_PAIRS_H_
#define ATTUNE_ORACLE_TOOL_PAIRS_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "attune/v1/oracle.pb.h"
#include "oracle/tool_oracles.h"

namespace attune {

// Two responses of a row of which the dataset prefers one. All are candidates of
// LabelledRows::items[row].
struct LabelledPair {
  size_t row;
  size_t winner;  // candidate
  size_t loser;
};

struct LabelledRows {
  std::vector<v1::Candidates> items;  // of each row, all responses that the dataset gives
  std::vector<std::string> splits;    // by row: its domain or split; "" without one
  std::vector<LabelledPair> pairs;    // by row
  size_t without_preference = 0;      // rows left out: fewer than two labels that differ
};

// Rows of any shape (spec/dataset_rows.h). Datasets write the better response first, which an
// oracle might like for its place alone: the candidates of a row are shown in a fixed random order.
// INVALID_ARGUMENT also when no row has a preference.
[[nodiscard]] absl::StatusOr<LabelledRows> LoadLabelledRows(const std::string& path,
                                                            const LengthCounter& lengths);

// The same rows and pairs with the candidates in the opposite order.
LabelledRows Reversed(const LabelledRows& rows);

// By pair: the probability with which the oracle prefers the labelled winner; nothing where the
// judgement of the row failed. `decisions` are by row.
std::vector<std::optional<double>> WinnerPreferences(const LabelledRows& rows,
                                                     absl::Span<const Decision> decisions);

// How often the labelled winner is preferred. A tie is no success.
struct Accuracy {
  size_t pairs = 0;  // failed ones included
  size_t failed = 0;
  size_t ties = 0;
  size_t correct = 0;

  void Add(const std::optional<double>& preference);
  size_t judged() const { return pairs - failed; }
};

// Of two oracles, over the pairs that both have judged. An answer is the first candidate, the
// second or a tie.
struct Agreement {
  size_t pairs = 0;
  size_t agreed = 0;
  double kappa = 0;  // Cohen's: 0 as by chance, 1 always; 1 too where chance agrees always
};
Agreement AgreementOf(const LabelledRows& rows, absl::Span<const std::optional<double>> a,
                      absl::Span<const std::optional<double>> b);

}  // namespace attune

#endif  // ATTUNE_ORACLE_TOOL_PAIRS_H_
