// A file as memory: pages are read when they are touched, and shared with the page cache.
#ifndef ATTUNE_COMMON_MAPPED_FILE_H_
#define ATTUNE_COMMON_MAPPED_FILE_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace attune {

// Read-only and immutable; thread-safe. The file must not be made shorter while it is mapped: a
// touch beyond its new end kills the process. Writers that rename a new file into place are fine.
class MappedFile {
 public:
  // NOT_FOUND, PERMISSION_DENIED or UNAVAILABLE, with the path. An empty file is fine.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<const MappedFile>> Open(
      const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  absl::string_view bytes() const { return {data_, size_}; }  // lives as long as this object

  // Takes the pages of the bytes from `begin` to before `end` out of this process's memory. They
  // are read again when they are touched: worth it where that will not happen.
  void Release(size_t begin, size_t end) const;

 private:
  MappedFile(const char* data, size_t size) : data_(data), size_(size) {}

  const char* const data_;
  const size_t size_;
};

}  // namespace attune

#endif  // ATTUNE_COMMON_MAPPED_FILE_H_
