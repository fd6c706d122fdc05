#include "model/tokenizer/character_class.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/status_macros.h"
#include "model/tokenizer/unicode.h"
#include "model/tokenizer/utf8.h"

namespace attune {
namespace {

constexpr absl::string_view kAnyCharacter = R"([\x{0}-\x{10FFFF}])";
// White_Space. PCRE2's own \s also takes U+180E.
constexpr absl::string_view kSpace = R"(\x{9}-\x{D}\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A})"
                                     R"(\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";
// Ideographs assigned after PCRE2's Unicode version.
constexpr char kNewerHan[] = R"(\x{2B739}\x{2EBF0}-\x{2EE5D}\x{31350}-\x{323AF})";
constexpr int kBracketDepthMax = 32;

absl::Status SyntaxError(absl::string_view pattern, absl::string_view problem) {
  return absl::InvalidArgumentError(
      absl::StrCat("regular expression '", pattern, "' is not supported: ", problem));
}

// A general category with the code points that PCRE2 does not know yet.
std::string Category(absl::string_view name) {
  std::string items = absl::StrCat("\\p{", name, "}");
  for (const CodePointRange& range : NewerCodePoints(name)) {
    absl::StrAppend(&items, HexEscape(range.first), "-", HexEscape(range.last));
  }
  return items;
}

std::string Alphabetic() { return absl::StrCat("\\p{Alphabetic}", Category("L")); }
std::string WordItems() {
  return absl::StrCat(Alphabetic(), Category("M"), Category("Nd"), Category("Pc"));
}

// By the names of POSIX, in lower case; empty for others.
std::string PosixItems(absl::string_view name) {
  if (name == "alpha") return Alphabetic();
  if (name == "digit") return Category("Nd");
  if (name == "alnum") return absl::StrCat(Alphabetic(), Category("Nd"));
  if (name == "upper") return absl::StrCat("\\p{Uppercase}", Category("Lu"));
  if (name == "lower") return absl::StrCat("\\p{Lowercase}", Category("Ll"));
  if (name == "space") return std::string(kSpace);
  if (name == "blank") return R"(\x{9}\p{Zs})";
  if (name == "cntrl") return R"(\p{Cc})";
  if (name == "punct") return absl::StrCat(Category("P"), Category("S"));
  if (name == "xdigit") return "0-9A-Fa-f";
  if (name == "word") return WordItems();
  return "";
}

// Long names of general categories and POSIX names of \p{...}; `name` is folded.
std::string NamedItems(absl::string_view name) {
  static constexpr struct {
    absl::string_view name, category;
  } kLongNames[] = {{"letter", "L"},
                    {"mark", "M"},
                    {"number", "N"},
                    {"punctuation", "P"},
                    {"symbol", "S"},
                    {"separator", "Z"},
                    {"uppercaseletter", "Lu"},
                    {"lowercaseletter", "Ll"},
                    {"titlecaseletter", "Lt"},
                    {"modifierletter", "Lm"},
                    {"otherletter", "Lo"},
                    {"nonspacingmark", "Mn"},
                    {"spacingmark", "Mc"},
                    {"enclosingmark", "Me"},
                    {"decimalnumber", "Nd"},
                    {"letternumber", "Nl"},
                    {"othernumber", "No"},
                    {"connectorpunctuation", "Pc"},
                    {"dashpunctuation", "Pd"},
                    {"openpunctuation", "Ps"},
                    {"closepunctuation", "Pe"},
                    {"initialpunctuation", "Pi"},
                    {"finalpunctuation", "Pf"},
                    {"otherpunctuation", "Po"},
                    {"mathsymbol", "Sm"},
                    {"currencysymbol", "Sc"},
                    {"modifiersymbol", "Sk"},
                    {"othersymbol", "So"},
                    {"punct", "P"}};
  for (const auto& entry : kLongNames) {
    if (entry.name == name) return Category(entry.category);
  }
  return PosixItems(name);
}

bool Pcre2Knows(absl::string_view pattern) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                   PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr);
  pcre2_code_free(code);
  return code != nullptr;
}

