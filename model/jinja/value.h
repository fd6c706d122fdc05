// The values of chat templates: those of Python that jinja2 templates can make, with Python's
// truth, equality, order and text.
#ifndef ATTUNE_MODEL_JINJA_VALUE_H_
#define ATTUNE_MODEL_JINJA_VALUE_H_

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace attune::jinja {

// Lists in lists, and the same for dicts: bounds every recursion over a value.
inline constexpr int kValueDepthMax = 100;
// Of the rendered text, and of each text made on the way.
inline constexpr uint64_t kTextBytesMax = 16 << 20;

// What a rendering may still do, which bounds its time and its memory: a step is an evaluated
// expression, 16 bytes of text read or made, or an item of a list.
class Budget {
 public:
  explicit Budget(uint64_t steps) : limit_(steps), left_(steps) {}

  absl::Status Take(uint64_t steps) {
    if (steps > left_) {
      return absl::InvalidArgumentError(
          absl::StrCat("rendering takes more than ", limit_, " steps, which is the limit"));
    }
    left_ -= steps;
    return absl::OkStatus();
  }
  absl::Status TakeText(uint64_t bytes) { return Take(bytes / 16 + 1); }

 private:
  const uint64_t limit_;
  uint64_t left_;
};

struct Dict;
struct Function;
struct List;
struct Loop;
struct Namespace;
struct Node;
struct Scope;

// A name or a member that does not exist: false, empty and printed as nothing; all else that is
// done with it fails, saying `reason`.
struct Undefined {
  std::shared_ptr<const std::string> reason;
};
struct None {};

// Cheap to copy. Texts, lists and dicts never change once made.
struct Value {
  std::variant<Undefined, None, bool, int64_t, double, std::shared_ptr<const std::string>,
               std::shared_ptr<const List>, std::shared_ptr<const Dict>,
               std::shared_ptr<const Function>, std::shared_ptr<Loop>, Namespace*>
      data = None{};

  bool is_undefined() const { return std::holds_alternative<Undefined>(data); }
  bool is_none() const { return std::holds_alternative<None>(data); }
  bool is_bool() const { return std::holds_alternative<bool>(data); }
  bool is_float() const { return std::holds_alternative<double>(data); }
  // Null, or nullopt, when the value is something else.
  const std::string* text() const;
  const List* list() const;
  const Dict* dict() const;
  const Function* function() const;
  Loop* loop() const;
  Namespace* name_space() const;
  std::optional<int64_t> integer() const;  // True is 1, as in Python
  std::optional<double> number() const;    // an integer too
};

struct List {
  enum class Kind {
    kList,
    kTuple,
    kRange,
    kView,      // of a dict: its keys(), values() or items()
    kIterator,  // what map, select and the like give: can be gone through once
  };
  Kind kind;
  std::vector<Value> items;
  int depth;
  mutable bool drained = false;  // of an iterator
};

// Keys are texts, in the order in which they were first set.
struct Dict {
  std::vector<std::pair<Value, Value>> items;

  const Value* Find(absl::string_view key) const;
  // `key` is a text. The value of a key that is there already is replaced.
  void Set(Value key, Value value);

  int depth = 1;

 private:
  absl::flat_hash_map<absl::string_view, size_t> index_;  // into the texts of `items`
};

// Can be changed (and hold itself): owned by the rendering.
struct Namespace {
  std::map<std::string, Value, std::less<>> attributes;
};

// A function that templates can call (`self` is None), a method of `self`, or a macro.
struct Function {
  std::string name;
  Value self;
  const Node* macro = nullptr;
};

// The variable `loop`. Items are taken, and filtered, as they are asked for.
struct Loop {
  std::shared_ptr<const List> source;
  size_t taken = 0;          // of `source`
  std::vector<Value> items;  // those of them that passed the filter
  size_t index0 = 0;
  const Node* node = nullptr;  // the `for`; null when the loop has ended
  Scope* scope = nullptr;      // around it
};

absl::Status CheckTextSize(uint64_t bytes);

Value TextValue(std::string text);
Value UndefinedValue(std::string reason);
// Fail when lists are nested more than kValueDepthMax deep.
[[nodiscard]] absl::StatusOr<Value> ListValue(List::Kind kind, std::vector<Value> items);
[[nodiscard]] absl::StatusOr<Value> DictValue(Dict dict);
[[nodiscard]] absl::StatusOr<Value> MethodValue(const Value& self, absl::string_view name);

absl::string_view TypeName(const Value& value);  // Python's, such as "NoneType"
bool Truth(const Value& value);
// The error of using an undefined value, or OK.
absl::Status CheckDefined(const Value& value);

// What `for` goes through: items, characters or keys. An iterator is used up by it.
[[nodiscard]] absl::StatusOr<std::shared_ptr<const List>> Iterate(const Value& value,
                                                                  Budget& budget);
[[nodiscard]] absl::StatusOr<int64_t> Length(const Value& value, Budget& budget);
[[nodiscard]] absl::StatusOr<bool> Equal(const Value& a, const Value& b, Budget& budget);
[[nodiscard]] absl::StatusOr<std::partial_ordering> Order(const Value& a, const Value& b,
                                                          Budget& budget);
// str(value). Ranges, views, iterators, functions and namespaces have no text here.
[[nodiscard]] absl::StatusOr<std::string> ToText(const Value& value, Budget& budget);
std::string FloatText(double number);  // repr(number)

}  // namespace attune::jinja

#endif  // ATTUNE_MODEL_JINJA_VALUE_H_
