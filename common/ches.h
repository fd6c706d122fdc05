// CHES (Razin et al. 2024): which preference pairs make training lower the likelihood of the chosen
// response itself.
#ifndef ATTUNE_COMMON_CHES_H_
#define ATTUNE_COMMON_CHES_H_

#include <cstddef>

#include "absl/types/span.h"
#include "common/check.h"

namespace attune {

// <S(yw), S(yl)> / (|yw| |yl|) - |S(yw)|^2 / |yw|^2 of one pair, S(y) the sum of the hidden states
// after the last norm where the tokens of y are predicted: from the last token of the prompt to the
// last but one of y; chosen and rejected have the same width. With the numbers of tokens as lengths
// it is the length-normalised score (ln-CHES), with lengths of 1 plain CHES. High: similar
// responses, which displace likelihood. float64 whatever Number is.
template <typename Number>
double ChesScore(absl::Span<const Number> chosen, double chosen_length,
                 absl::Span<const Number> rejected, double rejected_length) {
  ATTUNE_CHECK(chosen.size() == rejected.size());
  double score = 0;
  for (size_t i = 0; i < chosen.size(); ++i) {
    const double chosen_mean = chosen[i] / chosen_length;
    const double rejected_mean = rejected[i] / rejected_length;
    score += chosen_mean * (rejected_mean - chosen_mean);
  }
  return score;
}

}  // namespace attune

#endif  // ATTUNE_COMMON_CHES_H_
