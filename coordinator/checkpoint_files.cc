#include "coordinator/checkpoint_files.h"


#include "common/digest.h"
#include "common/files.h"
#include "common/status_macros.h"
#include "coordinator/resource_name.h"

namespace attune {
namespace {

constexpr uint64_t kChunkBytes = 1 << 20;

absl::Status StreamFile(const std::string& directory, const std::string& name,
                        const std::function<bool(const v1::FileChunk&)>& write) {
  const std::string path = JoinPath(directory, name);
  ATTUNE_ASSIGN_OR_RETURN(const uint64_t size, FileSize(path));
  Sha256 sha;
  uint64_t offset = 0;
  do {
    v1::FileChunk chunk;
    chunk.set_file(name);
    chunk.set_offset(offset);
    chunk.set_size(size);
    ATTUNE_ASSIGN_OR_RETURN(*chunk.mutable_data(), ReadFileRange(path, offset, kChunkBytes));
    if (chunk.data().empty() && size > 0) return absl::DataLossError(path + " became shorter");
    sha.Update(chunk.data());
    offset += chunk.data().size();
    if (offset >= size) chunk.set_sha256(sha.HexDigest());
    if (!write(chunk)) return absl::CancelledError("the client left");
  } while (offset < size);
  return absl::OkStatus();
}

// Names of the files below `directory`, those of directories in it (adapters) with their path from
// there.
absl::StatusOr<std::vector<std::string>> FilesBelow(const std::string& directory) {
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(directory));
  std::vector<std::string> files;
  for (const std::string& name : names) {
    const std::string path = JoinPath(directory, name);
    if (FileExists(path)) files.push_back(name);
    if (!DirectoryExists(path)) continue;
    ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::string> inner, FilesBelow(path));
    for (const std::string& file : inner) files.push_back(JoinPath(name, file));
  }
  return files;
}

}  // namespace

absl::StatusOr<std::vector<v1::Checkpoint>> ListCheckpoints(const Store& store,
                                                            const v1::Job& job) {
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<v1::RoundRecord> rounds,
                          store.ListRounds(job.ordinal()));
  std::vector<v1::Checkpoint> checkpoints;
  for (const v1::RoundRecord& round : rounds) {
    const std::string& path = round.checkpoint_path();
    if (path.empty() || !DirectoryExists(path)) continue;
    v1::Checkpoint& checkpoint = checkpoints.emplace_back();
    checkpoint.set_name(CheckpointName(job.name(), round.round()));
    checkpoint.set_round(round.round());
    *checkpoint.mutable_policy() = round.trained_policy();
    checkpoint.set_path(path);
    *checkpoint.mutable_create_time() =
        round.has_end_time() ? round.end_time() : round.start_time();
    ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::string> files, FilesBelow(path));
    for (const std::string& file : files) {
      ATTUNE_ASSIGN_OR_RETURN(const uint64_t size, FileSize(JoinPath(path, file)));
      checkpoint.set_size_bytes(checkpoint.size_bytes() + size);
    }
  }
  return checkpoints;
}

absl::Status StreamCheckpoint(const v1::Checkpoint& checkpoint,
                              const std::function<bool(const v1::FileChunk&)>& write) {
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::string> files, FilesBelow(checkpoint.path()));
  for (const std::string& file : files) {
    ATTUNE_RETURN_IF_ERROR(StreamFile(checkpoint.path(), file, write));
  }
  return absl::OkStatus();
}

}  // namespace attune