std::string FoldName(absl::string_view name) {
  std::string folded;
  for (char c : name) {
    if (c != ' ' && c != '_' && c != '-') folded.push_back(absl::ascii_tolower(c));
  }
  return folded;
}

// Parses the inside of one pair of brackets.
class BracketParser {
 public:
  BracketParser(absl::string_view pattern, size_t* offset, int depth)
      : pattern_(pattern), offset_(*offset), depth_(depth) {}

  // The set as one operand, when it is a plain union; otherwise as a single alternative.
  absl::StatusOr<CharacterClass> Parse() {
    if (depth_ > kBracketDepthMax) return SyntaxError(pattern_, "brackets nested too deep");
    ++offset_;  // [
    const bool negated = Take('^');
    if (Peek() == ']') return SyntaxError(pattern_, "a bracket that begins with ']'");
    while (Peek() != ']') {
      if (offset_ >= pattern_.size()) return SyntaxError(pattern_, "missing terminating ]");
      ATTUNE_RETURN_IF_ERROR(ParseItem());
    }
    ++offset_;  // ]
    if (operands_.empty() && !negated) return std::move(current_);
    return CharacterClass{"", {Intersection(negated)}};
  }

  size_t offset() const { return offset_; }

 private:
  char Peek(size_t ahead = 0) const {
    return offset_ + ahead < pattern_.size() ? pattern_[offset_ + ahead] : '\0';
  }
  bool Take(char c) {
    if (Peek() != c || offset_ >= pattern_.size()) return false;
    ++offset_;
    return true;
  }

  std::string Intersection(bool negated) const {
    if (operands_.empty()) return current_.Pattern(negated);
    std::string all = "(?:";
    for (const CharacterClass& operand : operands_) {
      absl::StrAppend(&all, "(?=", operand.Pattern(false), ")");
    }
    absl::StrAppend(&all, current_.Pattern(false), ")");
    return negated ? absl::StrCat("(?:(?!", all, ")", kAnyCharacter, ")") : all;
  }

  absl::Status ParseItem() {
    if (Peek() == '&' && Peek(1) == '&') {
      offset_ += 2;
      operands_.push_back(std::exchange(current_, {}));
      return absl::OkStatus();
    }
    if (Peek() == '[') return Peek(1) == ':' ? ParsePosix() : ParseNested();
    if (Peek() == '\\') {
      const char letter = Peek(1);
      if (IsClassEscape(letter)) {
        offset_ += 2;
        current_.Add(ClassOfEscape(letter));
        return absl::OkStatus();
      }
      if (letter == 'p' || letter == 'P') {
        ++offset_;
        ATTUNE_ASSIGN_OR_RETURN(CharacterClass property, ParseProperty(pattern_, &offset_));
        current_.Add(std::move(property));
        return absl::OkStatus();
      }
    }
    return ParseRange();
  }

  absl::Status ParseNested() {
    BracketParser nested(pattern_, &offset_, depth_ + 1);
    ATTUNE_ASSIGN_OR_RETURN(CharacterClass inner, nested.Parse());
    offset_ = nested.offset();
    current_.Add(std::move(inner));
    return absl::OkStatus();
  }

  absl::Status ParsePosix() {
    const size_t end = pattern_.find(":]", offset_ + 2);
    if (end == absl::string_view::npos) return ParseNested();
    absl::string_view name = pattern_.substr(offset_ + 2, end - offset_ - 2);
    const bool negated = !name.empty() && name[0] == '^';
    if (negated) name.remove_prefix(1);
    const std::string items = PosixItems(name);
    if (items.empty()) return SyntaxError(pattern_, absl::StrCat("[:", name, ":]"));
    offset_ = end + 2;
    CharacterClass named{items, {}};
    current_.Add(negated ? CharacterClass{"", {named.Pattern(true)}} : std::move(named));
    return absl::OkStatus();
  }

