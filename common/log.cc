#include "common/log.h"

#include <unistd.h>

#include <string>

#include "absl/base/attributes.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "common/clock.h"

namespace attune {
namespace {

std::string& LogName() {
  static std::string& name = *new std::string("attune");
  return name;
}

const char* LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kInfo:
      return "INFO ";
    case LogLevel::kWarning:
      return "WARN ";
    case LogLevel::kError:
      return "ERROR";
  }
  return "";
}

}  // namespace

void SetLogName(absl::string_view name) { LogName() = std::string(name); }

void LogLine(LogLevel level, absl::string_view message) {
  const std::string line = absl::StrFormat(
      "%s %s %s  %s\n", absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", WallTime(), absl::UTCTimeZone()),
      LevelName(level), LogName(), message);
  // A log that cannot be written is not worth failing for.
  [[maybe_unused]] ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace attune
