#include "model/jinja/filters.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/check.h"
#include "common/status_macros.h"
#include "model/jinja/json.h"
#include "model/jinja/methods.h"
#include "model/jinja/operators.h"
#include "model/jinja/sequence_filters.h"
#include "model/jinja/text.h"

namespace attune::jinja {
namespace {

using Bound = std::vector<std::optional<Value>>;

constexpr absl::string_view kNames[] = {"abs",    "capitalize", "count",   "d",      "default",
                                        "e",      "escape",     "float",   "indent", "int",
                                        "length", "lower",      "replace", "round",  "safe",
                                        "string", "title",      "tojson",  "trim",   "upper"};

constexpr int64_t kIndentMax = 1000;
constexpr int64_t kPrecisionMax = 300;  // decimals of |round

// Text as it is, an integer as so many spaces.
absl::StatusOr<std::string> Indentation(const Value& width) {
  if (width.text() != nullptr) return *width.text();
  ATTUNE_ASSIGN_OR_RETURN(const int64_t spaces, IntegerArgument("indent", width));
  if (spaces > kIndentMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("an indentation of ", spaces, "; the limit is ", kIndentMax));
  }
  return std::string(static_cast<size_t>(std::max<int64_t>(spaces, 0)), ' ');
}

absl::StatusOr<Value> ToJson(const Value& value, const Arguments& arguments, Budget& budget) {
  ATTUNE_ASSIGN_OR_RETURN(
      const Bound bound,
      Bind("|tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"}));
  JsonStyle style;
  style.ensure_ascii = bound[0].has_value() && Truth(*bound[0]);
  style.sort_keys = bound[3].has_value() && Truth(*bound[3]);
  if (bound[1].has_value() && !bound[1]->is_none()) {
    ATTUNE_ASSIGN_OR_RETURN(style.indent, Indentation(*bound[1]));
    style.item_separator.assign(1, ',');
  }
  if (bound[2].has_value() && !bound[2]->is_none()) {
    const List* separators = bound[2]->list();
    if (separators == nullptr || separators->items.size() != 2) {
      return absl::InvalidArgumentError("the separators of |tojson must be two texts");
    }
    ATTUNE_ASSIGN_OR_RETURN(style.item_separator, TextArgument("separators", separators->items[0]));
    ATTUNE_ASSIGN_OR_RETURN(style.key_separator, TextArgument("separators", separators->items[1]));
  }
  ATTUNE_ASSIGN_OR_RETURN(std::string json, WriteJson(value, style, budget));
  return TextValue(std::move(json));
}

absl::StatusOr<Value> Indent(const Value& value, const Arguments& arguments, Budget& budget) {
  ATTUNE_ASSIGN_OR_RETURN(const Bound bound,
                          Bind("|indent", arguments, {"width", "first", "blank"}));
  ATTUNE_ASSIGN_OR_RETURN(const std::string text, TextArgument("value", value));
  ATTUNE_ASSIGN_OR_RETURN(const std::string indent,
                          Indentation(bound[0].value_or(Value{int64_t{4}})));
  const bool first = bound[1].has_value() && Truth(*bound[1]);
  const bool blank = bound[2].has_value() && Truth(*bound[2]);
  ATTUNE_RETURN_IF_ERROR(budget.TakeText(text.size()));
  const std::string ended = text + "\n";  // so that a last empty line counts
  const std::vector<absl::string_view> lines = SplitLines(ended, /*keep_ends=*/false);
  const uint64_t size = text.size() + lines.size() * (indent.size() + 1);
  ATTUNE_RETURN_IF_ERROR(CheckTextSize(size));
  ATTUNE_RETURN_IF_ERROR(budget.TakeText(size));
  std::string out = first ? indent : "";
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out += "\n";
    if (i > 0 && (blank || !lines[i].empty())) out += indent;
    out.append(lines[i].data(), lines[i].size());
  }
  return TextValue(std::move(out));
}

absl::StatusOr<Value> Replace(const Value& value, const Arguments& arguments, Budget& budget) {
  ATTUNE_ASSIGN_OR_RETURN(const Bound bound, Bind("|replace", arguments, {"old", "new", "count"}));
  if (!bound[0].has_value() || !bound[1].has_value()) {
    return absl::InvalidArgumentError("|replace needs two texts");
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::string text, ToText(value, budget));
  ATTUNE_ASSIGN_OR_RETURN(const std::string from, ToText(*bound[0], budget));
  ATTUNE_ASSIGN_OR_RETURN(const std::string to, ToText(*bound[1], budget));
  int64_t count = -1;
  if (bound[2].has_value() && !bound[2]->is_none()) {
    ATTUNE_ASSIGN_OR_RETURN(count, IntegerArgument("count", bound[2]));
  }
  return ReplaceText(text, from, to, count, budget);
}

absl::StatusOr<Value> Default(const Value& value, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(const Bound bound,
                          Bind("|default", arguments, {"default_value", "boolean"}));
  const bool boolean = bound[1].has_value() && Truth(*bound[1]);
  if (!value.is_undefined() && (!boolean || Truth(value))) return value;
  return bound[0].value_or(TextValue(""));
}

std::optional<double> ReadFloat(absl::string_view text) {
  double number = 0;
  if (!absl::SimpleAtod(Strip(text, {}, true, true), &number)) return std::nullopt;
  return number;
}