  // A character, or two with a hyphen between.
  absl::Status ParseRange() {
    ATTUNE_ASSIGN_OR_RETURN(const char32_t first, ParseCharacter());
    absl::StrAppend(&current_.items, HexEscape(first));
    const bool is_range = Peek() == '-' && Peek(1) != ']' && Peek(1) != '[' &&
                          !(Peek(1) == '&' && Peek(2) == '&') && offset_ + 1 < pattern_.size();
    if (!is_range) return absl::OkStatus();
    const char letter = Peek(1) == '\\' ? Peek(2) : '\0';
    if (IsClassEscape(letter) || letter == 'p' || letter == 'P') {
      return SyntaxError(pattern_, "a range that ends with a set of characters");
    }
    ++offset_;  // -
    ATTUNE_ASSIGN_OR_RETURN(const char32_t last, ParseCharacter());
    if (last < first) return SyntaxError(pattern_, "a range out of order");
    absl::StrAppend(&current_.items, "-", HexEscape(last));
    return absl::OkStatus();
  }

  absl::StatusOr<char32_t> ParseCharacter() {
    if (!Take('\\')) return NextCodePoint(pattern_, &offset_);
    if (offset_ >= pattern_.size()) return SyntaxError(pattern_, "\\ at its end");
    static constexpr struct {
      char letter, character;
    } kControls[] = {{'t', '\t'}, {'n', '\n'}, {'v', '\v'},   {'f', '\f'}, {'r', '\r'},
                     {'a', '\a'}, {'b', '\b'}, {'e', '\x1B'}, {'0', '\0'}};
    const char letter = Peek();
    for (const auto& control : kControls) {
      if (control.letter == letter) return ++offset_, static_cast<char32_t>(control.character);
    }
    if (letter == 'x' || letter == 'u' || letter == 'o') {
      return ParseNumericEscape(pattern_, &offset_);
    }
    if (absl::ascii_isalnum(static_cast<unsigned char>(letter))) {
      return SyntaxError(pattern_, absl::StrCat("\\", std::string(1, letter), " in brackets"));
    }
    return NextCodePoint(pattern_, &offset_);
  }

  const absl::string_view pattern_;
  size_t offset_;
  const int depth_;
  std::vector<CharacterClass> operands_;  // before each &&
  CharacterClass current_;
};

}  // namespace

void CharacterClass::Add(CharacterClass other) {
  items += other.items;
  for (std::string& alternative : other.alternatives) {
    alternatives.push_back(std::move(alternative));
  }
}

std::string CharacterClass::Pattern(bool negated) const {
  if (alternatives.empty() && !items.empty()) {
    return absl::StrCat(negated ? "[^" : "[", items, "]");
  }
  if (items.empty() && alternatives.size() == 1 && !negated) return alternatives[0];
  // An empty set, as left of && in [&&a], matches nothing.
  std::string all =
      items.empty() ? (alternatives.empty() ? "(?!)" : "") : absl::StrCat("[", items, "]");
  for (const std::string& alternative : alternatives) {
    absl::StrAppend(&all, all.empty() ? "" : "|", alternative);
  }
  return negated ? absl::StrCat("(?:(?!", all, ")", kAnyCharacter, ")")
                 : absl::StrCat("(?:", all, ")");
}

std::string HexEscape(char32_t code_point) {
  return absl::StrFormat("\\x{%X}", static_cast<uint32_t>(code_point));
}

bool IsClassEscape(char letter) {
  return letter != '\0' && absl::string_view("dDwWsShH").find(letter) != absl::string_view::npos;
}

