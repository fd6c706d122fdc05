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
  std::vector<bool> defective;
  std::vector<double> margins;  // weighted sums of the auxiliary scores; 0 without
  std::vector<double> win_rates;
  std::vector<Standing> standings;  // by score less the length penalty

  size_t size() const { return responses.size(); }

  // By how much `a` is better than `b`: the difference of their scores, but infinite where one of
  // the two has a defect. Never NaN.
  double Gap(size_t a, size_t b) const;
};

// The responses of each prompt, in the order of the round.
std::vector<Candidates> GroupByPrompt(const PairingInput& input);

double Sigmoid(double x);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_PAIRING_CANDIDATES_H_
