#include "worker/objectives/ches.h"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>

#include "common/check.h"

namespace attune {

at::Tensor ChesScores(const at::Tensor& chosen, const at::Tensor& rejected) {
  return (chosen * (rejected - chosen)).sum(-1);
}

PositionRange QuantileSlice(int64_t size, double quantile, int64_t count) {
  ATTUNE_CHECK(size >= 0 && count >= 0 && quantile >= 0 && quantile <= 1);
  const int64_t center = std::nearbyint(quantile * (size - 1));  // halves to even
  const int64_t last_begin = std::max<int64_t>(0, size - count);
  const int64_t begin = std::clamp<int64_t>(center - count / 2, 0, last_begin);
  return {begin, std::min(begin + count, size)};
}

}  // namespace attune
