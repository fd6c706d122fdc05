#include "model/jinja/methods.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/check.h"
#include "common/status_macros.h"
#include "model/jinja/operators.h"
#include "model/jinja/text.h"

namespace attune::jinja {
namespace {

constexpr absl::string_view kTextMethods[] = {
    "capitalize", "count", "endswith", "find",         "join",        "lower",      "lstrip",
    "replace",    "rfind", "rsplit",   "rstrip",       "split",       "splitlines", "startswith",
    "strip",      "title", "upper",    "removeprefix", "removesuffix"};
constexpr absl::string_view kDictMethods[] = {"get", "items", "keys", "values"};
constexpr absl::string_view kListMethods[] = {"count", "index"};
constexpr absl::string_view kChangingMethods[] = {  // of lists and dicts
    "append", "clear",   "extend",     "insert", "pop",   "popitem",
    "remove", "reverse", "setdefault", "sort",   "update"};
constexpr absl::string_view kUnsupportedMethods[] = {
    "casefold",   "center",   "changed",      "copy",      "cycle",     "decode",      "encode",
    "expandtabs", "format",   "format_map",   "fromkeys",  "isalnum",   "isalpha",     "isascii",
    "isdecimal",  "isdigit",  "isidentifier", "islower",   "isnumeric", "isprintable", "isspace",
    "istitle",    "isupper",  "ljust",        "maketrans", "partition", "rindex",      "rjust",
    "rpartition", "swapcase", "translate",    "zfill"};

template <size_t size>
bool IsIn(absl::string_view name, const absl::string_view (&names)[size]) {
  return std::find(names, names + size, name) != names + size;
}

using Bound = std::vector<std::optional<Value>>;

std::optional<absl::string_view> OptionalText(const std::optional<Value>& value) {
  if (!value.has_value() || value->text() == nullptr) return std::nullopt;
  return absl::string_view(*value->text());
}

// None, like nothing at all, means white space.
absl::Status CheckTextOrNone(absl::string_view name, const std::optional<Value>& value) {
  if (!value.has_value() || value->is_none()) return absl::OkStatus();
  return TextArgument(name, value).status();
}

absl::StatusOr<Value> StripText(const std::string& text, absl::string_view name,
                                const Arguments& arguments, Budget& budget) {
  ATTUNE_ASSIGN_OR_RETURN(const Bound bound, Bind(name, arguments, {"chars"}));
  ATTUNE_RETURN_IF_ERROR(CheckTextOrNone("chars", bound[0]));
  const std::optional<absl::string_view> chars = OptionalText(bound[0]);
  ATTUNE_RETURN_IF_ERROR(budget.TakeText(text.size() * (chars.has_value() ? chars->size() : 1)));
  return TextValue(std::string(Strip(text, chars, name != "rstrip", name != "lstrip")));
}

absl::StatusOr<Value> SplitText(const std::string& text, absl::string_view name,
                                const Arguments& arguments, Budget& budget) {
  ATTUNE_ASSIGN_OR_RETURN(const Bound bound, Bind(name, arguments, {"sep", "maxsplit"}));
  ATTUNE_RETURN_IF_ERROR(CheckTextOrNone("sep", bound[0]));
  const std::optional<absl::string_view> separator = OptionalText(bound[0]);
  ATTUNE_ASSIGN_OR_RETURN(const int64_t splits_max, IntegerArgument("maxsplit", bound[1], -1));
  if (separator.has_value() && separator->empty()) {
    return absl::InvalidArgumentError("the separator of a split is empty");
  }
  if (name == "split") {
    ATTUNE_RETURN_IF_ERROR(budget.TakeText(text.size()));
    return TextList(Split(text, separator, splits_max), budget);
  }
  // Searching from the end is not linear.
  ATTUNE_RETURN_IF_ERROR(
      budget.TakeText(text.size() * (separator.has_value() ? separator->size() : 1)));
  return TextList(SplitFromEnd(text, separator, splits_max), budget);
}

absl::StatusOr<Value> AffixOf(const std::string& text, bool at_start, const Value& affix,
                              Budget& budget) {
  ATTUNE_RETURN_IF_ERROR(budget.Take(1));
  if (const List* list = affix.list(); list != nullptr && list->kind == List::Kind::kTuple) {
    for (const Value& item : list->items) {
      ATTUNE_RETURN_IF_ERROR(TextArgument("prefix", item).status());
      ATTUNE_ASSIGN_OR_RETURN(const Value found, AffixOf(text, at_start, item, budget));
      if (Truth(found)) return found;
    }
    return Value{false};
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::string part, TextArgument("prefix", affix));
  ATTUNE_RETURN_IF_ERROR(budget.TakeText(part.size()));
  return Value{at_start ? absl::StartsWith(text, part) : absl::EndsWith(text, part)};
}

// The character, not the byte, at which `part` is found, or -1.
absl::StatusOr<Value> FindInText(const std::string& text, absl::string_view name,
                                 const Arguments& arguments, Budget& budget) {
  ATTUNE_ASSIGN_OR_RETURN(const Bound bound, Bind(name, arguments, {"sub"}));
  ATTUNE_ASSIGN_OR_RETURN(const std::string part, TextArgument("sub", bound[0]));
  ATTUNE_RETURN_IF_ERROR(budget.TakeText(text.size() * (name == "rfind" ? part.size() + 1 : 1)));
  if (name == "count") return Value{CountOf(text, part)};
  const size_t at = name == "find" ? Find(text, part) : text.rfind(part);
  if (at == text.npos) return Value{int64_t{-1}};
  return Value{static_cast<int64_t>(CharacterCount(absl::string_view(text).substr(0, at)))};
}

absl::StatusOr<Value> JoinMethod(const std::string& separator, const Arguments& arguments,
                                 Budget& budget) {
  ATTUNE_ASSIGN_OR_RETURN(const Bound bound, Bind("join", arguments, {"iterable"}));
  if (!bound[0].has_value()) return absl::InvalidArgumentError("join has no argument");
  ATTUNE_ASSIGN_OR_RETURN(const std::shared_ptr<const List> items, Iterate(*bound[0], budget));
  std::vector<std::string> texts;
  for (const Value& item : items->items) {
    ATTUNE_ASSIGN_OR_RETURN(texts.emplace_back(), TextArgument("item of join", item));
    ATTUNE_RETURN_IF_ERROR(budget.TakeText(texts.back().size()));
  }
  return JoinTexts(texts, separator, budget);
}

absl::StatusOr<Value> ReplaceMethod(const std::string& text, const Arguments& arguments,
                                    Budget& budget) {
  ATTUNE_ASSIGN_OR_RETURN(const Bound bound, Bind("replace", arguments, {"old", "new", "count"}));
  ATTUNE_ASSIGN_OR_RETURN(const std::string from, TextArgument("old", bound[0]));
  ATTUNE_ASSIGN_OR_RETURN(const std::string to, TextArgument("new", bound[1]));
  ATTUNE_ASSIGN_OR_RETURN(const int64_t count, IntegerArgument("count", bound[2], -1));
  return ReplaceText(text, from, to, count, budget);
}

absl::StatusOr<Value> RemoveAffix(const std::string& text, absl::string_view name,
                                  const Arguments& arguments, Budget& budget) {
  ATTUNE_ASSIGN_OR_RETURN(const Bound bound, Bind(name, arguments, {"affix"}));
  ATTUNE_ASSIGN_OR_RETURN(const std::string affix, TextArgument("affix", bound[0]));
  ATTUNE_RETURN_IF_ERROR(budget.TakeText(text.size()));
  absl::string_view rest = text;
  if (name == "removeprefix" ? absl::ConsumePrefix(&rest, affix)
                             : absl::ConsumeSuffix(&rest, affix)) {
    return TextValue(std::string(rest));
  }
  return TextValue(text);
}

absl::StatusOr<Value> CallTextMethod(const std::string& text, absl::string_view name,
                                     const Arguments& arguments, Budget& budget) {
  if (absl::EndsWith(name, "strip")) return StripText(text, name, arguments, budget);
  if (absl::EndsWith(name, "split")) return SplitText(text, name, arguments, budget);
  if (name == "join") return JoinMethod(text, arguments, budget);
  if (name == "replace") return ReplaceMethod(text, arguments, budget);
  if (absl::StartsWith(name, "remove")) return RemoveAffix(text, name, arguments, budget);
  if (name == "find" || name == "rfind" || name == "count") {
    return FindInText(text, name, arguments, budget);
  }
  ATTUNE_RETURN_IF_ERROR(budget.TakeText(text.size()));
  if (name == "startswith" || name == "endswith") {
    ATTUNE_ASSIGN_OR_RETURN(const Bound bound, Bind(name, arguments, {"prefix"}));
    if (!bound[0].has_value()) return TextArgument("prefix", bound[0]).status();
    return AffixOf(text, name == "startswith", *bound[0], budget);
  }
  if (name == "splitlines") {
    ATTUNE_ASSIGN_OR_RETURN(const Bound bound, Bind(name, arguments, {"keepends"}));
    return TextList(SplitLines(text, bound[0].has_value() && Truth(*bound[0])), budget);
  }
  ATTUNE_RETURN_IF_ERROR(Bind(name, arguments, {}).status());
  ATTUNE_RETURN_IF_ERROR(budget.TakeText(4 * text.size()));
  if (name == "upper") return TextValue(Upper(text));
  if (name == "lower") return TextValue(Lower(text));
  if (name == "title") return TextValue(Titled(text));
  ATTUNE_CHECK(name == "capitalize");
  return TextValue(Capitalized(text));
}

absl::StatusOr<Value> CallDictMethod(const Dict& dict, absl::string_view name,
                                     const Arguments& arguments, Budget& budget) {
  if (name == "get") {
    ATTUNE_ASSIGN_OR_RETURN(const Bound bound, Bind(name, arguments, {"key", "default"}));
    if (!bound[0].has_value()) return absl::InvalidArgumentError("get has no key");
    const std::string* key = bound[0]->text();
    const Value* value = key == nullptr ? nullptr : dict.Find(*key);
    return value != nullptr ? *value : bound[1].value_or(Value{});
  }
  ATTUNE_RETURN_IF_ERROR(Bind(name, arguments, {}).status());
  if (name == "items") return DictItems(dict, List::Kind::kView, budget);
  ATTUNE_RETURN_IF_ERROR(budget.Take(dict.items.size()));
  std::vector<Value> items;
  for (const auto& [key, value] : dict.items) items.push_back(name == "keys" ? key : value);
  return ListValue(List::Kind::kView, std::move(items));
}

absl::StatusOr<Value> CallListMethod(const List& list, absl::string_view name,
                                     const Arguments& arguments, Budget& budget) {
  ATTUNE_ASSIGN_OR_RETURN(const Bound bound, Bind(name, arguments, {"value"}));
  if (!bound[0].has_value()) return absl::InvalidArgumentError(absl::StrCat(name, " of nothing"));
  int64_t count = 0;
  for (size_t i = 0; i < list.items.size(); ++i) {
    ATTUNE_ASSIGN_OR_RETURN(const bool equal, Equal(list.items[i], *bound[0], budget));
    if (equal && name == "index") return Value{static_cast<int64_t>(i)};
    count += equal ? 1 : 0;
  }
  if (name == "index") return absl::InvalidArgumentError("the list has no such item");
  return Value{count};
}

}  // namespace

bool IsUnsupportedMethod(absl::string_view name) { return IsIn(name, kUnsupportedMethods); }

absl::StatusOr<std::optional<Value>> FindMethod(const Value& self, absl::string_view name) {
  const List* list = self.list();
  const bool changes =
      (self.dict() != nullptr || (list != nullptr && list->kind == List::Kind::kList)) &&
      IsIn(name, kChangingMethods);
  if (changes) {
    return absl::InvalidArgumentError(absl::StrCat("the method .", name, " would change a ",
                                                   TypeName(self), ", which templates may not"));
  }
  const bool found = (self.text() != nullptr && IsIn(name, kTextMethods)) ||
                     (self.dict() != nullptr && IsIn(name, kDictMethods)) ||
                     (list != nullptr && list->kind != List::Kind::kView &&
                      list->kind != List::Kind::kIterator && IsIn(name, kListMethods));
  if (!found) return std::optional<Value>();
  ATTUNE_ASSIGN_OR_RETURN(Value method, MethodValue(self, name));
  return std::optional<Value>(std::move(method));
}

absl::StatusOr<Value> CallMethod(const Value& self, absl::string_view name,
                                 const Arguments& arguments, Budget& budget) {
  if (const std::string* text = self.text()) return CallTextMethod(*text, name, arguments, budget);
  if (const Dict* dict = self.dict()) return CallDictMethod(*dict, name, arguments, budget);
  ATTUNE_CHECK(self.list() != nullptr);
  return CallListMethod(*self.list(), name, arguments, budget);
}

absl::StatusOr<Value> TextList(const std::vector<absl::string_view>& parts, Budget& budget) {
  ATTUNE_RETURN_IF_ERROR(budget.Take(8 * parts.size()));
  std::vector<Value> items;
  items.reserve(parts.size());
  for (absl::string_view part : parts) {
    ATTUNE_RETURN_IF_ERROR(budget.TakeText(part.size()));
    items.push_back(TextValue(std::string(part)));
  }
  return ListValue(List::Kind::kList, std::move(items));
}

absl::StatusOr<Value> DictItems(const Dict& dict, List::Kind kind, Budget& budget) {
  ATTUNE_RETURN_IF_ERROR(budget.Take(8 * dict.items.size()));
  std::vector<Value> items;
  for (const auto& [key, value] : dict.items) {
    ATTUNE_ASSIGN_OR_RETURN(items.emplace_back(), ListValue(List::Kind::kTuple, {key, value}));
  }
  return ListValue(kind, std::move(items));
}

absl::StatusOr<Value> ReplaceText(absl::string_view text, absl::string_view from,
                                  absl::string_view to, int64_t count, Budget& budget) {
  ATTUNE_RETURN_IF_ERROR(budget.TakeText(text.size()));
  uint64_t times = static_cast<uint64_t>(CountOf(text, from));
  if (count >= 0) times = std::min(times, static_cast<uint64_t>(count));
  const uint64_t size = text.size() + times * to.size() - times * from.size();
  ATTUNE_RETURN_IF_ERROR(CheckTextSize(size));
  ATTUNE_RETURN_IF_ERROR(budget.TakeText(size));
  return TextValue(Replaced(text, from, to, count));
}

absl::StatusOr<Value> JoinTexts(const std::vector<std::string>& items, absl::string_view separator,
                                Budget& budget) {
  uint64_t size = items.size() * separator.size();
  for (const std::string& item : items) size += item.size();
  ATTUNE_RETURN_IF_ERROR(CheckTextSize(size));
  ATTUNE_RETURN_IF_ERROR(budget.TakeText(size));
  return TextValue(absl::StrJoin(items, separator));
}

}  // namespace attune::jinja
