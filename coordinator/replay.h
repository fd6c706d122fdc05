// Which pairs of earlier rounds a round is trained on again (DNO's replay). Pure.
#ifndef ATTUNE_COORDINATOR_REPLAY_H_
#define ATTUNE_COORDINATOR_REPLAY_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace attune {

// How many pairs to take of each earlier round, newest first: of the k-th at most available[k], and
// at most the share caps[k] of all that is trained on, `own` and all replayed ones together; as
// many as these limits allow. As long as the shorter of the two lists. Caps are in [0, 1), together
// below 1.
std::vector<uint32_t> ReplayCounts(uint32_t own, absl::Span<const double> caps,
                                   absl::Span<const uint32_t> available);

struct ReplayedPair {
  uint32_t round;  // that made it
  uint32_t index;  // within that round
};

// What round `round`, which kept `own` pairs itself, is trained on besides: ReplayCounts of them,
// where available[k] is the number of pairs that round - 1 - k kept; newest round first. They are
// drawn by (seed, round, earlier round) alone, each pair of a round as likely.
std::vector<ReplayedPair> ReplayedPairs(uint64_t seed, uint32_t round, uint32_t own,
                                        absl::Span<const double> caps,
                                        absl::Span<const uint32_t> available);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_REPLAY_H_
