#include "model/jinja/sequence_filters.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/status_macros.h"
#include "model/jinja/filters.h"
#include "model/jinja/methods.h"
#include "model/jinja/operators.h"
#include "model/jinja/predicates.h"
#include "model/jinja/text.h"

namespace attune::jinja {
namespace {

using Kind = List::Kind;
using Bound = std::vector<std::optional<Value>>;

constexpr absl::string_view kNames[] = {
    "dictsort", "first",      "items",   "join",   "last",       "list", "map", "max",   "min",
    "reject",   "rejectattr", "reverse", "select", "selectattr", "sort", "sum", "unique"};

// These would apply themselves to the items of the items, and so on.
bool AppliesOthers(absl::string_view name) {
  return name == "map" || absl::StartsWith(name, "select") || absl::StartsWith(name, "reject");
}

// The member that "a.b.0" or 0 names. No path at all: `value` itself.
absl::StatusOr<Value> Member(Value value, const std::optional<Value>& path, Budget& budget) {
  ATTUNE_RETURN_IF_ERROR(budget.Take(1));
  if (!path.has_value() || path->is_none()) return value;
  if (path->text() == nullptr) return Item(value, *path, budget);
  ATTUNE_RETURN_IF_ERROR(budget.TakeText(path->text()->size()));
  for (absl::string_view part : absl::StrSplit(*path->text(), '.')) {
    int64_t index = 0;
    const bool digits = part.find_first_not_of("0123456789") == part.npos;
    const Value key =
        digits && absl::SimpleAtoi(part, &index) ? Value{index} : TextValue(std::string(part));
    ATTUNE_ASSIGN_OR_RETURN(value, Item(value, key, budget));
  }
  return value;
}

// What the filters that compare compare.
absl::StatusOr<Value> SortKey(const Value& value, const std::optional<Value>& path,
                              bool case_sensitive, Budget& budget) {
  ATTUNE_ASSIGN_OR_RETURN(Value key, Member(value, path, budget));
  if (case_sensitive || key.text() == nullptr) return key;
  ATTUNE_RETURN_IF_ERROR(budget.TakeText(key.text()->size()));
  return TextValue(Lower(*key.text()));
}

// Items by their keys; equal ones stay in order.
absl::StatusOr<Value> SortByKeys(std::vector<std::pair<Value, Value>> keyed, bool reverse,
                                 Budget& budget) {
  absl::Status failure;
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    if (!failure.ok()) return false;
    const auto order = reverse ? Order(b.first, a.first, budget) : Order(a.first, b.first, budget);
    failure.Update(order.status());
    return order.ok() && *order < 0;
  });
  ATTUNE_RETURN_IF_ERROR(failure);
  std::vector<Value> items;
  for (auto& [key, item] : keyed) items.push_back(std::move(item));
  return ListValue(Kind::kList, std::move(items));
}

absl::StatusOr<Value> Sort(const Value& value, const Arguments& arguments, Budget& budget) {
  ATTUNE_ASSIGN_OR_RETURN(const Bound bound,
                          Bind("|sort", arguments, {"reverse", "case_sensitive", "attribute"}));
  ATTUNE_ASSIGN_OR_RETURN(const auto list, Iterate(value, budget));
  const bool case_sensitive = bound[1].has_value() && Truth(*bound[1]);
  std::vector<std::optional<Value>> paths = {bound[2]};
  if (bound[2].has_value() && bound[2]->text() != nullptr) {  // "a,b": by a, then by b
    paths.clear();
    for (absl::string_view path : absl::StrSplit(*bound[2]->text(), ',')) {
      paths.push_back(TextValue(std::string(path)));
    }
  }
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : list->items) {
    std::vector<Value> keys;
    for (const std::optional<Value>& path : paths) {
      ATTUNE_ASSIGN_OR_RETURN(keys.emplace_back(), SortKey(item, path, case_sensitive, budget));
    }
    ATTUNE_ASSIGN_OR_RETURN(Value key, ListValue(Kind::kList, std::move(keys)));
    keyed.emplace_back(std::move(key), item);
  }
  return SortByKeys(std::move(keyed), bound[0].has_value() && Truth(*bound[0]), budget);
}

absl::StatusOr<Value> DictSort(const Value& value, const Arguments& arguments, Budget& budget) {
  ATTUNE_ASSIGN_OR_RETURN(const Bound bound,
                          Bind("|dictsort", arguments, {"case_sensitive", "by", "reverse"}));
  ATTUNE_RETURN_IF_ERROR(CheckDefined(value));
  if (value.dict() == nullptr) return absl::InvalidArgumentError("|dictsort is for dicts");
  std::string by = "key";
  if (bound[1].has_value()) {
    ATTUNE_ASSIGN_OR_RETURN(by, TextArgument("by", bound[1]));
  }
  if (by != "key" && by != "value") {
    return absl::InvalidArgumentError("|dictsort sorts by 'key' or 'value'");
  }
  const bool case_sensitive = bound[0].has_value() && Truth(*bound[0]);
  ATTUNE_ASSIGN_OR_RETURN(const Value items, DictItems(*value.dict(), Kind::kList, budget));
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : items.list()->items) {
    ATTUNE_ASSIGN_OR_RETURN(
        Value key, SortKey(item.list()->items[by == "key" ? 0 : 1], {}, case_sensitive, budget));
    keyed.emplace_back(std::move(key), item);
  }
  return SortByKeys(std::move(keyed), bound[2].has_value() && Truth(*bound[2]), budget);
}

