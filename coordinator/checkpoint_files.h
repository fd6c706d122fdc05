// The checkpoints of a job as clients see them, and their files as a stream of chunks.
#ifndef ATTUNE_COORDINATOR_CHECKPOINT_FILES_H_
#define ATTUNE_COORDINATOR_CHECKPOINT_FILES_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "attune/v1/job.pb.h"
#include "attune/v1/job_service.pb.h"
#include "storage/store.h"

namespace attune {

// Those that are still on disk, oldest first.
[[nodiscard]] absl::StatusOr<std::vector<v1::Checkpoint>> ListCheckpoints(const Store& store,
                                                                          const v1::Job& job);

// Calls `write` with the chunks of every file of `checkpoint`; CANCELLED when it returns false.
absl::Status StreamCheckpoint(const v1::Checkpoint& checkpoint,
                              const std::function<bool(const v1::FileChunk&)>& write);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_CHECKPOINT_FILES_H_
