#include "model/jinja/predicates.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "model/jinja/operators.h"
#include "model/jinja/text.h"

namespace attune::jinja {
namespace {

constexpr absl::string_view kTypeTests[] = {
    "defined",  "undefined", "none",    "string", "mapping", "iterable",
    "sequence", "number",    "integer", "float",  "boolean", "true",
    "false",    "callable",  "odd",     "even",   "lower",   "upper"};

struct ComparisonTest {
  absl::string_view name;
  absl::string_view sign;
};
constexpr ComparisonTest kComparisonTests[] = {
    {"equalto", "=="},    {"eq", "=="},      {"==", "=="}, {"ne", "!="}, {"!=", "!="}, {"lt", "<"},
    {"<", "<"},           {"lessthan", "<"}, {"le", "<="}, {"<=", "<="}, {"gt", ">"},  {">", ">"},
    {"greaterthan", ">"}, {"ge", ">="},      {">=", ">="}, {"in", "in"}};

const ComparisonTest* FindComparison(absl::string_view name) {
  const auto* found = std::find_if(std::begin(kComparisonTests), std::end(kComparisonTests),
                                   [&](const ComparisonTest& test) { return test.name == name; });
  return found == std::end(kComparisonTests) ? nullptr : found;
}

bool IsTypeTest(absl::string_view name) {
  return std::find(std::begin(kTypeTests), std::end(kTypeTests), name) != std::end(kTypeTests);
}

absl::StatusOr<bool> IsDivisible(const Value& value, const Value& by, int64_t remainder,
                                 Budget& budget) {
  ATTUNE_ASSIGN_OR_RETURN(const Value rest, Arithmetic("%", value, by, budget));
  return Equal(rest, Value{remainder}, budget);
}

bool IsSequence(const Value& value) {
  const List* list = value.list();
  return value.is_undefined() || value.text() != nullptr || value.dict() != nullptr ||
         (list != nullptr && list->kind != List::Kind::kView &&
          list->kind != List::Kind::kIterator);
}

absl::StatusOr<bool> ApplyTypeTest(absl::string_view name, const Value& value, Budget& budget) {
  if (name == "defined") return !value.is_undefined();
  if (name == "undefined") return value.is_undefined();
  if (name == "none") return value.is_none();
  if (name == "string") return value.text() != nullptr;
  if (name == "mapping") return value.dict() != nullptr;
  if (name == "sequence") return IsSequence(value);
  if (name == "iterable") return IsSequence(value) || value.list() != nullptr || value.loop();
  if (name == "number") return value.number().has_value();
  if (name == "integer") return value.integer().has_value() && !value.is_bool();
  if (name == "float") return value.is_float();
  if (name == "boolean") return value.is_bool();
  if (name == "true") return value.is_bool() && Truth(value);
  if (name == "false") return value.is_bool() && !Truth(value);
  if (name == "callable") return value.function() != nullptr || value.is_undefined();
  if (name == "odd" || name == "even") {
    return IsDivisible(value, Value{int64_t{2}}, name == "odd" ? 1 : 0, budget);
  }
  // str.islower and str.isupper: there are letters with case, and none of the other case.
  ATTUNE_ASSIGN_OR_RETURN(const std::string text, ToText(value, budget));
  const std::string lower = Lower(text);
  const std::string upper = Upper(text);
  return lower != upper && text == (name == "lower" ? lower : upper);
}

}  // namespace

bool IsTest(absl::string_view name) {
  return IsTypeTest(name) || FindComparison(name) != nullptr || name == "divisibleby" ||
         name == "sameas";
}

absl::StatusOr<bool> ApplyTest(absl::string_view name, const Value& value,
                               const Arguments& arguments, Budget& budget) {
  if (!IsTest(name)) {
    return absl::InvalidArgumentError(absl::StrCat("the test '", name, "' is not supported"));
  }
  const std::string callee = absl::StrCat("the test '", name, "'");
  if (IsTypeTest(name)) {
    ATTUNE_RETURN_IF_ERROR(Bind(callee, arguments, {}).status());
    return ApplyTypeTest(name, value, budget);
  }
  ATTUNE_ASSIGN_OR_RETURN(const auto bound, Bind(callee, arguments, {"other"}));
  if (!bound[0].has_value()) return absl::InvalidArgumentError(callee + " has no argument");
  if (name == "sameas") {  // Python's `is`, which only these two kinds can be sure of
    if (!bound[0]->is_bool() && !bound[0]->is_none()) {
      return absl::InvalidArgumentError("the test 'sameas' is supported with true, false and none");
    }
    return value.data.index() == bound[0]->data.index() && Truth(value) == Truth(*bound[0]);
  }
  const ComparisonTest* comparison = FindComparison(name);
  if (comparison == nullptr) return IsDivisible(value, *bound[0], 0, budget);
  return Compare(comparison->sign, value, *bound[0], budget);
}

}  // namespace attune::jinja