absl::StatusOr<Value> Extreme(absl::string_view name, const Value& value,
                              const Arguments& arguments, Budget& budget) {
  ATTUNE_ASSIGN_OR_RETURN(const Bound bound,
                          Bind(name, arguments, {"case_sensitive", "attribute"}));
  ATTUNE_ASSIGN_OR_RETURN(const auto list, Iterate(value, budget));
  if (list->items.empty()) return UndefinedValue("No aggregated item, sequence was empty.");
  const bool case_sensitive = bound[0].has_value() && Truth(*bound[0]);
  Value best = list->items[0];
  ATTUNE_ASSIGN_OR_RETURN(Value best_key, SortKey(best, bound[1], case_sensitive, budget));
  for (size_t i = 1; i < list->items.size(); ++i) {
    ATTUNE_ASSIGN_OR_RETURN(Value key, SortKey(list->items[i], bound[1], case_sensitive, budget));
    ATTUNE_ASSIGN_OR_RETURN(const std::partial_ordering order, Order(key, best_key, budget));
    if (name == "min" ? order < 0 : order > 0) {
      best = list->items[i];
      best_key = std::move(key);
    }
  }
  return best;
}

absl::StatusOr<Value> Sum(const Value& value, const Arguments& arguments, Budget& budget) {
  ATTUNE_ASSIGN_OR_RETURN(const Bound bound, Bind("|sum", arguments, {"attribute", "start"}));
  ATTUNE_ASSIGN_OR_RETURN(const auto list, Iterate(value, budget));
  Value sum = bound[1].value_or(Value{int64_t{0}});
  if (sum.text() != nullptr) return absl::InvalidArgumentError("|sum is not for texts");
  for (const Value& item : list->items) {
    ATTUNE_ASSIGN_OR_RETURN(const Value member, Member(item, bound[0], budget));
    ATTUNE_ASSIGN_OR_RETURN(sum, Arithmetic("+", sum, member, budget));
  }
  return sum;
}

absl::StatusOr<Value> Unique(const Value& value, const Arguments& arguments, Budget& budget) {
  ATTUNE_ASSIGN_OR_RETURN(const Bound bound,
                          Bind("|unique", arguments, {"case_sensitive", "attribute"}));
  ATTUNE_ASSIGN_OR_RETURN(const auto list, Iterate(value, budget));
  const bool case_sensitive = bound[0].has_value() && Truth(*bound[0]);
  std::vector<Value> keys;
  std::vector<Value> items;
  for (const Value& item : list->items) {
    ATTUNE_ASSIGN_OR_RETURN(const Value key, SortKey(item, bound[1], case_sensitive, budget));
    if (key.dict() != nullptr || (key.list() != nullptr && key.list()->kind == Kind::kList)) {
      return absl::InvalidArgumentError(
          absl::StrCat("|unique cannot compare items of type '", TypeName(key), "'"));
    }
    bool seen = false;
    for (size_t i = 0; i < keys.size() && !seen; ++i) {
      ATTUNE_ASSIGN_OR_RETURN(seen, Equal(keys[i], key, budget));
    }
    if (seen) continue;
    keys.push_back(key);
    items.push_back(item);
  }
  return ListValue(Kind::kIterator, std::move(items));
}

absl::StatusOr<Value> Join(const Value& value, const Arguments& arguments, Budget& budget) {
  ATTUNE_ASSIGN_OR_RETURN(const Bound bound, Bind("|join", arguments, {"d", "attribute"}));
  ATTUNE_ASSIGN_OR_RETURN(const auto list, Iterate(value, budget));
  ATTUNE_ASSIGN_OR_RETURN(const std::string separator,
                          ToText(bound[0].value_or(TextValue("")), budget));
  std::vector<std::string> texts;
  for (const Value& item : list->items) {
    ATTUNE_ASSIGN_OR_RETURN(const Value member, Member(item, bound[1], budget));
    ATTUNE_ASSIGN_OR_RETURN(texts.emplace_back(), ToText(member, budget));
  }
  return JoinTexts(texts, separator, budget);
}

// The name that a filter or test is given by, from the arguments of one that applies it.
absl::StatusOr<std::string> TakeName(absl::string_view parameter, Arguments* arguments) {
  const std::optional<Value> name = arguments->positional[0];
  arguments->positional.erase(arguments->positional.begin());
  return TextArgument(parameter, name);
}

