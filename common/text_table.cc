#include "common/text_table.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

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
