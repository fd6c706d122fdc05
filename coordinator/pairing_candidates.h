// What pairing knows of the responses of one prompt.
#ifndef ATTUNE_COORDINATOR_PAIRING_CANDIDATES_H_
#define ATTUNE_COORDINATOR_PAIRING_CANDIDATES_H_

#include <cstddef>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "attune/v1/types.pb.h"
#include "coordinator/pairing.h"

namespace attune {

// Whether a candidate is free of defects, then a score: greater is better.
using Standing = std::pair<bool, double>;

// Positions are positions in `responses`; every vector has one element for each. Points into the
// input of pairing.
struct Candidates {
  const v1::Prompt* prompt;
  const v1::Judgment* judgment;
  absl::Span<const v1::Response> responses;
  std::vector<double> scores;  // the oracle's, of the opposite sign where flip_rate has it
  std::vector<double> preferences;  // the oracle's, n x n by row, sides exchanged likewise; empty:
                                    // an oracle of scores
  bool by_preference;               // which of two is chosen goes by preferences
  std::vector<bool> defective;
  std::vector<double> margins;  // weighted sums of the auxiliary scores; 0 without
  std::vector<double> win_rates;
  std::vector<Standing> standings;  // by score less the length penalty

  size_t size() const { return responses.size(); }

  // By how much `a` is better than `b`: the difference of their scores or, by_preference, of the
  // probabilities that the one and the other is preferred; infinite where one of the two has a
  // defect. Never NaN.
  double Gap(size_t a, size_t b) const;

  // Neither is better: equal scores or, with an oracle of probabilities, a probability of 1/2.
  bool Ties(size_t a, size_t b) const;

  // The probability that `a` is preferred to `b`; 1 or 0 where one of the two has a defect. With an
  // oracle of probabilities only.
  double Preference(size_t a, size_t b) const;
};

// The responses of each prompt, in the order of the round. Prompts whose judgment has no scores,
// because it failed, are left out.
std::vector<Candidates> GroupByPrompt(const PairingInput& input);

double Sigmoid(double x);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_PAIRING_CANDIDATES_H_
