#include "model/tokenizer/regex_syntax.h"

#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "model/tokenizer/character_class.h"
#include "model/tokenizer/utf8.h"

namespace attune {
namespace {

class Translator {
 public:
  explicit Translator(absl::string_view pattern) : pattern_(pattern) {}

  absl::StatusOr<std::string> Run() {
    groups_.push_back({0, 0});
    while (offset_ < pattern_.size()) ATTUNE_RETURN_IF_ERROR(Step());
    if (groups_.size() > 1) return Unsupported("missing closing parenthesis");
    out_.append(groups_.back().open_options, ')');
    return std::move(out_);
  }

 private:
  struct Group {
    size_t begin;         // in out_
    size_t open_options;  // groups opened for (?i) inside it, closed together with it
  };

  absl::Status Unsupported(absl::string_view problem) const {
    return absl::InvalidArgumentError(
        absl::StrCat("regular expression '", pattern_, "' is not supported: ", problem));
  }

  bool At(absl::string_view text) const { return absl::StartsWith(pattern_.substr(offset_), text); }

  void EmitAtom(absl::string_view text) {
    atom_begin_ = out_.size();
    out_.append(text.data(), text.size());
  }

  absl::Status Step() {
    switch (pattern_[offset_]) {
      case '\\':
        return Escape();
      case '[': {
        ATTUNE_ASSIGN_OR_RETURN(const std::string bracket, ParseBracket(pattern_, &offset_));
        EmitAtom(bracket);
        return absl::OkStatus();
      }
      case '(':
        return OpenGroup();
      case ')':
        return CloseGroup();
      case '{':
        return Interval();
      case '*':
      case '+':
      case '?':
      case '|':
        out_.push_back(pattern_[offset_++]);  // the atom before is unchanged
        return absl::OkStatus();
      default: {
        const size_t begin = offset_;
        NextCodePoint(pattern_, &offset_);
        EmitAtom(pattern_.substr(begin, offset_ - begin));
        return absl::OkStatus();
      }
    }
  }

  absl::Status OpenGroup() {
    for (absl::string_view plain : {"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!"}) {
      if (At(plain)) return PushGroup(plain);
    }
    if (At("(?#")) {
      const size_t end = pattern_.find(')', offset_);
      if (end == absl::string_view::npos) return Unsupported("missing closing parenthesis");
      offset_ = end + 1;
      return absl::OkStatus();
    }
    if (At("(?<")) {
      const size_t end = pattern_.find('>', offset_);
      if (end == absl::string_view::npos) return Unsupported("a malformed group name");
      return PushGroup(pattern_.substr(offset_, end + 1 - offset_));
    }
    if (At("(?")) return Options();
    return PushGroup("(");
  }

  absl::Status PushGroup(absl::string_view opening) {
    groups_.push_back({out_.size(), 0});
    offset_ += opening.size();
    out_.append(opening.data(), opening.size());
    return absl::OkStatus();
  }

  absl::Status CloseGroup() {
    if (groups_.size() == 1) return Unsupported("unmatched closing parenthesis");
    ++offset_;
    out_.append(groups_.back().open_options + 1, ')');
    atom_begin_ = groups_.back().begin;
    groups_.pop_back();
    return absl::OkStatus();
  }

  // (?i), (?i:...), (?m-i:...). An option without a body governs the rest of the group, including
  // the alternatives that follow, as if that rest were in parentheses.
  absl::Status Options() {
    std::string options = "(?";
    for (offset_ += 2; offset_ < pattern_.size(); ++offset_) {
      const char c = pattern_[offset_];
      if (c == ':' || c == ')') break;
      if (c != 'i' && c != 'm' && c != '-') {
        return Unsupported(absl::StrCat("(?", std::string(1, c)));
      }
      options.push_back(c == 'm' ? 's' : c);  // Oniguruma's m lets the dot match a newline
    }
    if (offset_ >= pattern_.size()) return Unsupported("missing closing parenthesis");
    options.push_back(':');
    if (pattern_[offset_] == ':') {
      groups_.push_back({out_.size(), 0});
    } else {
      ++groups_.back().open_options;
    }
    ++offset_;
    out_ += options;
    return absl::OkStatus();
  }

