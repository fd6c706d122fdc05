#include "model/jinja/text.h"

#include <utf8proc.h>

#include <algorithm>

#include "model/tokenizer/unicode.h"
#include "model/tokenizer/utf8.h"

namespace attune::jinja {
namespace {

char32_t ToUpper(char32_t c) {
  return static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c)));
}
char32_t ToLower(char32_t c) {
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
}
char32_t ToTitle(char32_t c) {
  return static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c)));
}

bool IsCased(char32_t c) {
  const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
         category == UTF8PROC_CATEGORY_LT;
}

template <typename Map>  // (character, its position, the character before or 0) -> character
std::string MapCharacters(absl::string_view text, const Map& map) {
  std::string out;
  out.reserve(text.size());
  char32_t previous = 0;
  for (size_t offset = 0; offset < text.size();) {
    const size_t begin = offset;
    const char32_t c = NextCodePoint(text, &offset);
    AppendCodePoint(map(c, begin, previous), &out);
    previous = c;
  }
  return out;
}

bool IsLineEnd(char32_t c) {
  return (c >= '\n' && c <= '\r') || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

bool IsIn(char32_t c, std::optional<absl::string_view> chars) {
  if (!chars.has_value()) return IsSpace(c);
  for (size_t offset = 0; offset < chars->size();) {
    if (NextCodePoint(*chars, &offset) == c) return true;
  }
  return false;
}

// What a word of the filter `title` begins after.
bool SeparatesWords(char32_t c) {
  return IsSpace(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
}

}  // namespace

bool IsSpace(char32_t c) { return IsWhitespace(c) || (c >= 0x1c && c <= 0x1f); }

std::vector<absl::string_view> Characters(absl::string_view text) {
  std::vector<absl::string_view> characters;
  for (size_t offset = 0; offset < text.size(); offset += characters.back().size()) {
    characters.push_back(text.substr(offset, SequenceLength(text[offset])));
  }
  return characters;
}

size_t CharacterCount(absl::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
}

size_t Find(absl::string_view text, absl::string_view part, size_t from) {
  constexpr size_t kShortBytes = 16;  // text.size() * part.size() steps are few enough
  if (part.size() <= kShortBytes) return text.find(part, from);
  if (text.size() - from < part.size()) return text.npos;
  // Knuth, Morris, Pratt: the longest ends of each beginning of `part` that it begins with itself.
  std::vector<uint32_t> borders(part.size(), 0);
  size_t matched = 0;
  const auto match = [&](char c) {
    while (matched > 0 && part[matched] != c) matched = borders[matched - 1];
    if (part[matched] == c) ++matched;
  };
  for (size_t i = 1; i < part.size(); ++i) {
    match(part[i]);
    borders[i] = static_cast<uint32_t>(matched);
  }
  matched = 0;
  for (size_t i = from; i < text.size(); ++i) {
    match(text[i]);
    if (matched == part.size()) return i + 1 - part.size();
  }
  return text.npos;
}

absl::string_view Strip(absl::string_view text, std::optional<absl::string_view> chars,
                        bool at_start, bool at_end) {
  for (size_t end = 0; at_start && !text.empty(); text.remove_prefix(end)) {
    end = 0;
    if (!IsIn(NextCodePoint(text, &end), chars)) break;
  }
  while (at_end && !text.empty()) {
    const char32_t last = PreviousCodePoint(text, text.size());
    if (!IsIn(last, chars)) break;
    text.remove_suffix(Utf8Length(last));
  }
  return text;
}

std::vector<absl::string_view> Split(absl::string_view text,
                                     std::optional<absl::string_view> separator,
                                     int64_t splits_max) {
  std::vector<absl::string_view> parts;
  if (separator.has_value()) {
    for (size_t at; splits_max != 0 && (at = Find(text, *separator)) != text.npos; --splits_max) {
      parts.push_back(text.substr(0, at));
      text.remove_prefix(at + separator->size());
    }
    parts.push_back(text);
    return parts;
  }
  for (text = Strip(text, {}, true, false); !text.empty(); text = Strip(text, {}, true, false)) {
    size_t end = splits_max == 0 ? text.size() : 0;
    for (size_t next = end; end < text.size(); end = next) {
      if (IsSpace(NextCodePoint(text, &next))) break;
    }
    --splits_max;
    parts.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return parts;
}

std::vector<absl::string_view> SplitFromEnd(absl::string_view text,
                                            std::optional<absl::string_view> separator,
                                            int64_t splits_max) {
  std::vector<absl::string_view> parts;
  if (separator.has_value()) {
    for (size_t at; splits_max != 0 && (at = text.rfind(*separator)) != text.npos; --splits_max) {
      parts.push_back(text.substr(at + separator->size()));
      text = text.substr(0, at);
    }
    parts.push_back(text);
  } else {
    for (text = Strip(text, {}, false, true); !text.empty(); text = Strip(text, {}, false, true)) {
      size_t begin = splits_max-- == 0 ? 0 : text.size();
      while (begin > 0) {
        const char32_t before = PreviousCodePoint(text, begin);
        if (IsSpace(before)) break;
        begin -= Utf8Length(before);
      }
      parts.push_back(text.substr(begin));
      text = text.substr(0, begin);
    }
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<absl::string_view> SplitLines(absl::string_view text, bool keep_ends) {
  std::vector<absl::string_view> lines;
  size_t begin = 0;
  for (size_t offset = 0; offset < text.size();) {
    const size_t end = offset;
    const char32_t c = NextCodePoint(text, &offset);
    if (!IsLineEnd(c)) continue;
    if (c == '\r' && offset < text.size() && text[offset] == '\n') ++offset;
    lines.push_back(text.substr(begin, (keep_ends ? offset : end) - begin));
    begin = offset;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

std::string Upper(absl::string_view text) {
  return MapCharacters(text, [](char32_t c, size_t, char32_t) { return ToUpper(c); });
}

std::string Lower(absl::string_view text) {
  return MapCharacters(text, [](char32_t c, size_t, char32_t) { return ToLower(c); });
}

std::string Capitalized(absl::string_view text) {
  return MapCharacters(
      text, [](char32_t c, size_t at, char32_t) { return at == 0 ? ToTitle(c) : ToLower(c); });
}

std::string Titled(absl::string_view text) {
  return MapCharacters(text, [](char32_t c, size_t at, char32_t previous) {
    return at > 0 && IsCased(previous) ? ToLower(c) : ToTitle(c);
  });
}

std::string TitledWords(absl::string_view text) {
  return MapCharacters(text, [](char32_t c, size_t at, char32_t previous) {
    return at == 0 || SeparatesWords(previous) ? ToUpper(c) : ToLower(c);
  });
}

std::string EscapedForHtml(absl::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&':
        out.append("&amp;");
        break;
      case '<':
        out.append("&lt;");
        break;
      case '>':
        out.append("&gt;");
        break;
      case '\'':
        out.append("&#39;");
        break;
      case '"':
        out.append("&#34;");
        break;
      default:
        out.push_back(c);
    }
  }
  return out;
}

int64_t CountOf(absl::string_view text, absl::string_view part) {
  if (part.empty()) return static_cast<int64_t>(CharacterCount(text)) + 1;
  int64_t count = 0;
  for (size_t at = 0; (at = Find(text, part, at)) != text.npos; at += part.size()) ++count;
  return count;
}

std::string Replaced(absl::string_view text, absl::string_view from, absl::string_view to,
                     int64_t count) {
  std::string out;
  size_t begin = 0;
  size_t search = 0;
  for (; count != 0; --count) {
    const size_t at = search > text.size() ? text.npos : Find(text, from, search);
    if (at == text.npos) break;
    out.append(text.data() + begin, at - begin).append(to.data(), to.size());
    begin = at + from.size();
    // An empty `from` is found before each character and at the end.
    search = !from.empty() ? begin : at + (at < text.size() ? SequenceLength(text[at]) : 1);
  }
  return out.append(text.data() + begin, text.size() - begin);
}

}  // namespace attune::jinja
