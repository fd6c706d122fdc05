#include "model/jinja/value.h"

#include <utf8proc.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "absl/strings/str_format.h"
#include "common/check.h"
#include "common/status_macros.h"
#include "model/jinja/text.h"
#include "model/tokenizer/utf8.h"

namespace attune::jinja {
namespace {

using TextPointer = std::shared_ptr<const std::string>;
using ListPointer = std::shared_ptr<const List>;
using DictPointer = std::shared_ptr<const Dict>;
using FunctionPointer = std::shared_ptr<const Function>;

template <typename T>
const T* Pointee(const Value& value) {
  const auto* pointer = std::get_if<std::shared_ptr<const T>>(&value.data);
  return pointer == nullptr ? nullptr : pointer->get();
}

int Depth(const Value& value) {
  if (const List* list = value.list()) return list->depth;
  if (const Dict* dict = value.dict()) return dict->depth;
  if (const Function* function = value.function()) return 1 + Depth(function->self);
  if (const Loop* loop = value.loop()) return 1 + loop->source->depth;
  return 0;
}

absl::Status CheckDepth(int depth) {
  if (depth <= kValueDepthMax) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("lists are nested more than ", kValueDepthMax, " deep, which is the limit"));
}

absl::Status NotPossible(absl::string_view what, const Value& value) {
  ATTUNE_RETURN_IF_ERROR(CheckDefined(value));
  return absl::InvalidArgumentError(absl::StrCat("'", TypeName(value), "' ", what));
}

// As Python's repr().
bool IsPrintable(char32_t c) {
  if (c < 0x7f) return c >= 0x20;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

void AppendQuoted(absl::string_view text, std::string* out) {
  const bool double_quotes = text.find('\'') != text.npos && text.find('"') == text.npos;
  const char quote = double_quotes ? '"' : '\'';
  out->push_back(quote);
  for (size_t offset = 0; offset < text.size();) {
    const size_t begin = offset;
    const char32_t c = NextCodePoint(text, &offset);
    if (c == static_cast<char32_t>(quote) || c == '\\') {
      out->push_back('\\');
      out->push_back(static_cast<char>(c));
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out->append(c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t");
    } else if (IsPrintable(c)) {
      out->append(text.data() + begin, offset - begin);
    } else {
      const uint32_t code = c;
      absl::StrAppend(out, c < 0x100     ? absl::StrFormat("\\x%02x", code)
                           : c < 0x10000 ? absl::StrFormat("\\u%04x", code)
                                         : absl::StrFormat("\\U%08x", code));
    }
  }
  out->push_back(quote);
}

absl::Status AppendRepr(const Value& value, Budget& budget, std::string* out);

absl::Status AppendList(const List& list, const Value& value, Budget& budget, std::string* out) {
  const bool tuple = list.kind == List::Kind::kTuple;
  if (!tuple && list.kind != List::Kind::kList) {
    return NotPossible("has no text here; make it a list with | list", value);
  }
  out->push_back(tuple ? '(' : '[');
  for (size_t i = 0; i < list.items.size(); ++i) {
    if (i > 0) out->append(", ");
    ATTUNE_RETURN_IF_ERROR(AppendRepr(list.items[i], budget, out));
  }
  if (tuple && list.items.size() == 1) out->push_back(',');
  out->push_back(tuple ? ')' : ']');
  return absl::OkStatus();
}

absl::Status AppendDict(const Dict& dict, Budget& budget, std::string* out) {
  out->push_back('{');
  bool first = true;
  for (const auto& [key, item] : dict.items) {
    if (!first) out->append(", ");
    first = false;
    ATTUNE_RETURN_IF_ERROR(AppendRepr(key, budget, out));
    out->append(": ");
    ATTUNE_RETURN_IF_ERROR(AppendRepr(item, budget, out));
  }
  out->push_back('}');
  return absl::OkStatus();
}

absl::Status AppendRepr(const Value& value, Budget& budget, std::string* out) {
  ATTUNE_RETURN_IF_ERROR(budget.Take(1));
  ATTUNE_RETURN_IF_ERROR(CheckTextSize(out->size()));
  if (value.is_undefined()) {
    out->append("Undefined");
  } else if (value.is_none()) {
    out->append("None");
  } else if (value.is_bool()) {
    out->append(Truth(value) ? "True" : "False");
  } else if (const std::optional<int64_t> integer = value.integer()) {
    absl::StrAppend(out, *integer);
  } else if (const std::optional<double> number = value.number()) {
    out->append(FloatText(*number));
  } else if (const std::string* text = value.text()) {
    ATTUNE_RETURN_IF_ERROR(budget.TakeText(text->size()));
    AppendQuoted(*text, out);
  } else if (const List* list = value.list()) {
    return AppendList(*list, value, budget, out);
  } else if (const Dict* dict = value.dict()) {
    return AppendDict(*dict, budget, out);
  } else {
    return NotPossible("has no text", value);
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> EqualLists(const List& a, const List& b, Budget& budget) {
  if (a.kind != b.kind || a.items.size() != b.items.size()) return false;
  if (a.kind == List::Kind::kView || a.kind == List::Kind::kIterator) return &a == &b;
  for (size_t i = 0; i < a.items.size(); ++i) {
    ATTUNE_ASSIGN_OR_RETURN(const bool equal, Equal(a.items[i], b.items[i], budget));
    if (!equal) return false;
  }
  return true;
}

absl::StatusOr<bool> EqualDicts(const Dict& a, const Dict& b, Budget& budget) {
  if (a.items.size() != b.items.size()) return false;
  for (const auto& [key, item] : a.items) {
    const Value* other = b.Find(*key.text());
    if (other == nullptr) return false;
    ATTUNE_ASSIGN_OR_RETURN(const bool equal, Equal(item, *other, budget));
    if (!equal) return false;
  }
  return true;
}

// Exact for every integer and every double.
long double Exact(const Value& value) {
  const std::optional<int64_t> integer = value.integer();
  return integer.has_value() ? static_cast<long double>(*integer)
                             : static_cast<long double>(*value.number());
}

}  // namespace

const std::string* Value::text() const { return Pointee<std::string>(*this); }
const List* Value::list() const { return Pointee<List>(*this); }
const Dict* Value::dict() const { return Pointee<Dict>(*this); }
const Function* Value::function() const { return Pointee<Function>(*this); }

Loop* Value::loop() const {
  const auto* pointer = std::get_if<std::shared_ptr<Loop>>(&data);
  return pointer == nullptr ? nullptr : pointer->get();
}

Namespace* Value::name_space() const {
  const auto* pointer = std::get_if<Namespace*>(&data);
  return pointer == nullptr ? nullptr : *pointer;
}

std::optional<int64_t> Value::integer() const {
  if (const bool* boolean = std::get_if<bool>(&data)) return *boolean ? 1 : 0;
  if (const int64_t* integer = std::get_if<int64_t>(&data)) return *integer;
  return std::nullopt;
}

std::optional<double> Value::number() const {
  if (const double* number = std::get_if<double>(&data)) return *number;
  const std::optional<int64_t> number = integer();
  return number.has_value() ? std::optional<double>(static_cast<double>(*number)) : std::nullopt;
}

const Value* Dict::Find(absl::string_view key) const {
  const auto it = index_.find(key);
  return it == index_.end() ? nullptr : &items[it->second].second;
}

absl::Status CheckTextSize(uint64_t bytes) {
  if (bytes <= kTextBytesMax) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("a text is longer than ", kTextBytesMax, " bytes, which is the limit"));
}

void Dict::Set(Value key, Value value) {
  const std::string* text = key.text();
  ATTUNE_CHECK(text != nullptr);
  depth = std::max(depth, 1 + Depth(value));
  const auto [it, added] = index_.try_emplace(*text, items.size());
  if (added) {
    items.emplace_back(std::move(key), std::move(value));
  } else {
    items[it->second].second = std::move(value);
  }
}

Value TextValue(std::string text) { return {std::make_shared<const std::string>(std::move(text))}; }

Value UndefinedValue(std::string reason) {
  return {Undefined{std::make_shared<const std::string>(std::move(reason))}};
}

absl::StatusOr<Value> ListValue(List::Kind kind, std::vector<Value> items) {
  int depth = 1;
  for (const Value& item : items) depth = std::max(depth, 1 + Depth(item));
  ATTUNE_RETURN_IF_ERROR(CheckDepth(depth));
  return Value{std::make_shared<const List>(List{kind, std::move(items), depth})};
}

absl::StatusOr<Value> DictValue(Dict dict) {
  ATTUNE_RETURN_IF_ERROR(CheckDepth(dict.depth));
  return Value{std::make_shared<const Dict>(std::move(dict))};
}

absl::StatusOr<Value> MethodValue(const Value& self, absl::string_view name) {
  ATTUNE_RETURN_IF_ERROR(CheckDepth(1 + Depth(self)));
  return Value{std::make_shared<const Function>(Function{std::string(name), self})};
}

absl::string_view TypeName(const Value& value) {
  static constexpr absl::string_view kLists[] = {"list", "tuple", "range", "dict view", "iterator"};
  static constexpr absl::string_view kTypes[] = {"Undefined", "NoneType", "bool",     "int",
                                                 "float",     "str",      "list",     "dict",
                                                 "function",  "loop",     "namespace"};
  const List* list = value.list();
  return list != nullptr ? kLists[static_cast<int>(list->kind)] : kTypes[value.data.index()];
}

bool Truth(const Value& value) {
  if (value.is_undefined() || value.is_none()) return false;
  if (const std::optional<double> number = value.number()) return *number != 0;
  if (const std::string* text = value.text()) return !text->empty();
  if (const Dict* dict = value.dict()) return !dict->items.empty();
  const List* list = value.list();
  return list == nullptr || list->kind == List::Kind::kIterator || !list->items.empty();
}

absl::Status CheckDefined(const Value& value) {
  const Undefined* undefined = std::get_if<Undefined>(&value.data);
  return undefined == nullptr ? absl::OkStatus() : absl::InvalidArgumentError(*undefined->reason);
}

absl::StatusOr<std::shared_ptr<const List>> Iterate(const Value& value, Budget& budget) {
  std::vector<Value> items;
  if (const auto* list = std::get_if<ListPointer>(&value.data)) {
    const bool iterator = (*list)->kind == List::Kind::kIterator;
    if (!iterator || !(*list)->drained) {
      ATTUNE_RETURN_IF_ERROR(budget.Take((*list)->items.size()));
      (*list)->drained = iterator;
      return *list;
    }
  } else if (const std::string* text = value.text()) {
    ATTUNE_RETURN_IF_ERROR(budget.Take(8 * text->size()));  // each character is a text
    for (absl::string_view c : Characters(*text)) items.push_back(TextValue(std::string(c)));
  } else if (const Dict* dict = value.dict()) {
    ATTUNE_RETURN_IF_ERROR(budget.Take(dict->items.size()));
    for (const auto& [key, item] : dict->items) items.push_back(key);
  } else if (!value.is_undefined()) {
    return NotPossible("is not iterable", value);
  }
  ATTUNE_ASSIGN_OR_RETURN(const Value list, ListValue(List::Kind::kList, std::move(items)));
  return std::get<ListPointer>(list.data);
}

absl::StatusOr<int64_t> Length(const Value& value, Budget& budget) {
  if (const std::string* text = value.text()) {
    ATTUNE_RETURN_IF_ERROR(budget.TakeText(text->size()));
    return static_cast<int64_t>(CharacterCount(*text));
  }
  if (const Dict* dict = value.dict()) return static_cast<int64_t>(dict->items.size());
  const List* list = value.list();
  if (list != nullptr && list->kind != List::Kind::kIterator) {
    return static_cast<int64_t>(list->items.size());
  }
  if (value.is_undefined()) return 0;
  return NotPossible("has no length", value);
}

absl::StatusOr<bool> Equal(const Value& a, const Value& b, Budget& budget) {
  ATTUNE_RETURN_IF_ERROR(budget.Take(1));
  if (a.number().has_value() && b.number().has_value()) return Exact(a) == Exact(b);
  if (a.data.index() != b.data.index()) return false;
  if (a.is_undefined() || a.is_none()) return true;
  if (const std::string* text = a.text()) {
    ATTUNE_RETURN_IF_ERROR(budget.TakeText(std::min(text->size(), b.text()->size())));
    return *text == *b.text();
  }
  if (const List* list = a.list()) return EqualLists(*list, *b.list(), budget);
  if (const Dict* dict = a.dict()) return EqualDicts(*dict, *b.dict(), budget);
  return a.function() == b.function() && a.loop() == b.loop() && a.name_space() == b.name_space();
}

absl::StatusOr<std::partial_ordering> Order(const Value& a, const Value& b, Budget& budget) {
  ATTUNE_RETURN_IF_ERROR(budget.Take(1));
  if (a.number().has_value() && b.number().has_value()) return Exact(a) <=> Exact(b);
  const std::string* text = a.text();
  if (text != nullptr && b.text() != nullptr) {
    ATTUNE_RETURN_IF_ERROR(budget.TakeText(std::min(text->size(), b.text()->size())));
    return text->compare(*b.text()) <=> 0;  // of bytes, which is that of code points
  }
  const List* list = a.list();
  const List* other = b.list();
  if (list != nullptr && other != nullptr && list->kind == other->kind &&
      (list->kind == List::Kind::kList || list->kind == List::Kind::kTuple)) {
    for (size_t i = 0; i < std::min(list->items.size(), other->items.size()); ++i) {
      ATTUNE_ASSIGN_OR_RETURN(const bool equal, Equal(list->items[i], other->items[i], budget));
      if (!equal) return Order(list->items[i], other->items[i], budget);
    }
    return list->items.size() <=> other->items.size();
  }
  ATTUNE_RETURN_IF_ERROR(CheckDefined(a));
  ATTUNE_RETURN_IF_ERROR(CheckDefined(b));
  return absl::InvalidArgumentError(
      absl::StrCat("'", TypeName(a), "' and '", TypeName(b), "' cannot be ordered"));
}

absl::StatusOr<std::string> ToText(const Value& value, Budget& budget) {
  if (const std::string* text = value.text()) {
    ATTUNE_RETURN_IF_ERROR(budget.TakeText(text->size()));
    return *text;
  }
  std::string out;
  if (!value.is_undefined()) ATTUNE_RETURN_IF_ERROR(AppendRepr(value, budget, &out));
  return out;
}

std::string FloatText(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number > 0 ? "inf" : "-inf";
  // The shortest digits that read back as `number`, as d.ddde+xx.
  char buffer[64];
  const auto end =
      std::to_chars(buffer, buffer + sizeof(buffer), number, std::chars_format::scientific).ptr;
  const std::string shortest(buffer, end);
  const size_t e = shortest.find('e');
  const int exponent = std::atoi(shortest.c_str() + e + 1);
  if (exponent < -4 || exponent >= 16) return shortest;
  std::string digits;
  for (char c : shortest.substr(0, e)) {
    if (c >= '0' && c <= '9') digits.push_back(c);
  }
  if (exponent < 0) {
    digits.insert(0, static_cast<size_t>(-exponent), '0');
    digits.insert(1, 1, '.');
  } else {
    const size_t before_point = static_cast<size_t>(exponent) + 1;
    if (digits.size() <= before_point) digits.resize(before_point + 1, '0');
    digits.insert(before_point, 1, '.');
  }
  return absl::StrCat(std::signbit(number) ? "-" : "", digits);
}

}  // namespace attune::jinja
