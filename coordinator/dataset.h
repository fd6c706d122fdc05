// Which prompts of its dataset a job holds out, and which a round uses.
#ifndef ATTUNE_COORDINATOR_DATASET_H_
#define ATTUNE_COORDINATOR_DATASET_H_

#include <cstdint>
#include <vector>

namespace attune {

// Held-out prompts: a seeded draw of `holdout` prompts; the same for all rounds. In index order.
std::vector<uint32_t> HoldoutPrompts(uint32_t dataset_size, uint64_t seed, uint32_t holdout);

// The prompts of round `round` (from 1): consecutive slices of one seeded shuffle of the rest,
// shuffled anew each time it is used up. In the order of the shuffle, without repetition within a
// round; fewer than `count` only if there are not as many.
std::vector<uint32_t> RoundPrompts(uint32_t dataset_size, uint64_t seed, uint32_t holdout,
                                   uint32_t round, uint32_t count);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_DATASET_H_
