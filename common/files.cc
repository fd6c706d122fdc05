#include "common/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"

namespace attune {
namespace {

namespace fs = std::filesystem;

absl::Status SystemError(absl::string_view what, const std::string& path, int error) {
  const std::string text = absl::StrCat("cannot ", what, " ", path, ": ", std::strerror(error));
  if (error == ENOENT || error == ENOTDIR) return absl::NotFoundError(text);
  if (error == EACCES || error == EPERM) return absl::PermissionDeniedError(text);
  if (error == ENOSPC || error == EDQUOT) return absl::ResourceExhaustedError(text);
  return absl::UnavailableError(text);
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

absl::Status WriteAndSync(const std::string& path, absl::Span<const absl::string_view> parts) {
  Descriptor fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (fd.get() < 0) return SystemError("create", path, errno);
  for (absl::string_view bytes : parts) {
    while (!bytes.empty()) {
      const ssize_t written = ::write(fd.get(), bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return SystemError("write", path, errno);
      bytes.remove_prefix(static_cast<size_t>(written));
    }
  }
  if (::fsync(fd.get()) != 0) return SystemError("sync", path, errno);
  return absl::OkStatus();
}

}  // namespace

bool FileExists(const std::string& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

bool DirectoryExists(const std::string& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

std::string JoinPath(absl::string_view directory, absl::string_view name) {
  return (fs::path(std::string(directory)) / std::string(name)).string();
}

std::string ParentPath(const std::string& path) { return fs::path(path).parent_path().string(); }

std::string BaseName(const std::string& path) { return fs::path(path).filename().string(); }

std::string AbsolutePath(const std::string& path, const std::string& base) {
  std::error_code error;
  const fs::path start = base.empty() ? fs::current_path(error) : fs::path(AbsolutePath(base));
  return (start / path).lexically_normal().string();
}

absl::StatusOr<uint64_t> FileSize(const std::string& path) {
  std::error_code error;
  const uint64_t size = fs::file_size(path, error);
  if (error) return SystemError("read the size of", path, error.value());
  return size;
}

absl::StatusOr<std::string> FileStamp(const std::string& path) {
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) return SystemError("look at", path, errno);
  return absl::StrCat(info.st_dev, ".", info.st_ino, ".", info.st_size, ".", info.st_ctim.tv_sec,
                      ".", info.st_ctim.tv_nsec);
}

absl::StatusOr<std::string> ReadFileRange(const std::string& path, uint64_t offset,
                                          uint64_t size) {
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return SystemError("open", path, errno);
  std::string bytes(size, '\0');
  size_t done = 0;
  while (done < size) {
    const ssize_t count = ::pread(fd.get(), bytes.data() + done, size - done,
                                  static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return SystemError("read", path, errno);
    if (count == 0) break;
    done += static_cast<size_t>(count);
  }
  bytes.resize(done);
  return bytes;
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  ATTUNE_ASSIGN_OR_RETURN(const uint64_t size, FileSize(path));
  return ReadFileRange(path, 0, size);
}

absl::StatusOr<std::vector<std::string>> ListDirectory(const std::string& path) {
  std::error_code error;
  std::vector<std::string> names;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  if (error) return SystemError("list", path, error.value());
  std::sort(names.begin(), names.end());
  return names;
}

absl::Status CreateDirectories(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  return error ? SystemError("create directory", path, error.value()) : absl::OkStatus();
}

absl::Status WriteFile(const std::string& path, absl::string_view bytes) {
  return WriteAndSync(path, {bytes});
}

absl::Status WriteFileParts(const std::string& path, absl::Span<const absl::string_view> parts) {
  return WriteAndSync(path, parts);
}

absl::Status WriteFileAtomically(const std::string& path, absl::string_view bytes) {
  const std::string temporary = absl::StrCat(path, ".", ::getpid(), ".tmp");
  ATTUNE_RETURN_IF_ERROR(WriteAndSync(temporary, {bytes}));
  ATTUNE_RETURN_IF_ERROR(Rename(temporary, path));
  const std::string parent = ParentPath(path);
  return SyncDirectory(parent.empty() ? "." : parent);
}

absl::Status CopyFile(const std::string& from, const std::string& to) {
  ATTUNE_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(from));
  return WriteAndSync(to, {bytes});
}

absl::Status SyncDirectory(const std::string& path) {
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) return SystemError("open directory", path, errno);
  if (::fsync(fd.get()) != 0) return SystemError("sync directory", path, errno);
  return absl::OkStatus();
}

absl::Status Rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) {
    return SystemError(absl::StrCat("rename ", from, " to"), to, errno);
  }
  return absl::OkStatus();
}

absl::Status RemoveAll(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  return error ? SystemError("remove", path, error.value()) : absl::OkStatus();
}

absl::StatusOr<std::string> MakeTemporaryDirectory(absl::string_view prefix) {
  const char* root = std::getenv("TMPDIR");
  std::string name = absl::StrCat(root != nullptr ? root : "/tmp", "/", prefix, "-XXXXXX");
  if (::mkdtemp(name.data()) == nullptr) return SystemError("create directory", name, errno);
  return name;
}

}  // namespace attune
