// The prompts of a job, and which of them a round uses.
#ifndef ATTUNE_COORDINATOR_DATASET_H_
#define ATTUNE_COORDINATOR_DATASET_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "attune/v1/types.pb.h"

namespace attune {

struct Dataset {
  std::vector<v1::Prompt> prompts;  // in file order; index = position among those of the file
  std::string digest;               // SHA-256 of the file
};

// JSON lines, of which blank ones are skipped, or one JSON list; a row is read by ReadRow.
// INVALID_ARGUMENT names the first ten bad rows by number ("prompts.jsonl line 3: ...", of a list
// "prompts.json row 3: ...") and says how many there are; also for an empty dataset. NOT_FOUND when
// there is no such file.
[[nodiscard]] absl::StatusOr<Dataset> LoadDataset(const std::string& path);

// Held-out prompts: a seeded draw of `holdout` prompts; the same for all rounds. In index order.
std::vector<uint32_t> HoldoutPrompts(uint32_t dataset_size, uint64_t seed, uint32_t holdout);

// The prompts of round `round` (from 1): consecutive slices of one seeded shuffle of the rest,
// shuffled anew each time it is used up. In the order of the shuffle, without repetition within a
// round; fewer than `count` only if there are not as many.
std::vector<uint32_t> RoundPrompts(uint32_t dataset_size, uint64_t seed, uint32_t holdout,
                                   uint32_t round, uint32_t count);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_DATASET_H_
