// What the fuzz targets share: their input in two parts, and the directory they write it into.
#ifndef ATTUNE_TESTS_FUZZ_FUZZ_INPUT_H_
#define ATTUNE_TESTS_FUZZ_FUZZ_INPUT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "common/check.h"
#include "common/files.h"

namespace attune {

// A text up to the first NUL byte, which no text of these formats has, and what stands behind it.
struct FuzzInput {
  FuzzInput(const uint8_t* data, size_t size) {
    const absl::string_view all(reinterpret_cast<const char*>(data), size);
    const size_t end = std::min(all.find('\0'), size);
    first = all.substr(0, end);
    rest = all.substr(std::min(end + 1, size));
  }

  absl::string_view first;
  absl::string_view rest;
};

// One directory for the life of the process, below $TMPDIR; scripts/fuzz.sh removes it.
inline const std::string& FuzzDirectory() {
  static const std::string* const path =
      new std::string(MakeTemporaryDirectory("attune-fuzz").value());
  return *path;
}

inline void PutFile(absl::string_view name, absl::string_view bytes) {
  ATTUNE_CHECK(WriteFile(JoinPath(FuzzDirectory(), name), bytes).ok());
}

}  // namespace attune

#endif  // ATTUNE_TESTS_FUZZ_FUZZ_INPUT_H_
