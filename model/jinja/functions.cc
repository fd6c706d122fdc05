#include "model/jinja/functions.h"

#include <algorithm>
#include <ctime>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "common/status_macros.h"

namespace attune::jinja {
namespace {

constexpr absl::string_view kNames[] = {"dict", "namespace", "raise_exception", "range",
                                        "strftime_now"};

constexpr int64_t kRangeMax = 100'000;  // items, as in the sandbox of jinja2

absl::StatusOr<Value> Range(const Arguments& arguments, Budget& budget) {
  ATTUNE_RETURN_IF_ERROR(Bind("range()", arguments, {"", "", ""}).status());
  std::vector<int64_t> numbers;
  for (const Value& argument : arguments.positional) {
    ATTUNE_ASSIGN_OR_RETURN(numbers.emplace_back(), IntegerArgument("of range()", argument));
  }
  if (numbers.empty()) return absl::InvalidArgumentError("range() has no argument");
  const __int128 start = numbers.size() > 1 ? numbers[0] : 0;
  const __int128 stop = numbers.size() > 1 ? numbers[1] : numbers[0];
  const __int128 step = numbers.size() > 2 ? numbers[2] : 1;
  if (step == 0) return absl::InvalidArgumentError("the step of range() is 0");
  const __int128 span = step > 0 ? stop - start : start - stop;
  const __int128 stride = step > 0 ? step : -step;
  const __int128 count = span <= 0 ? 0 : (span + stride - 1) / stride;
  if (count > kRangeMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("range() of more than ", kRangeMax, " numbers, which is the limit"));
  }
  ATTUNE_RETURN_IF_ERROR(budget.Take(static_cast<uint64_t>(count) + 8));
  std::vector<Value> items;
  for (__int128 i = 0; i < count; ++i) {
    items.push_back({static_cast<int64_t>(start + i * step)});
  }
  return ListValue(List::Kind::kRange, std::move(items));
}

// The members that dict() and namespace() are given.
absl::StatusOr<Dict> Members(absl::string_view callee, const Arguments& arguments, Budget& budget) {
  Dict members;
  for (const Value& argument : arguments.positional) {
    const Dict* dict = argument.dict();
    if (dict == nullptr || arguments.positional.size() > 1) {
      return absl::InvalidArgumentError(absl::StrCat(callee, "() is supported with a dict only"));
    }
    ATTUNE_RETURN_IF_ERROR(budget.Take(dict->items.size()));
    members = *dict;
  }
  ATTUNE_RETURN_IF_ERROR(budget.Take(8 + arguments.named.size()));
  for (const auto& [name, value] : arguments.named) members.Set(TextValue(name), value);
  return members;
}

absl::StatusOr<Value> FormatDate(const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(const auto bound, Bind("strftime_now()", arguments, {"format"}));
  ATTUNE_ASSIGN_OR_RETURN(const std::string format, TextArgument("format", bound[0]));
  std::tm date = {};
  date.tm_year = 124;
  date.tm_mon = 6;
  date.tm_mday = 26;
  date.tm_wday = 5;
  date.tm_yday = 207;
  char text[256];
  const size_t size = std::strftime(text, sizeof(text), format.c_str(), &date);
  if (size == 0 && !format.empty()) {
    return absl::InvalidArgumentError("a date of strftime_now() is too long or empty");
  }
  return TextValue(std::string(text, size));
}

}  // namespace

bool IsFunction(absl::string_view name) {
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

absl::StatusOr<Value> CallFunction(absl::string_view name, const Arguments& arguments,
                                   Budget& budget,
                                   std::vector<std::unique_ptr<Namespace>>* namespaces) {
  if (name == "range") return Range(arguments, budget);
  if (name == "strftime_now") return FormatDate(arguments);
  if (name == "raise_exception") {
    ATTUNE_ASSIGN_OR_RETURN(const auto bound, Bind("raise_exception()", arguments, {"message"}));
    ATTUNE_ASSIGN_OR_RETURN(const std::string message, ToText(bound[0].value_or(Value{}), budget));
    return absl::InvalidArgumentError(absl::StrCat("the template raises: ", message));
  }
  ATTUNE_ASSIGN_OR_RETURN(Dict members, Members(name, arguments, budget));
  if (name == "dict") return DictValue(std::move(members));
  ATTUNE_CHECK(name == "namespace");
  auto& made = namespaces->emplace_back(std::make_unique<Namespace>());
  for (auto& [key, value] : members.items) made->attributes[*key.text()] = std::move(value);
  return Value{made.get()};
}

}  // namespace attune::jinja
