#include "oracle/verifier_judges.h"

#include <optional>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "common/digest.h"
#include "common/status_macros.h"
#include "nlohmann/json.hpp"

namespace attune {
namespace {

size_t DigitsFrom(absl::string_view text, size_t begin) {
  size_t end = begin;
  while (end < text.size() && absl::ascii_isdigit(text[end])) ++end;
  return end - begin;
}

// The end of the whole part that begins at `begin`: digits, and groups of three behind commas.
size_t EndOfWhole(absl::string_view text, size_t begin) {
  size_t end = begin + DigitsFrom(text, begin);
  if (end == begin || end - begin > 3) return end;
  while (end < text.size() && text[end] == ',' && DigitsFrom(text, end + 1) == 3) end += 4;
  return end;
}

// Whether a minus stands before the number that begins at `begin`, or before its dollar sign.
bool IsNegative(absl::string_view text, size_t begin) {
  absl::string_view before = text.substr(0, begin);
  if (absl::EndsWith(before, "$")) before.remove_suffix(1);
  if (!absl::ConsumeSuffix(&before, "-")) return false;
  if (before.empty()) return true;
  const char last = before.back();
  return !absl::ascii_isalnum(last) && last != ')' && last != '-' && last != '+';
}

// Whether the point at `point` can begin a number.
bool BeginsWithPoint(absl::string_view text, size_t point) {
  if (DigitsFrom(text, point + 1) == 0) return false;
  return point == 0 || (!absl::ascii_isalnum(text[point - 1]) && text[point - 1] != '.');
}

// The one way to write a value: no zeros at the ends, no commas, no "-0".
std::string Canonical(bool negative, absl::string_view whole, absl::string_view fraction) {
  std::string digits;
  for (const char c : whole) {
    if (c != ',' && (c != '0' || !digits.empty())) digits.push_back(c);
  }
  while (absl::ConsumeSuffix(&fraction, "0")) {
  }
  if (digits.empty() && fraction.empty()) return "0";
  return absl::StrCat(negative ? "-" : "", digits, ".", fraction);
}

// The last number of the text in its canonical form.
std::optional<std::string> LastNumber(absl::string_view text) {
  std::optional<std::string> last;
  for (size_t i = 0; i < text.size();) {
    const bool from_point = text[i] == '.' && BeginsWithPoint(text, i);
    if (!from_point && !absl::ascii_isdigit(text[i])) {
      ++i;
      continue;
    }
    const size_t begin = i;
    const size_t point = EndOfWhole(text, begin);
    size_t fraction = 0;
    if (point < text.size() && text[point] == '.') fraction = DigitsFrom(text, point + 1);
    i = fraction > 0 ? point + 1 + fraction : point;
    last = Canonical(IsNegative(text, begin), text.substr(begin, point - begin),
                     fraction > 0 ? text.substr(point + 1, fraction) : "");
  }
  return last;
}

absl::Status CheckGold(const v1::Candidates& item) {
  if (!item.gold().empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("prompt ", item.prompt_index(),
                   " has no answer to compare responses with; give the dataset "
                   "an \"answer\" or \"gold\" on every line"));
}

// What they decide by is their code alone, whose version is the number in their name.
class VerifierJudge : public ScoringJudge {
 protected:
  explicit VerifierJudge(const std::string& name) : ScoringJudge(name, Sha256Hex(name)) {}
};

class NumericJudge : public VerifierJudge {
 public:
  NumericJudge() : VerifierJudge("numeric/1") {}

  absl::StatusOr<double> Score(const v1::Candidates& item, int index) const override {
    ATTUNE_RETURN_IF_ERROR(CheckGold(item));
    const std::optional<std::string> gold = LastNumber(item.gold());
    if (!gold.has_value()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the dataset's answer to prompt ", item.prompt_index(),
                       " has no number; numeric compares with the last one"));
    }
    return LastNumber(item.responses(index)) == gold ? 1.0 : 0.0;
  }
};

class ExactMatchJudge : public VerifierJudge {
 public:
  ExactMatchJudge() : VerifierJudge("exact_match/1") {}

  absl::StatusOr<double> Score(const v1::Candidates& item, int index) const override {
    ATTUNE_RETURN_IF_ERROR(CheckGold(item));
    const absl::string_view gold = absl::StripAsciiWhitespace(item.gold());
    return absl::StripAsciiWhitespace(item.responses(index)) == gold ? 1.0 : 0.0;
  }
};

class JsonJudge : public VerifierJudge {
 public:
  JsonJudge() : VerifierJudge("json/1") {}

  absl::StatusOr<double> Score(const v1::Candidates& item, int index) const override {
    const std::string& text = item.responses(index);
    // The parser takes a zero byte for the end of the text.
    const bool whole = text.find('\0') == std::string::npos;
    return whole && nlohmann::json::accept(text) ? 1.0 : 0.0;
  }
};

}  // namespace

std::shared_ptr<const Judge> MakeNumericJudge() { return std::make_shared<const NumericJudge>(); }

std::shared_ptr<const Judge> MakeExactMatchJudge() {
  return std::make_shared<const ExactMatchJudge>();
}

std::shared_ptr<const Judge> MakeJsonJudge() { return std::make_shared<const JsonJudge>(); }

}  // namespace attune
