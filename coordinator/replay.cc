#include "coordinator/replay.h"

#include <algorithm>
#include <cstddef>
#include <numeric>

#include "common/check.h"
#include "common/rng.h"

namespace attune {
namespace {

constexpr uint64_t kReplayDraw = 0x7265706c617931;  // "replay1": which of a job's draws it is

}  // namespace

// A share of more pairs is no fewer pairs. So from above, where every round gives all it has,
// repeated cuts end at the largest numbers that respect all shares.
std::vector<uint32_t> ReplayCounts(uint32_t own, absl::Span<const double> caps,
                                   absl::Span<const uint32_t> available) {
  const size_t rounds = std::min(caps.size(), available.size());
  std::vector<uint32_t> counts(available.begin(), available.begin() + rounds);
  bool is_cut = true;
  while (is_cut) {
    is_cut = false;
    const uint64_t all = std::accumulate(counts.begin(), counts.end(), uint64_t{own});
    for (size_t k = 0; k < rounds; ++k) {
      const auto most = static_cast<uint64_t>(caps[k] * static_cast<double>(all));
      if (counts[k] <= most) continue;
      counts[k] = static_cast<uint32_t>(most);
      is_cut = true;
    }
  }
  return counts;
}

std::vector<ReplayedPair> ReplayedPairs(uint64_t seed, uint32_t round, uint32_t own,
                                        absl::Span<const double> caps,
                                        absl::Span<const uint32_t> available) {
  ATTUNE_CHECK(available.size() < round);
  const std::vector<uint32_t> counts = ReplayCounts(own, caps, available);
  std::vector<ReplayedPair> replayed;
  for (size_t k = 0; k < counts.size(); ++k) {
    const uint32_t earlier = round - 1 - static_cast<uint32_t>(k);
    const std::vector<uint32_t> order =
        Permutation(CounterRng({seed, kReplayDraw, round, earlier}), available[k]);
    for (uint32_t i = 0; i < counts[k]; ++i) replayed.push_back({earlier, order[i]});
  }
  return replayed;
}

}  // namespace attune
