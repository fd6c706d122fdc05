// One line per event on standard error:
//   2026-11-23T10:04:42.123Z INFO  coordinator  job happier-1a2b round 2: 640 responses sampled
// Thread-safe: a line is written with one call.
#ifndef ATTUNE_COMMON_LOG_H_
#define ATTUNE_COMMON_LOG_H_

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace attune {

enum class LogLevel { kInfo, kWarning, kError };

// The process's name in every line; call once at the start of main().
void SetLogName(absl::string_view name);

void LogLine(LogLevel level, absl::string_view message);

template <typename... Args>
void LogInfo(const Args&... args) {
  LogLine(LogLevel::kInfo, absl::StrCat(args...));
}
template <typename... Args>
void LogWarning(const Args&... args) {
  LogLine(LogLevel::kWarning, absl::StrCat(args...));
}
template <typename... Args>
void LogError(const Args&... args) {
  LogLine(LogLevel::kError, absl::StrCat(args...));
}

}  // namespace attune

#endif  // ATTUNE_COMMON_LOG_H_
