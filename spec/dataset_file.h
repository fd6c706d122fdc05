// The file of a dataset: prompts, and the responses that it gives.
#ifndef ATTUNE_SPEC_DATASET_FILE_H_
#define ATTUNE_SPEC_DATASET_FILE_H_

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

}  // namespace attune

#endif  // ATTUNE_SPEC_DATASET_FILE_H_
