// Durations counted in buckets, where they happen too often to be told one by one.
#ifndef ATTUNE_COMMON_DURATION_COUNTS_H_
#define ATTUNE_COMMON_DURATION_COUNTS_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace attune {

struct DurationCounts {
  // Upper ends of the buckets, in seconds; the last bucket has none.
  static constexpr std::array<double, 15> kBounds = {
      0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600};
  std::array<int64_t, kBounds.size() + 1> counts{};
  double sum = 0;  // seconds

  void Add(double seconds) {
    // A bucket holds its upper end.
    const auto bucket = std::lower_bound(kBounds.begin(), kBounds.end(), seconds);
    ++counts[static_cast<size_t>(bucket - kBounds.begin())];
    sum += seconds;
  }
};

}  // namespace attune

#endif  // ATTUNE_COMMON_DURATION_COUNTS_H_