  // {n}, {n,}, {n,m} or {,m}; any other brace is literal. Behind an interval, + repeats it again
  // (it is not possessive), and so does ? behind {n}.
  absl::Status Interval() {
    size_t end = offset_ + 1;
    const auto digits = [&] {
      const size_t begin = end;
      while (end < pattern_.size() && absl::ascii_isdigit(pattern_[end])) ++end;
      return pattern_.substr(begin, end - begin);
    };
    const absl::string_view min = digits();
    const bool comma = end < pattern_.size() && pattern_[end] == ',';
    if (comma) ++end;
    const absl::string_view max = comma ? digits() : min;
    if (end >= pattern_.size() || pattern_[end] != '}' || (min.empty() && max.empty())) {
      ++offset_;
      EmitAtom("\\{");
      return absl::OkStatus();
    }
    offset_ = end + 1;
    const std::string interval = comma ? absl::StrCat("{", min.empty() ? "0" : min, ",", max, "}")
                                       : absl::StrCat("{", min, "}");
    out_ += interval;
    const char next = offset_ < pattern_.size() ? pattern_[offset_] : '\0';
    if (next == '+' || next == '*' || next == '{' || (next == '?' && !comma)) {
      out_.insert(atom_begin_, "(?:");
      out_.push_back(')');
    }
    return absl::OkStatus();
  }

  absl::Status Escape() {
    ++offset_;
    if (offset_ >= pattern_.size()) return Unsupported("\\ at its end");
    const char letter = pattern_[offset_];
    if (IsClassEscape(letter)) {
      ++offset_;
      EmitAtom(ClassOfEscape(letter).Pattern(false));
      return absl::OkStatus();
    }
    switch (letter) {
      case 'p':
      case 'P': {
        ATTUNE_ASSIGN_OR_RETURN(const CharacterClass property, ParseProperty(pattern_, &offset_));
        EmitAtom(property.Pattern(false));
        return absl::OkStatus();
      }
      case 'x':
      case 'u':
      case 'o': {
        ATTUNE_ASSIGN_OR_RETURN(const char32_t c, ParseNumericEscape(pattern_, &offset_));
        EmitAtom(HexEscape(c));
        return absl::OkStatus();
      }
      case 'b':
      case 'B': {
        ++offset_;
        EmitAtom(WordBoundary(letter == 'B'));
        return absl::OkStatus();
      }
      case 'v':
        ++offset_;
        EmitAtom("\\x{B}");
        return absl::OkStatus();
      default:
        return PlainEscape(letter);
    }
  }

  static std::string WordBoundary(bool negated) {
    const std::string word = ClassOfEscape('w').Pattern(false);
    const std::string boundary =
        absl::StrCat("(?<=", word, ")(?!", word, ")|(?<!", word, ")(?=", word, ")");
    return negated ? absl::StrCat("(?!", boundary, ")") : absl::StrCat("(?:", boundary, ")");
  }

  // What means the same to both, and characters that stand for themselves.
  absl::Status PlainEscape(char letter) {
    const size_t begin = offset_;
    NextCodePoint(pattern_, &offset_);
    const absl::string_view character = pattern_.substr(begin, offset_ - begin);
    if (character.size() > 1) {
      EmitAtom(character);
      return absl::OkStatus();
    }
    constexpr absl::string_view kSame = "tnrfaeAzZGRKN0123456789k";
    if (absl::ascii_isalnum(static_cast<unsigned char>(letter)) &&
        kSame.find(letter) == absl::string_view::npos) {
      return Unsupported(absl::StrCat("\\", character));
    }
    EmitAtom(absl::StrCat("\\", character));
    return absl::OkStatus();
  }

  const absl::string_view pattern_;
  size_t offset_ = 0;
  std::string out_;
  size_t atom_begin_ = 0;  // in out_: what a quantifier would apply to
  std::vector<Group> groups_;
};

}  // namespace

absl::StatusOr<std::string> Pcre2FromOniguruma(absl::string_view pattern) {
  if (!IsValidUtf8(pattern)) {
    return absl::InvalidArgumentError("a regular expression is not valid UTF-8");
  }
  return Translator(pattern).Run();
}

}  // namespace attune
