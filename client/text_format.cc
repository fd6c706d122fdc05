#include "client/text_format.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"

namespace attune {
namespace {

// Whether every cell below the header begins like a number, or stands for a missing one.
bool IsNumberColumn(const std::vector<std::vector<std::string>>& rows, size_t column) {
  for (size_t i = 1; i < rows.size(); ++i) {
    const std::string& cell = rows[i][column];
    if (cell == "-") continue;
    const size_t first = cell.find_first_not_of("+-");
    if (first == std::string::npos || !absl::ascii_isdigit(cell[first])) return false;
  }
  return rows.size() > 1;
}

}  // namespace

std::string WithThousands(uint64_t number) {
  std::string digits = absl::StrCat(number);
  for (size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, 1, ',');
  return digits;
}

std::string FormatSeconds(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "-";
  if (seconds < 99.95) return absl::StrFormat("%.1f s", seconds);
  const int64_t whole = std::llround(seconds);
  if (whole < 3600) return absl::StrFormat("%d min %02d s", whole / 60, whole % 60);
  if (whole < 86400) return absl::StrFormat("%d h %02d min", whole / 3600, whole / 60 % 60);
  return absl::StrFormat("%d d %02d h", whole / 86400, whole / 3600 % 24);
}

std::string FormatBytes(uint64_t bytes) {
  if (bytes < 1024) return absl::StrCat(bytes, " B");
  double size = static_cast<double>(bytes);
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  while (size >= 1024 && unit + 1 < std::size(units)) {
    size /= 1024;
    ++unit;
  }
  return absl::StrFormat("%.1f %s", size, units[unit]);
}

std::string FormatTime(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0) return "-";
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", absl::FromUnixSeconds(time.seconds()),
                          absl::UTCTimeZone());
}

std::string StateName(v1::JobState state) {
  return std::string(absl::StripPrefix(v1::JobState_Name(state), "JOB_STATE_"));
}

std::string AlarmName(v1::AlarmKind kind) {
  return absl::AsciiStrToLower(absl::StripPrefix(v1::AlarmKind_Name(kind), "ALARM_KIND_"));
}

std::string FormatAlarm(const v1::Alarm& alarm) {
  return absl::StrCat(AlarmName(alarm.kind()), ": ", alarm.message());
}

std::string FormatTable(const std::vector<std::vector<std::string>>& rows) {
  if (rows.empty()) return "";
  std::vector<size_t> widths(rows[0].size(), 0);
  std::vector<bool> right(rows[0].size(), false);
  for (size_t column = 0; column < widths.size(); ++column) {
    for (const auto& row : rows) widths[column] = std::max(widths[column], row[column].size());
    right[column] = IsNumberColumn(rows, column);
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (size_t column = 0; column < row.size(); ++column) {
      if (column > 0) line += "  ";
      const std::string pad(widths[column] - row[column].size(), ' ');
      absl::StrAppend(&line, right[column] ? pad : "", row[column], right[column] ? "" : pad);
    }
    absl::StrAppend(&text, absl::StripTrailingAsciiWhitespace(line), "\n");
  }
  return text;
}

}  // namespace attune