absl::StatusOr<Value> Map(const Value& value, Arguments arguments, Budget& budget) {
  Bound bound(2);
  std::string filter;
  if (arguments.positional.empty()) {
    ATTUNE_ASSIGN_OR_RETURN(bound, Bind("|map", arguments, {"attribute", "default"}));
    if (!bound[0].has_value()) return absl::InvalidArgumentError("|map needs a filter");
  } else {
    ATTUNE_ASSIGN_OR_RETURN(filter, TakeName("filter", &arguments));
    if (AppliesOthers(filter)) {
      return absl::InvalidArgumentError(absl::StrCat("|map('", filter, "') is not supported"));
    }
  }
  std::vector<Value> items;
  if (!Truth(value)) return ListValue(Kind::kIterator, {});
  ATTUNE_ASSIGN_OR_RETURN(const auto list, Iterate(value, budget));
  for (const Value& item : list->items) {
    if (filter.empty()) {
      ATTUNE_ASSIGN_OR_RETURN(items.emplace_back(), Member(item, bound[0], budget));
      const bool defaults = bound[1].has_value() && !bound[1]->is_none();
      if (items.back().is_undefined() && defaults) items.back() = *bound[1];
    } else {
      ATTUNE_RETURN_IF_ERROR(budget.Take(1));
      ATTUNE_ASSIGN_OR_RETURN(items.emplace_back(), ApplyFilter(filter, item, arguments, budget));
    }
  }
  return ListValue(Kind::kIterator, std::move(items));
}

// select, reject, selectattr and rejectattr.
absl::StatusOr<Value> Select(absl::string_view name, const Value& value, Arguments arguments,
                             Budget& budget) {
  std::optional<Value> path;
  if (absl::EndsWith(name, "attr")) {
    if (arguments.positional.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("|", name, " needs the name of an attribute"));
    }
    path = arguments.positional[0];
    arguments.positional.erase(arguments.positional.begin());
  }
  std::string test;
  if (!arguments.positional.empty()) {
    ATTUNE_ASSIGN_OR_RETURN(test, TakeName("test", &arguments));
  }
  const bool wanted = absl::StartsWith(name, "select");
  std::vector<Value> items;
  if (!Truth(value)) return ListValue(Kind::kIterator, {});
  ATTUNE_ASSIGN_OR_RETURN(const auto list, Iterate(value, budget));
  for (const Value& item : list->items) {
    ATTUNE_ASSIGN_OR_RETURN(const Value member, Member(item, path, budget));
    bool holds = Truth(member);
    if (!test.empty()) {
      ATTUNE_ASSIGN_OR_RETURN(holds, ApplyTest(test, member, arguments, budget));
    }
    if (holds == wanted) items.push_back(item);
  }
  return ListValue(Kind::kIterator, std::move(items));
}

absl::StatusOr<Value> Reverse(const Value& value, Budget& budget) {
  const bool iterator = value.list() != nullptr && value.list()->kind == Kind::kIterator;
  ATTUNE_ASSIGN_OR_RETURN(const auto list, Iterate(value, budget));
  std::vector<Value> items(list->items.rbegin(), list->items.rend());
  if (value.text() == nullptr) {
    return ListValue(iterator ? Kind::kList : Kind::kIterator, std::move(items));
  }
  std::string text;
  for (const Value& item : items) text += *item.text();
  return TextValue(std::move(text));
}

absl::StatusOr<Value> FirstOrLast(absl::string_view name, const Value& value, Budget& budget) {
  const bool iterator = value.list() != nullptr && value.list()->kind == Kind::kIterator;
  if (name == "last" && iterator) {
    return absl::InvalidArgumentError("|last of an iterator; make it a list with | list");
  }
  ATTUNE_ASSIGN_OR_RETURN(const auto list, Iterate(value, budget));
  if (list->items.empty()) {
    return UndefinedValue(absl::StrCat("No ", name, " item, sequence was empty."));
  }
  return name == "first" ? list->items.front() : list->items.back();
}

absl::StatusOr<Value> Items(const Value& value, Budget& budget) {
  if (value.is_undefined()) return ListValue(Kind::kIterator, {});
  if (value.dict() != nullptr) return DictItems(*value.dict(), Kind::kIterator, budget);
  return absl::InvalidArgumentError("Can only get item pairs from a mapping.");
}

}  // namespace

bool IsSequenceFilter(absl::string_view name) {
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

absl::StatusOr<Value> ApplySequenceFilter(absl::string_view name, const Value& value,
                                          const Arguments& arguments, Budget& budget) {
  if (name == "map") return Map(value, arguments, budget);
  if (AppliesOthers(name)) return Select(name, value, arguments, budget);
  if (name == "join") return Join(value, arguments, budget);
  if (name == "sort") return Sort(value, arguments, budget);
  if (name == "dictsort") return DictSort(value, arguments, budget);
  if (name == "min" || name == "max") return Extreme(name, value, arguments, budget);
  if (name == "sum") return Sum(value, arguments, budget);
  if (name == "unique") return Unique(value, arguments, budget);
  ATTUNE_RETURN_IF_ERROR(Bind(absl::StrCat("|", name), arguments, {}).status());
  if (name == "items") return Items(value, budget);
  if (name == "reverse") return Reverse(value, budget);
  if (name == "first" || name == "last") return FirstOrLast(name, value, budget);
  ATTUNE_ASSIGN_OR_RETURN(const auto list, Iterate(value, budget));
  return ListValue(Kind::kList, list->items);
}

}  // namespace attune::jinja
