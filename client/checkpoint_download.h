// A checkpoint fetched from the coordinator into a directory.
#ifndef ATTUNE_CLIENT_CHECKPOINT_DOWNLOAD_H_
#define ATTUNE_CLIENT_CHECKPOINT_DOWNLOAD_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "client/job_client.h"

namespace attune {

struct DownloadedCheckpoint {
  std::string directory;  // absolute
  uint32_t files = 0;
  uint64_t bytes = 0;
};

// Fetches `name` (see JobClient::DownloadCheckpoint) so that `directory` appears whole, with the
// SHA-256 of each file verified, or not at all. FAILED_PRECONDITION if `directory` exists and is
// not empty; DATA_LOSS if what arrived is not what was sent.
[[nodiscard]] absl::StatusOr<DownloadedCheckpoint> DownloadCheckpoint(JobClient& client,
                                                                      const std::string& name,
                                                                      const std::string& directory);

}  // namespace attune

#endif  // ATTUNE_CLIENT_CHECKPOINT_DOWNLOAD_H_