CharacterClass ClassOfEscape(char letter) {
  std::string items;
  switch (absl::ascii_tolower(letter)) {
    case 'd':
      items = Category("Nd");
      break;
    case 's':
      items = std::string(kSpace);
      break;
    case 'h':
      items = "0-9A-Fa-f";
      break;
    // The library's \w has six numbers of Latin-1 besides the word characters.
    default:
      items = absl::StrCat(WordItems(), R"(\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE})");
      break;
  }
  if (absl::ascii_islower(letter)) return {std::move(items), {}};
  return {"", {absl::StrCat("[^", items, "]")}};
}

absl::StatusOr<CharacterClass> ParseProperty(absl::string_view pattern, size_t* offset) {
  bool negated = pattern[*offset] == 'P';
  const size_t open = *offset + 1;
  const size_t close = pattern.find('}', open);
  if (open >= pattern.size() || pattern[open] != '{' || close == absl::string_view::npos) {
    return SyntaxError(pattern, "\\p without {name}");
  }
  absl::string_view name = pattern.substr(open + 1, close - open - 1);
  if (!name.empty() && name[0] == '^') {
    negated = !negated;
    name.remove_prefix(1);
  }
  *offset = close + 1;
  const std::string folded = FoldName(name);
  std::string items = NamedItems(folded);
  if (items.empty()) {
    // PCRE2's \p{Han} also takes characters that are shared with Han; Oniguruma's does not.
    const std::string script = absl::StrCat("\\p{sc:", folded, "}");
    const std::string category = absl::StrCat("\\p{", folded, "}");
    if (folded.size() > 2 && Pcre2Knows(script)) {
      items = script;
      if (folded == "han") items += kNewerHan;
    } else if (Pcre2Knows(category)) {
      const std::string letters =
          absl::StrCat(std::string(1, absl::ascii_toupper(folded[0])), folded.substr(1));
      items = folded.size() <= 2 ? Category(letters) : category;
    } else {
      return SyntaxError(pattern, absl::StrCat("unknown property \\p{", name, "}"));
    }
  }
  if (!negated) return CharacterClass{std::move(items), {}};
  return CharacterClass{"", {absl::StrCat("[^", items, "]")}};
}

absl::StatusOr<std::string> ParseBracket(absl::string_view pattern, size_t* offset) {
  BracketParser parser(pattern, offset, 0);
  ATTUNE_ASSIGN_OR_RETURN(const CharacterClass parsed, parser.Parse());
  *offset = parser.offset();
  return parsed.Pattern(false);
}

absl::StatusOr<char32_t> ParseNumericEscape(absl::string_view pattern, size_t* offset) {
  const char letter = pattern[*offset];
  const int base = letter == 'o' ? 8 : 16;
  size_t begin = *offset + 1;
  size_t end = begin;
  const auto is_digit = [&](size_t i) {
    const char c = i < pattern.size() ? pattern[i] : '\0';
    return base == 8 ? c >= '0' && c <= '7' : absl::ascii_isxdigit(static_cast<unsigned char>(c));
  };
  const bool braced = begin < pattern.size() && pattern[begin] == '{' && letter != 'u';
  if (braced) end = ++begin;
  const size_t digits_max = braced ? 8 : letter == 'u' ? 4 : 2;
  while (end - begin < digits_max && is_digit(end)) ++end;
  const bool closed = !braced || (end < pattern.size() && pattern[end] == '}');
  const bool complete = end > begin && (letter != 'u' || end - begin == 4);
  uint32_t value = 0;
  if (!closed || !complete || (letter == 'o' && !braced)) {
    return SyntaxError(pattern, absl::StrCat("a malformed \\", std::string(1, letter)));
  }
  for (size_t i = begin; i < end; ++i) {
    const char c = absl::ascii_tolower(static_cast<unsigned char>(pattern[i]));
    value = value * static_cast<uint32_t>(base) +
            static_cast<uint32_t>(c <= '9' ? c - '0' : c - 'a' + 10);
  }
  if (value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) {
    return SyntaxError(pattern, "a numeric escape that is no character");
  }
  *offset = braced ? end + 1 : end;
  return static_cast<char32_t>(value);
}

}  // namespace attune
