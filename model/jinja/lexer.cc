#include "model/jinja/lexer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "common/status_macros.h"
#include "model/jinja/text.h"
#include "model/tokenizer/utf8.h"

namespace attune::jinja {
namespace {

bool IsNameStart(char c) { return absl::ascii_isalpha(c) || c == '_'; }
bool IsNamePart(char c) { return absl::ascii_isalnum(c) || c == '_'; }

// The code point of `digits`, which must be `count` digits of base `base`.
absl::StatusOr<char32_t> EscapedCodePoint(absl::string_view digits, size_t count, int base) {
  uint32_t code = 0;
  for (char c : digits) {
    const bool valid = base == 8 ? c >= '0' && c <= '7' : absl::ascii_isxdigit(c);
    if (!valid) return absl::InvalidArgumentError("an escape in a string has a wrong digit");
    code = code * base + (absl::ascii_isdigit(c) ? c - '0' : absl::ascii_tolower(c) - 'a' + 10);
  }
  if (digits.size() < count || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
    return absl::InvalidArgumentError("an escape in a string is not a character");
  }
  return static_cast<char32_t>(code);
}

// What follows a backslash at *offset, which moves behind it.
absl::Status AppendEscape(absl::string_view text, size_t* offset, std::string* out) {
  static constexpr absl::string_view kLetters = "abfnrtv\\'\"";
  static constexpr absl::string_view kMeanings = "\a\b\f\n\r\t\v\\'\"";
  const char c = text[(*offset)++];
  if (c == '\n') return absl::OkStatus();  // the line goes on
  if (const size_t letter = kLetters.find(c); letter != kLetters.npos) {
    out->push_back(kMeanings[letter]);
    return absl::OkStatus();
  }
  if (c == 'N') return absl::InvalidArgumentError("the escape \\N is not supported");
  size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
  int base = 16;
  if (c >= '0' && c <= '7') {
    base = 8;
    --*offset;
    while (digits < 3 && *offset + digits < text.size() && text[*offset + digits] >= '0' &&
           text[*offset + digits] <= '7') {
      ++digits;
    }
  }
  if (digits == 0) {  // Python keeps the backslash of an escape that it does not know
    out->append({'\\', c});
    return absl::OkStatus();
  }
  ATTUNE_ASSIGN_OR_RETURN(const char32_t code,
                          EscapedCodePoint(text.substr(*offset, digits), digits, base));
  AppendCodePoint(code, out);
  *offset += digits;
  return absl::OkStatus();
}

class Lexer {
 public:
  explicit Lexer(absl::string_view source) : source_(source) {}

