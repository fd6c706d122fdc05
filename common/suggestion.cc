#include "common/suggestion.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace attune {

size_t EditDistance(absl::string_view a, absl::string_view b) {
  // Rows of the table of distances between prefixes: before[j] = distance(a[0..i-1), b[0..j)).
  std::vector<size_t> before_last(b.size() + 1), before(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    before_last.swap(before);
    before.swap(row);
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({before[j] + 1, row[j - 1] + 1, before[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before_last[j - 2] + 1);
      }
    }
  }
  return row[b.size()];
}

std::string DidYouMean(absl::string_view word, const std::vector<std::string>& known) {
  constexpr size_t kWordBytesMax = 64;  // the cost is the product of the lengths
  if (word.size() > kWordBytesMax) return "";
  const std::string typed = absl::StrReplaceAll(absl::AsciiStrToLower(word), {{"-", "_"}});
  const std::string* nearest = nullptr;
  size_t least = std::max<size_t>(1, word.size() / 3) + 1;  // a third of the letters may be wrong
  for (const std::string& candidate : known) {
    const size_t distance = EditDistance(typed, candidate);
    if (distance < least) {
      least = distance;
      nearest = &candidate;
    }
  }
  return nearest == nullptr ? "" : absl::StrCat("; did you mean \"", *nearest, "\"?");
}

}  // namespace attune
