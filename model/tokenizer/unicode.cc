#include "model/tokenizer/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdint>

#include "absl/strings/match.h"
#include "model/tokenizer/unicode_tables.h"
#include "model/tokenizer/utf8.h"

namespace attune {
namespace {

bool IsIn(absl::Span<const CodePointRange> ranges, char32_t code_point) {
  return std::any_of(ranges.begin(), ranges.end(), [code_point](const CodePointRange& range) {
    return code_point >= range.first && code_point <= range.last;
  });
}

bool CategoryIsWithin(char32_t code_point, utf8proc_category_t first, utf8proc_category_t last) {
  const utf8proc_category_t category = utf8proc_category(static_cast<int32_t>(code_point));
  return category >= first && category <= last;
}

bool IsNewer(char32_t code_point, char category) {
  const auto newer = NewerCategories();
  return std::any_of(newer.begin(), newer.end(), [&](const CategoryRange& entry) {
    return entry.category[0] == category && code_point >= entry.range.first &&
           code_point <= entry.range.last;
  });
}

bool IsAscii(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; });
}

void AppendDecomposition(char32_t code_point, bool compatibility, std::vector<int32_t>* out) {
  constexpr int kCodePointsMax = 32;  // the longest decomposition in Unicode has 18
  int32_t decomposed[kCodePointsMax];
  int boundary_class = 0;
  const int options = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | (compatibility ? UTF8PROC_COMPAT : 0);
  const auto count =
      utf8proc_decompose_char(static_cast<int32_t>(code_point), decomposed, kCodePointsMax,
                              static_cast<utf8proc_option_t>(options), &boundary_class);
  if (count <= 0 || count > kCodePointsMax || IsIn(NotDecomposedByLibrary(), code_point)) {
    out->push_back(static_cast<int32_t>(code_point));
  } else {
    out->insert(out->end(), decomposed, decomposed + count);
  }
}

int CombiningClass(int32_t code_point) {
  return utf8proc_get_property(code_point)->combining_class;
}

// Canonical order: runs of combining characters sorted by class. utf8proc can do it too, but in
// quadratic time, which hostile text could exploit.
void SortCombiningCharacters(std::vector<int32_t>* code_points) {
  for (auto run = code_points->begin(); run != code_points->end();) {
    if (CombiningClass(*run) == 0) {
      ++run;
      continue;
    }
    const auto end =
        std::find_if(run, code_points->end(), [](int32_t c) { return CombiningClass(c) == 0; });
    std::stable_sort(run, end,
                     [](int32_t a, int32_t b) { return CombiningClass(a) < CombiningClass(b); });
    run = end;
  }
}

}  // namespace

bool IsWhitespace(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool IsNumeric(char32_t c) {
  if (c < 0x80) return c >= '0' && c <= '9';
  return CategoryIsWithin(c, UTF8PROC_CATEGORY_ND, UTF8PROC_CATEGORY_NO) || IsNewer(c, 'N');
}

bool IsPunctuation(char32_t c) {
  if (c < 0x80) {
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
           (c >= '{' && c <= '~');
  }
  if (c == 0x166D || c == 0x111C9) return true;  // were punctuation in older Unicode
  return CategoryIsWithin(c, UTF8PROC_CATEGORY_PC, UTF8PROC_CATEGORY_PO) &&
         !IsIn(NotPunctuationToLibrary(), c);
}

bool IsMark(char32_t c) {
  if (c < 0x300) return false;
  if (c == 0x1CF2 || c == 0x1CF3) return true;  // were marks in older Unicode
  return CategoryIsWithin(c, UTF8PROC_CATEGORY_MN, UTF8PROC_CATEGORY_ME) &&
         !IsIn(NotMarksToLibrary(), c);
}

bool IsWordCharacter(char32_t c) {
  if (c < 0x80) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
  }
  switch (utf8proc_category(static_cast<int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    case UTF8PROC_CATEGORY_SO:  // letters in circles and squares are alphabetic
      return (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
             (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);
    default:
      return c == 0x200C || c == 0x200D || IsNewer(c, 'L') || IsNewer(c, 'M') || IsNewer(c, 'N');
  }
}

std::string ToLowercase(absl::string_view text) {
  std::string lower;
  lower.reserve(text.size());
  for (size_t offset = 0; offset < text.size();) {
    const char32_t c = NextCodePoint(text, &offset);
    AppendCodePoint(static_cast<char32_t>(utf8proc_tolower(static_cast<int32_t>(c))), &lower);
    // The one character whose lower case is two: I with a dot keeps its dot.
    if (c == 0x130) AppendCodePoint(0x307, &lower);
  }
  return lower;
}

std::string Normalized(absl::string_view text, NormalForm form) {
  if (IsAscii(text)) return std::string(text);
  const bool compatibility = form == NormalForm::kNfkc || form == NormalForm::kNfkd;
  std::vector<int32_t> code_points;
  code_points.reserve(text.size());
  for (size_t offset = 0; offset < text.size();) {
    AppendDecomposition(NextCodePoint(text, &offset), compatibility, &code_points);
  }
  SortCombiningCharacters(&code_points);
  if (form == NormalForm::kNfc || form == NormalForm::kNfkc) {
    const auto count = utf8proc_normalize_utf32(
        code_points.data(), static_cast<utf8proc_ssize_t>(code_points.size()),
        static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    code_points.resize(static_cast<size_t>(count));
  }
  std::string normalized;
  normalized.reserve(text.size());
  for (int32_t c : code_points) AppendCodePoint(static_cast<char32_t>(c), &normalized);
  return normalized;
}

std::vector<CodePointRange> NewerCodePoints(absl::string_view category) {
  std::vector<CodePointRange> ranges;
  for (const CategoryRange& entry : NewerCategories()) {
    if (absl::StartsWith(entry.category, category)) ranges.push_back(entry.range);
  }
  return ranges;
}

}  // namespace attune