  absl::StatusOr<std::vector<Token>> Run() {
    while (offset_ < source_.size()) ATTUNE_RETURN_IF_ERROR(TextAndTag());
    Add(Token::Kind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  absl::string_view Rest() const { return source_.substr(offset_); }
  bool At(absl::string_view text) const { return absl::StartsWith(Rest(), text); }
  absl::Status Error(absl::string_view problem) const { return ErrorAtLine(line_, problem); }

  void Add(Token::Kind kind, absl::string_view text) {
    tokens_.push_back({kind, std::string(text), line_});
  }

  void Advance(size_t bytes) {
    const absl::string_view passed = source_.substr(offset_, bytes);
    line_ += static_cast<int>(std::count(passed.begin(), passed.end(), '\n'));
    offset_ += passed.size();
  }

  void SkipSpace() { Advance(Rest().size() - Strip(Rest(), {}, true, false).size()); }

  // Up to the next tag, and that tag.
  absl::Status TextAndTag() {
    size_t end = source_.find('{', offset_);
    while (end != source_.npos && end + 1 < source_.size() && source_[end + 1] != '{' &&
           source_[end + 1] != '%' && source_[end + 1] != '#') {
      end = source_.find('{', end + 1);
    }
    if (end == source_.npos || end + 1 == source_.size()) {
      AddText(Rest());
      Advance(Rest().size());
      return absl::OkStatus();
    }
    const bool print = source_[end + 1] == '{';
    const char sign = end + 2 < source_.size() ? source_[end + 2] : ' ';
    AddText(Stripped(source_.substr(offset_, end - offset_), sign, !print));
    Advance(end - offset_);
    const size_t size = sign == '-' || sign == '+' ? 3 : 2;
    if (source_[end + 1] == '#') return Comment(size);
    if (!print && IsRaw(size)) return Raw();
    Add(print ? Token::Kind::kPrintBegin : Token::Kind::kTagBegin, "");
    Advance(size);
    return Inside(print);
  }

  void AddText(absl::string_view text) {
    if (!text.empty()) Add(Token::Kind::kText, text);
  }

  // The text before a tag that begins with `sign`.
  absl::string_view Stripped(absl::string_view text, char sign, bool strip_indent) const {
    if (sign == '-') return Strip(text, {}, false, true);
    if (sign == '+' || !strip_indent) return text;
    const size_t line_begin = text.rfind('\n') + 1;  // 0 if there is none
    if (line_begin == 0 && !line_starting_) return text;
    return Strip(text.substr(line_begin), {}, true, true).empty() ? text.substr(0, line_begin)
                                                                  : text;
  }

  // Behind the end of a tag or comment, `close`, before which `sign` may stand.
  void AfterEnd(char sign, absl::string_view close, bool trim_newline) {
    Advance(close.size() + (sign == '-' || sign == '+' ? 1 : 0));
    if (sign == '-') {
      SkipSpace();
    } else if (trim_newline && sign != '+' && At("\n")) {
      Advance(1);
    }
    line_starting_ = source_[offset_ - 1] == '\n';
  }

  // One whose opening has `size` bytes.
  absl::Status Comment(size_t size) {
    const size_t end = source_.find("#}", offset_ + size);
    if (end == source_.npos) return Error("the comment has no end, #}");
    const char sign = end > offset_ + size ? source_[end - 1] : ' ';
    Advance(end - offset_ - (sign == '-' || sign == '+' ? 1 : 0));
    AfterEnd(sign, "#}", /*trim_newline=*/true);
    return absl::OkStatus();
  }

  // Whether a tag whose opening has `size` bytes is {% raw %}, and where that ends.
  bool IsRaw(size_t size) {
    absl::string_view rest = Strip(Rest().substr(size), {}, true, false);
    if (!absl::ConsumePrefix(&rest, "raw")) return false;
    rest = Strip(rest, {}, true, false);
    raw_sign_ = absl::ConsumePrefix(&rest, "-") ? '-' : ' ';
    raw_size_ = Rest().size() - rest.size() - (raw_sign_ == '-' ? 1 : 0);
    return absl::StartsWith(rest, "%}");
  }

  absl::Status Raw() {
    const int begin_line = line_;
    Advance(raw_size_);
    AfterEnd(raw_sign_, "%}", /*trim_newline=*/false);
    for (size_t end = offset_; (end = source_.find("{%", end)) != source_.npos; end += 2) {
      absl::string_view rest = source_.substr(end + 2);
      const char sign = rest.empty() ? ' ' : rest[0];
      if (sign == '-' || sign == '+') rest.remove_prefix(1);
      rest = Strip(rest, {}, true, false);
      if (!absl::ConsumePrefix(&rest, "endraw")) continue;
      rest = Strip(rest, {}, true, false);
      const char end_sign = rest.empty() ? ' ' : rest[0];
      const size_t size = rest.size();
      if (end_sign == '-' || end_sign == '+') rest.remove_prefix(1);
      if (!absl::StartsWith(rest, "%}")) continue;
      AddText(Stripped(source_.substr(offset_, end - offset_), sign, true));
      Advance(source_.size() - size - offset_);
      AfterEnd(end_sign, "%}", /*trim_newline=*/true);
      return absl::OkStatus();
    }
    return ErrorAtLine(begin_line, "{% raw %} has no {% endraw %}");
  }

  // The tokens of a tag, up to and with its end.
  absl::Status Inside(bool print) {
    const int begin_line = line_;
    const absl::string_view close = print ? "}}" : "%}";
    std::vector<char> open;  // brackets
    for (SkipSpace(); offset_ < source_.size(); SkipSpace()) {
      const char sign = At("-") || (At("+") && !print) ? source_[offset_] : ' ';
      if (open.empty() && absl::StartsWith(Rest().substr(sign == ' ' ? 0 : 1), close)) {
        Add(print ? Token::Kind::kPrintEnd : Token::Kind::kTagEnd, "");
        AfterEnd(sign, close, /*trim_newline=*/!print);
        return absl::OkStatus();
      }
      ATTUNE_RETURN_IF_ERROR(One(&open));
    }
    return ErrorAtLine(begin_line, absl::StrCat("the tag has no end, ", close));
  }

  absl::Status One(std::vector<char>* open) {
    const char c = source_[offset_];
    if (IsNameStart(c)) {
      size_t size = 1;
      while (size < Rest().size() && IsNamePart(Rest()[size])) ++size;
      Add(Token::Kind::kName, Rest().substr(0, size));
      Advance(size);
      return absl::OkStatus();
    }
    if (absl::ascii_isdigit(c)) return Number();
    if (c == '\'' || c == '"') return String(c);
    return Operator(open);
  }

  size_t DigitsAt(size_t at) const {
    size_t end = at;
    while (end < source_.size() && absl::ascii_isdigit(source_[end])) ++end;
    return end - at;
  }

  absl::Status Number() {
    size_t size = DigitsAt(offset_);
    bool is_float = false;
    const bool member = offset_ > 0 && source_[offset_ - 1] == '.';  // of x.0.1
    if (!member && At(absl::StrCat(Rest().substr(0, size), "."))) {
      if (const size_t fraction = DigitsAt(offset_ + size + 1); fraction > 0) {
        size += 1 + fraction;
        is_float = true;
      }
    }
    if (!member && absl::StartsWithIgnoreCase(Rest().substr(size), "e")) {
      const char sign = offset_ + size + 1 < source_.size() ? source_[offset_ + size + 1] : ' ';
      const size_t begin = size + (sign == '-' || sign == '+' ? 2 : 1);
      if (const size_t exponent = DigitsAt(offset_ + begin); exponent > 0) {
        size = begin + exponent;
        is_float = true;
      }
    }
    if (size < Rest().size() && IsNamePart(Rest()[size])) {
      return Error(absl::StrCat("the number ", Rest().substr(0, size + 1), "... is not supported"));
    }
    Add(is_float ? Token::Kind::kFloat : Token::Kind::kInteger, Rest().substr(0, size));
    Advance(size);
    return absl::OkStatus();
  }

  absl::Status String(char quote) {
    std::string text;
    for (size_t at = offset_ + 1; at < source_.size();) {
      if (source_[at] == quote) {
        Add(Token::Kind::kString, text);
        Advance(at + 1 - offset_);
        return absl::OkStatus();
      }
      if (source_[at] != '\\') {
        text.push_back(source_[at++]);
      } else if (++at < source_.size()) {
        const absl::Status status = AppendEscape(source_, &at, &text);
        if (!status.ok()) return Error(status.message());
      }
    }
    return Error("a string has no end");
  }

  absl::Status Operator(std::vector<char>* open) {
    for (absl::string_view two : {"==", "!=", ">=", "<=", "//", "**"}) {
      if (!At(two)) continue;
      Add(Token::Kind::kOperator, two);
      Advance(2);
      return absl::OkStatus();
    }
    const absl::string_view c = Rest().substr(0, SequenceLength(source_[offset_]));
    if (c.size() > 1 || !absl::StrContains("+-*/%~()[]{}<>=.:|,", c)) {
      return Error(absl::StrCat("'", c, "' does not belong in a tag"));
    }
    if (absl::StrContains("([{", c)) {
      open->push_back(c == "(" ? ')' : c == "[" ? ']' : '}');
    } else if (absl::StrContains(")]}", c)) {
      if (open->empty() || open->back() != c[0])
        return Error(absl::StrCat("'", c, "' is too much"));
      open->pop_back();
    }
    Add(Token::Kind::kOperator, c);
    Advance(1);
    return absl::OkStatus();
  }

  const absl::string_view source_;
  size_t offset_ = 0;
  int line_ = 1;
  bool line_starting_ = true;  // the last tag, and what it trims, ended with its line
  char raw_sign_ = ' ';        // of the last {% raw %}
  size_t raw_size_ = 0;        // without its end
  std::vector<Token> tokens_;
};

}  // namespace

absl::StatusOr<std::vector<Token>> Tokenize(absl::string_view source) {
  std::string text = absl::StrReplaceAll(source, {{"\r\n", "\n"}, {"\r", "\n"}});
  if (absl::EndsWith(text, "\n")) text.pop_back();
  return Lexer(text).Run();
}

absl::Status ErrorAtLine(int line, absl::string_view problem) {
  return absl::InvalidArgumentError(absl::StrCat("line ", line, ": ", problem));
}

}  // namespace attune::jinja
