#include "client/checkpoint_download.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/digest.h"
#include "common/files.h"
#include "common/status_macros.h"

namespace attune {
namespace {

// Whether a name from the wire stays below the directory it is put into.
bool IsSafeFileName(const std::string& name) {
  if (name.empty() || name[0] == '/' || name.find('\0') != std::string::npos) return false;
  for (const absl::string_view part : absl::StrSplit(name, '/')) {
    if (part.empty() || part == "." || part == "..") return false;
  }
  return true;
}

// Writes the chunks of one checkpoint below `directory`, file after file.
class ChunkWriter {
 public:
  explicit ChunkWriter(const std::string& directory) : directory_(directory) {}
  ~ChunkWriter() {
    if (fd_ >= 0) ::close(fd_);
  }
  ChunkWriter(const ChunkWriter&) = delete;
  ChunkWriter& operator=(const ChunkWriter&) = delete;

  absl::Status Write(const v1::FileChunk& chunk);
  // After the last chunk.
  absl::Status Finish() const {
    if (fd_ < 0) return absl::OkStatus();
    return absl::DataLossError(absl::StrCat("the checkpoint ended within ", file_));
  }
  uint32_t files() const { return files_; }
  uint64_t bytes() const { return bytes_; }

 private:
  absl::Status Open(const v1::FileChunk& chunk);
  absl::Status Append(absl::string_view data);
  absl::Status Close(const v1::FileChunk& last);

  const std::string directory_;
  std::string file_;  // being written, when fd_ is open
  int fd_ = -1;
  uint64_t offset_ = 0;
  std::optional<Sha256> sha_;
  uint32_t files_ = 0;
  uint64_t bytes_ = 0;
};

absl::Status ChunkWriter::Write(const v1::FileChunk& chunk) {
  if (fd_ < 0) ATTUNE_RETURN_IF_ERROR(Open(chunk));
  if (chunk.file() != file_ || chunk.offset() != offset_) {
    return absl::DataLossError(absl::StrCat("the checkpoint has a gap: expected byte ", offset_,
                                            " of ", file_, ", got byte ", chunk.offset(), " of ",
                                            chunk.file()));
  }
  ATTUNE_RETURN_IF_ERROR(Append(chunk.data()));
  return chunk.sha256().empty() ? absl::OkStatus() : Close(chunk);
}

absl::Status ChunkWriter::Open(const v1::FileChunk& chunk) {
  if (!IsSafeFileName(chunk.file())) {
    return absl::DataLossError(absl::StrCat("the checkpoint names a file \"", chunk.file(),
                                            "\" that is not below its directory"));
  }
  file_ = chunk.file();
  offset_ = 0;
  sha_.emplace();
  const std::string path = JoinPath(directory_, file_);
  ATTUNE_RETURN_IF_ERROR(CreateDirectories(ParentPath(path)));
  fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd_ >= 0) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("cannot create ", path, ": ", std::strerror(errno)));
}

absl::Status ChunkWriter::Append(absl::string_view data) {
  sha_->Update(data);
  offset_ += data.size();
  bytes_ += data.size();
  while (!data.empty()) {
    const ssize_t written = ::write(fd_, data.data(), data.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      return absl::UnavailableError(
          absl::StrCat("cannot write ", JoinPath(directory_, file_), ": ", std::strerror(errno)));
    }
    data.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::Status ChunkWriter::Close(const v1::FileChunk& last) {
  const bool synced = ::fsync(fd_) == 0;
  ::close(fd_);
  fd_ = -1;
  ++files_;
  if (!synced) return absl::UnavailableError(absl::StrCat("cannot sync ", file_));
  const std::string digest = sha_->HexDigest();
  if (offset_ != last.size() || digest != last.sha256()) {
    return absl::DataLossError(absl::StrCat(file_, " arrived with ", offset_, " bytes and SHA-256 ",
                                            digest, ", was sent with ", last.size(), " bytes and ",
                                            last.sha256()));
  }
  return absl::OkStatus();
}

absl::Status CheckFree(const std::string& directory) {
  if (DirectoryExists(directory)) {
    ATTUNE_ASSIGN_OR_RETURN(const auto names, ListDirectory(directory));
    if (names.empty()) return absl::OkStatus();
  } else if (!FileExists(directory)) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat(directory, " exists and is not empty; name a new directory"));
}

}  // namespace

absl::StatusOr<DownloadedCheckpoint> DownloadCheckpoint(JobClient& client, const std::string& name,
                                                        const std::string& directory) {
  std::string target = AbsolutePath(directory);
  if (target.size() > 1 && target.back() == '/') target.pop_back();
  ATTUNE_RETURN_IF_ERROR(CheckFree(target));
  const std::string temporary = absl::StrCat(target, ".", ::getpid(), ".tmp");
  const absl::Cleanup remove = [&] { RemoveAll(temporary).IgnoreError(); };
  ChunkWriter writer(temporary);
  ATTUNE_RETURN_IF_ERROR(client.DownloadCheckpoint(
      name, [&](const v1::FileChunk& chunk) { return writer.Write(chunk); }));
  ATTUNE_RETURN_IF_ERROR(writer.Finish());
  if (writer.files() == 0) return absl::DataLossError(absl::StrCat(name, " came without files"));
  ATTUNE_RETURN_IF_ERROR(SyncDirectory(temporary));
  ATTUNE_RETURN_IF_ERROR(Rename(temporary, target));
  ATTUNE_RETURN_IF_ERROR(SyncDirectory(ParentPath(target)));
  return DownloadedCheckpoint{target, writer.files(), writer.bytes()};
}

}  // namespace attune
