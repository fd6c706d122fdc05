#include "model/jinja/operators.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "model/jinja/methods.h"
#include "model/jinja/text.h"

namespace attune::jinja {
namespace {

absl::Status Overflow() {
  return absl::InvalidArgumentError("a number is too large; integers have 64 bits");
}
absl::Status DivisionByZero() { return absl::InvalidArgumentError("division by zero"); }

absl::Status NotDefinedFor(absl::string_view sign, const Value& a, const Value& b) {
  ATTUNE_RETURN_IF_ERROR(CheckDefined(a));
  ATTUNE_RETURN_IF_ERROR(CheckDefined(b));
  return absl::InvalidArgumentError(absl::StrCat("'", sign, "' is not possible between '",
                                                 TypeName(a), "' and '", TypeName(b), "'"));
}

absl::StatusOr<Value> IntegerPower(int64_t base, int64_t exponent) {
  if (base == 0 && exponent < 0) return DivisionByZero();
  if (exponent < 0) return Value{std::pow(static_cast<double>(base), exponent)};
  if (exponent > 1 && base >= -1 && base <= 1) {
    return Value{base < 0 && exponent % 2 == 0 ? int64_t{1} : base};
  }
  int64_t power = 1;
  for (int64_t i = 0; i < exponent; ++i) {  // 62 times at most
    if (__builtin_mul_overflow(power, base, &power)) return Overflow();
  }
  return Value{power};
}

absl::StatusOr<Value> IntegerArithmetic(absl::string_view sign, int64_t a, int64_t b) {
  int64_t result = 0;
  if (sign == "**") return IntegerPower(a, b);
  if (sign == "+" || sign == "-" || sign == "*") {
    const bool overflow = sign == "+"   ? __builtin_add_overflow(a, b, &result)
                          : sign == "-" ? __builtin_sub_overflow(a, b, &result)
                                        : __builtin_mul_overflow(a, b, &result);
    if (overflow) return Overflow();
    return Value{result};
  }
  if (b == 0) return DivisionByZero();
  if (sign == "/") return Value{static_cast<double>(a) / static_cast<double>(b)};
  if (b == -1) {  // the least integer has no opposite
    if (sign == "%") return Value{int64_t{0}};
    if (__builtin_sub_overflow(int64_t{0}, a, &result)) return Overflow();
    return Value{result};
  }
  const bool rounds_down = a % b != 0 && (a < 0) != (b < 0);
  if (sign == "//") return Value{a / b - (rounds_down ? 1 : 0)};
  return Value{a % b + (rounds_down ? b : 0)};
}

absl::StatusOr<Value> FloatArithmetic(absl::string_view sign, double a, double b) {
  if (sign == "+") return Value{a + b};
  if (sign == "-") return Value{a - b};
  if (sign == "*") return Value{a * b};
  if (sign == "**") {
    if (a == 0 && b < 0) return DivisionByZero();
    const double power = std::pow(a, b);
    if (std::isnan(power) && !std::isnan(a) && !std::isnan(b)) {
      return absl::InvalidArgumentError("a power is a complex number");
    }
    if (std::isinf(power) && !std::isinf(a) && !std::isinf(b)) return Overflow();
    return Value{power};
  }
  if (b == 0) return DivisionByZero();
  if (sign == "/") return Value{a / b};
  // As Python's float_divmod.
  double remainder = std::fmod(a, b);
  double quotient = (a - remainder) / b;
  if (remainder != 0) {
    if ((b < 0) != (remainder < 0)) {
      remainder += b;
      quotient -= 1;
    }
  } else {
    remainder = std::copysign(0.0, b);
  }
  if (sign == "%") return Value{remainder};
  if (quotient == 0) return Value{std::copysign(0.0, a / b)};
  const double floor = std::floor(quotient);
  return Value{quotient - floor > 0.5 ? floor + 1 : floor};
}

absl::StatusOr<Value> Repeated(const Value& value, int64_t times, Budget& budget) {
  const uint64_t count = static_cast<uint64_t>(std::max<int64_t>(times, 0));
  if (const std::string* text = value.text()) {
    if (!text->empty()) ATTUNE_RETURN_IF_ERROR(CheckTextSize(count));
    ATTUNE_RETURN_IF_ERROR(CheckTextSize(count * text->size()));
    ATTUNE_RETURN_IF_ERROR(budget.TakeText(count * text->size()));
    std::string repeated;
    for (uint64_t i = 0; i < count && !text->empty(); ++i) repeated += *text;
    return TextValue(std::move(repeated));
  }
  const List& list = *value.list();
  if (!list.items.empty()) ATTUNE_RETURN_IF_ERROR(budget.Take(count));
  ATTUNE_RETURN_IF_ERROR(budget.Take(count * list.items.size()));
  std::vector<Value> items;
  for (uint64_t i = 0; i < count && !list.items.empty(); ++i) {
    items.insert(items.end(), list.items.begin(), list.items.end());
  }
  return ListValue(list.kind, std::move(items));
}

bool IsSequence(const Value& value) {
  const List* list = value.list();
  return value.text() != nullptr ||
         (list != nullptr && (list->kind == List::Kind::kList || list->kind == List::Kind::kTuple));
}

absl::StatusOr<Value> Joined(const Value& a, const Value& b, Budget& budget) {
  if (a.text() != nullptr && b.text() != nullptr) {
    const uint64_t size = a.text()->size() + b.text()->size();
    ATTUNE_RETURN_IF_ERROR(CheckTextSize(size));
    ATTUNE_RETURN_IF_ERROR(budget.TakeText(size));
    return TextValue(*a.text() + *b.text());
  }
  if (a.list() == nullptr || b.list() == nullptr || a.list()->kind != b.list()->kind) {
    return NotDefinedFor("+", a, b);
  }
  ATTUNE_RETURN_IF_ERROR(budget.Take(8 + a.list()->items.size() + b.list()->items.size()));
  std::vector<Value> items = a.list()->items;
  items.insert(items.end(), b.list()->items.begin(), b.list()->items.end());
  return ListValue(a.list()->kind, std::move(items));
}

absl::StatusOr<bool> Contains(const Value& container, const Value& item, Budget& budget) {
  if (const std::string* text = container.text()) {
    ATTUNE_RETURN_IF_ERROR(budget.TakeText(text->size()));
    if (item.text() == nullptr) return NotDefinedFor("in", item, container);
    return Find(*text, *item.text()) != text->npos;
  }
  if (const Dict* dict = container.dict()) {
    if (item.list() != nullptr && item.list()->kind == List::Kind::kList) {
      return NotDefinedFor("in", item, container);
    }
    return item.text() != nullptr && dict->Find(*item.text()) != nullptr;
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::shared_ptr<const List> list, Iterate(container, budget));
  for (const Value& other : list->items) {
    ATTUNE_ASSIGN_OR_RETURN(const bool equal, Equal(other, item, budget));
    if (equal) return true;
  }
  return false;
}

Value NoMember(const Value& container, absl::string_view name) {
  return UndefinedValue(absl::StrCat("a '", TypeName(container), "' has no '", name, "'"));
}

// The index of an item of `size`, or -1.
int64_t ItemIndex(int64_t index, size_t size) {
  const int64_t count = static_cast<int64_t>(size);
  if (index < 0) index += count;
  return index >= 0 && index < count ? index : -1;
}

}  // namespace

absl::StatusOr<Value> Arithmetic(absl::string_view sign, const Value& a, const Value& b,
                                 Budget& budget) {
  if (a.integer().has_value() && b.integer().has_value()) {
    return IntegerArithmetic(sign, *a.integer(), *b.integer());
  }
  if (a.number().has_value() && b.number().has_value()) {
    return FloatArithmetic(sign, *a.number(), *b.number());
  }
  if (sign == "*" && IsSequence(a) && b.integer().has_value()) {
    return Repeated(a, *b.integer(), budget);
  }
  if (sign == "*" && IsSequence(b) && a.integer().has_value()) {
    return Repeated(b, *a.integer(), budget);
  }
  if (sign == "+" && IsSequence(a) && IsSequence(b)) return Joined(a, b, budget);
  if (sign == "%" && a.text() != nullptr) {
    return absl::InvalidArgumentError("formatting a text with % is not supported");
  }
  return NotDefinedFor(sign, a, b);
}

absl::StatusOr<bool> Compare(absl::string_view sign, const Value& a, const Value& b,
                             Budget& budget) {
  if (sign == "==") return Equal(a, b, budget);
  if (sign == "in") return Contains(b, a, budget);
  if (sign == "!=" || sign == "not in") {
    ATTUNE_ASSIGN_OR_RETURN(const bool holds, Compare(sign == "!=" ? "==" : "in", a, b, budget));
    return !holds;
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::partial_ordering order, Order(a, b, budget));
  if (sign == "<") return order < 0;
  if (sign == "<=") return order <= 0;
  if (sign == ">") return order > 0;
  return order >= 0;
}

absl::StatusOr<Value> Negative(const Value& value) {
  if (value.is_float()) return Value{-*value.number()};
  if (value.integer().has_value()) return IntegerArithmetic("-", 0, *value.integer());
  ATTUNE_RETURN_IF_ERROR(CheckDefined(value));
  return absl::InvalidArgumentError(absl::StrCat("'", TypeName(value), "' has no negative"));
}

absl::StatusOr<Value> Item(const Value& container, const Value& key, Budget& budget) {
  ATTUNE_RETURN_IF_ERROR(CheckDefined(container));
  if (const std::string* name = key.text()) {
    const Dict* dict = container.dict();
    const Value* item = dict == nullptr ? nullptr : dict->Find(*name);
    return item != nullptr ? *item : Attribute(container, *name);
  }
  const std::optional<int64_t> index = key.integer();
  const List* list = container.list();
  if (index.has_value() && list != nullptr && list->kind != List::Kind::kView &&
      list->kind != List::Kind::kIterator) {
    const int64_t at = ItemIndex(*index, list->items.size());
    if (at >= 0) return list->items[at];
  }
  if (const std::string* text = container.text(); text != nullptr && index.has_value()) {
    ATTUNE_RETURN_IF_ERROR(budget.TakeText(4 * text->size()));
    const std::vector<absl::string_view> characters = Characters(*text);
    const int64_t at = ItemIndex(*index, characters.size());
    if (at >= 0) return TextValue(std::string(characters[at]));
  }
  return NoMember(container, index.has_value() ? absl::StrCat("item ", *index) : "such item");
}

absl::StatusOr<Value> Attribute(const Value& value, absl::string_view name) {
  ATTUNE_RETURN_IF_ERROR(CheckDefined(value));
  if (const Namespace* name_space = value.name_space()) {
    const auto it = name_space->attributes.find(name);
    return it != name_space->attributes.end() ? it->second : NoMember(value, name);
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::optional<Value> method, FindMethod(value, name));
  if (method.has_value()) return *method;
  const Dict* dict = value.dict();
  const Value* item = dict == nullptr ? nullptr : dict->Find(name);
  if (item != nullptr) return *item;
  if (absl::StartsWith(name, "__")) {
    return absl::InvalidArgumentError(absl::StrCat("templates may not use ", name));
  }
  return NoMember(value, name);
}

absl::StatusOr<Value> Slice(const Value& container, const Value& start, const Value& stop,
                            const Value& step, Budget& budget) {
  ATTUNE_RETURN_IF_ERROR(CheckDefined(container));
  const std::string* text = container.text();
  const List* list = container.list();
  const bool has_slices = text != nullptr || (list != nullptr && list->kind != List::Kind::kView &&
                                              list->kind != List::Kind::kIterator);
  for (const Value* part : {&start, &stop, &step}) {
    if (!has_slices || (!part->is_none() && !part->integer().has_value())) {
      return NoMember(container, "such slice");
    }
  }
  std::vector<absl::string_view> characters;
  if (text != nullptr) {
    ATTUNE_RETURN_IF_ERROR(budget.TakeText(4 * text->size()));
    characters = Characters(*text);
  }
  const int64_t size =
      static_cast<int64_t>(text != nullptr ? characters.size() : list->items.size());
  const int64_t by = std::clamp<int64_t>(step.integer().value_or(1), -size - 1, size + 1);
  if (by == 0) return absl::InvalidArgumentError("the step of a slice is 0");
  // A place between -1 and size, from which one side or the other is not in the slice.
  const auto place = [&](const Value& part, int64_t otherwise) {
    if (part.is_none()) return otherwise;
    int64_t at = *part.integer();
    if (at < 0) at += size;
    return std::clamp<int64_t>(at, by < 0 ? -1 : 0, by < 0 ? size - 1 : size);
  };
  const int64_t first = place(start, by < 0 ? size - 1 : 0);
  const int64_t end = place(stop, by < 0 ? -1 : size);
  ATTUNE_RETURN_IF_ERROR(budget.Take(static_cast<uint64_t>(text != nullptr ? 1 : size + 8)));
  std::string part;
  std::vector<Value> items;
  for (int64_t i = first; by < 0 ? i > end : i < end; i += by) {
    if (text != nullptr) {
      part.append(characters[i].data(), characters[i].size());
    } else {
      items.push_back(list->items[i]);
    }
  }
  if (text != nullptr) return TextValue(std::move(part));
  return ListValue(list->kind, std::move(items));
}

}  // namespace attune::jinja