absl::StatusOr<Value> ToInteger(const Value& value, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(const Bound bound, Bind("|int", arguments, {"default", "base"}));
  ATTUNE_RETURN_IF_ERROR(CheckDefined(value));
  ATTUNE_ASSIGN_OR_RETURN(const int64_t base, IntegerArgument("base", bound[1], 10));
  if (base != 10) return absl::InvalidArgumentError("|int is supported only with base 10");
  if (value.integer().has_value()) return Value{*value.integer()};
  std::optional<double> number = value.number();
  if (const std::string* text = value.text()) {
    int64_t integer = 0;
    if (absl::SimpleAtoi(Strip(*text, {}, true, true), &integer)) return Value{integer};
    number = ReadFloat(*text);
  }
  if (!number.has_value() || !std::isfinite(*number)) {
    return bound[0].value_or(Value{int64_t{0}});
  }
  if (std::abs(*number) >= 9.2e18) {
    return absl::InvalidArgumentError("a number is too large; integers have 64 bits");
  }
  return Value{static_cast<int64_t>(*number)};
}

absl::StatusOr<Value> ToFloat(const Value& value, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(const Bound bound, Bind("|float", arguments, {"default"}));
  ATTUNE_RETURN_IF_ERROR(CheckDefined(value));
  const std::optional<double> number =
      value.text() != nullptr ? ReadFloat(*value.text()) : value.number();
  return number.has_value() ? Value{*number} : bound[0].value_or(Value{0.0});
}

absl::StatusOr<Value> Round(const Value& value, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(const Bound bound, Bind("|round", arguments, {"precision", "method"}));
  ATTUNE_ASSIGN_OR_RETURN(const int64_t precision, IntegerArgument("precision", bound[0], 0));
  ATTUNE_RETURN_IF_ERROR(CheckDefined(value));
  const std::optional<double> number = value.number();
  if (!number.has_value() || precision < 0 || precision > kPrecisionMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("|round of '", TypeName(value), "' to ", precision, " decimals"));
  }
  std::string method = "common";
  if (bound[1].has_value()) {
    ATTUNE_ASSIGN_OR_RETURN(method, TextArgument("method", bound[1]));
  }
  if (method == "common") {
    if (value.integer().has_value()) return Value{*value.integer()};
    if (!std::isfinite(*number)) return value;
    // Through the decimal text, which is rounded exactly.
    return Value{std::strtod(absl::StrFormat("%.*f", precision, *number).c_str(), nullptr)};
  }
  if (method != "ceil" && method != "floor") {
    return absl::InvalidArgumentError("method must be common, ceil or floor");
  }
  const double scale = std::pow(10.0, static_cast<double>(precision));
  const double scaled = *number * scale;
  return Value{(method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale};
}

// Those that take any value as a text.
absl::StatusOr<Value> ApplyTextFilter(absl::string_view name, const Value& value,
                                      const Arguments& arguments, Budget& budget) {
  ATTUNE_ASSIGN_OR_RETURN(const std::string text, ToText(value, budget));
  if (name == "trim") {
    ATTUNE_ASSIGN_OR_RETURN(const Bound bound, Bind("|trim", arguments, {"chars"}));
    std::optional<std::string> chars;
    if (bound[0].has_value() && !bound[0]->is_none()) {
      ATTUNE_ASSIGN_OR_RETURN(chars, TextArgument("chars", bound[0]));
      ATTUNE_RETURN_IF_ERROR(budget.TakeText(text.size() * chars->size()));
    }
    return TextValue(std::string(Strip(text, chars, true, true)));
  }
  ATTUNE_RETURN_IF_ERROR(Bind(absl::StrCat("|", name), arguments, {}).status());
  ATTUNE_RETURN_IF_ERROR(budget.TakeText(4 * text.size()));
  if (name == "upper") return TextValue(Upper(text));
  if (name == "lower") return TextValue(Lower(text));
  if (name == "capitalize") return TextValue(Capitalized(text));
  if (name == "title") return TextValue(TitledWords(text));
  if (name == "escape" || name == "e") return TextValue(EscapedForHtml(text));
  ATTUNE_CHECK(name == "string" || name == "safe");
  return TextValue(text);
}

}  // namespace

bool IsFilter(absl::string_view name) {
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames) ||
         IsSequenceFilter(name);
}

absl::StatusOr<Value> ApplyFilter(absl::string_view name, const Value& value,
                                  const Arguments& arguments, Budget& budget) {
  if (!IsFilter(name)) {
    return absl::InvalidArgumentError(absl::StrCat("the filter '", name, "' is not supported"));
  }
  if (IsSequenceFilter(name)) return ApplySequenceFilter(name, value, arguments, budget);
  if (name == "tojson") return ToJson(value, arguments, budget);
  if (name == "default" || name == "d") return Default(value, arguments);
  if (name == "replace") return Replace(value, arguments, budget);
  if (name == "indent") return Indent(value, arguments, budget);
  if (name == "int") return ToInteger(value, arguments);
  if (name == "float") return ToFloat(value, arguments);
  if (name == "round") return Round(value, arguments);
  if (name == "length" || name == "count") {
    ATTUNE_RETURN_IF_ERROR(Bind("|length", arguments, {}).status());
    ATTUNE_ASSIGN_OR_RETURN(const int64_t length, Length(value, budget));
    return Value{length};
  }
  if (name == "abs") {
    ATTUNE_RETURN_IF_ERROR(Bind("|abs", arguments, {}).status());
    if (value.is_float()) return Value{std::abs(*value.number())};
    if (value.integer().has_value() && *value.integer() >= 0) return Value{*value.integer()};
    return Negative(value);
  }
  return ApplyTextFilter(name, value, arguments, budget);
}

}  // namespace attune::jinja
