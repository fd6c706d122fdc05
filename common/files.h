// The only door to the file system (with storage/, whose files are RocksDB's).
// Every error names the path and what the system said.
#ifndef ATTUNE_COMMON_FILES_H_
#define ATTUNE_COMMON_FILES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace attune {

bool FileExists(const std::string& path);       // a regular file
bool DirectoryExists(const std::string& path);

std::string JoinPath(absl::string_view directory, absl::string_view name);
std::string ParentPath(const std::string& path);
std::string BaseName(const std::string& path);
// Absolute and without "." and ".."; relative paths are taken from `base` or, when that is empty,
// from the working directory. Links are not resolved; the file need not exist.
std::string AbsolutePath(const std::string& path, const std::string& base = "");

[[nodiscard]] absl::StatusOr<std::string> ReadFile(const std::string& path);
[[nodiscard]] absl::StatusOr<uint64_t> FileSize(const std::string& path);
// A text that is another one after the file was replaced or written to: its device, inode, size and
// time of change. Tells whether a large file is still the one that was read.
[[nodiscard]] absl::StatusOr<std::string> FileStamp(const std::string& path);
// At most `size` bytes from `offset`; fewer at the end of the file.
[[nodiscard]] absl::StatusOr<std::string> ReadFileRange(const std::string& path, uint64_t offset,
                                                        uint64_t size);
// Names (not paths) of the entries, sorted; without "." and "..".
[[nodiscard]] absl::StatusOr<std::vector<std::string>> ListDirectory(const std::string& path);

absl::Status CreateDirectories(const std::string& path);
// Truncates or creates, and syncs.
absl::Status WriteFile(const std::string& path, absl::string_view bytes);
// The same of all parts, one after the other.
absl::Status WriteFileParts(const std::string& path, absl::Span<const absl::string_view> parts);
// Readers see the old content or the new, never a part: temporary name, fsync, rename, fsync of
// the directory.
absl::Status WriteFileAtomically(const std::string& path, absl::string_view bytes);
absl::Status CopyFile(const std::string& from, const std::string& to);
absl::Status SyncDirectory(const std::string& path);
absl::Status Rename(const std::string& from, const std::string& to);
// With everything below. Fine if nothing is there.
absl::Status RemoveAll(const std::string& path);

// A new empty directory of a unique name under $TMPDIR or /tmp; the caller removes it.
[[nodiscard]] absl::StatusOr<std::string> MakeTemporaryDirectory(absl::string_view prefix);

}  // namespace attune

#endif  // ATTUNE_COMMON_FILES_H_
