// CHES (Razin et al. 2024): which preference pairs make training lower the likelihood of the chosen
// response itself. Pure functions of what the initial model says of the responses, float64.
#ifndef ATTUNE_WORKER_OBJECTIVES_CHES_H_
#define ATTUNE_WORKER_OBJECTIVES_CHES_H_

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace attune {

// [n] <S(yw), S(yl)> - |S(yw)|^2 of pairs, S the sum [n, d] of the hidden states after the last
// norm where the tokens of a response are predicted: from the last token of the prompt to the last
// but one of the response. High: similar responses, which displace likelihood. Of means instead of
// sums, the length-normalised score (ln-CHES).
at::Tensor ChesScores(const at::Tensor& chosen, const at::Tensor& rejected);

// Positions [begin, end) of a list.
struct PositionRange {
  int64_t begin;
  int64_t end;
};

// `count` positions of a sorted list of `size` around its quantile in [0, 1], moved to be inside; a
// list shorter than count, all of it. Scores in ascending order, quantile 0 and count = 5% of the
// pairs is the filter of the paper.
PositionRange QuantileSlice(int64_t size, double quantile, int64_t count);

}  // namespace attune

#endif  // ATTUNE_WORKER_OBJECTIVES_CHES_H_
