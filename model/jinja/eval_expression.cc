#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "common/status_macros.h"
#include "model/jinja/filters.h"
#include "model/jinja/functions.h"
#include "model/jinja/methods.h"
#include "model/jinja/operators.h"
#include "model/jinja/predicates.h"
#include "model/jinja/renderer.h"

namespace attune::jinja {

absl::StatusOr<Value> Renderer::Lookup(absl::string_view name, const Scope& scope) const {
  for (const Scope* at = &scope; at != nullptr; at = at->parent) {
    const auto it = at->variables.find(name);
    if (it != at->variables.end()) return it->second;
  }
  if (const Value* variable = variables_.Find(name)) return *variable;
  if (IsFunction(name)) return MethodValue(Value{}, name);
  return UndefinedValue(absl::StrCat("'", name, "' is undefined"));
}

absl::StatusOr<Value> Renderer::Evaluate(const Expr& expr, Scope& scope) {
  absl::Status entered = Enter();
  absl::StatusOr<Value> value =
      entered.ok() ? EvaluateKind(expr, scope) : absl::StatusOr<Value>(std::move(entered));
  if (!value.ok()) ErrorIn(expr.line);
  --depth_;
  return value;
}

absl::StatusOr<Value> Renderer::EvaluateKind(const Expr& expr, Scope& scope) {
  switch (expr.kind) {
    case Expr::Kind::kLiteral:
      return expr.value;
    case Expr::Kind::kName:
      return Lookup(expr.name, scope);
    case Expr::Kind::kList:
    case Expr::Kind::kTuple:
      return MakeList(expr, scope);
    case Expr::Kind::kDict:
      return MakeDict(expr, scope);
    case Expr::Kind::kAnd:
    case Expr::Kind::kOr:
      return AndOr(expr, scope);
    case Expr::Kind::kNot:
    case Expr::Kind::kNegative:
    case Expr::Kind::kPositive:
      return Unary(expr, scope);
    case Expr::Kind::kBinary: {
      ATTUNE_ASSIGN_OR_RETURN(const Value a, Evaluate(*expr.operands[0], scope));
      ATTUNE_ASSIGN_OR_RETURN(const Value b, Evaluate(*expr.operands[1], scope));
      return Arithmetic(expr.name, a, b, budget_);
    }
    case Expr::Kind::kConcat:
      return Concat(expr, scope);
    case Expr::Kind::kCompare:
      return Comparison(expr, scope);
    case Expr::Kind::kCondition:
      return Condition(expr, scope);
    case Expr::Kind::kAttribute:
      return Member(expr, scope);
    case Expr::Kind::kSubscript:
      return Subscript(expr, scope);
    case Expr::Kind::kSlice:
      return SliceOf(expr, scope);
    case Expr::Kind::kCall:
      return Call(expr, scope);
    case Expr::Kind::kFilter: {
      ATTUNE_ASSIGN_OR_RETURN(const Value value, Evaluate(*expr.operands[0], scope));
      ATTUNE_ASSIGN_OR_RETURN(const Arguments arguments, EvaluateArguments(expr, scope));
      return ApplyFilter(expr.name, value, arguments, budget_);
    }
    case Expr::Kind::kTest: {
      ATTUNE_ASSIGN_OR_RETURN(const Value value, Evaluate(*expr.operands[0], scope));
      ATTUNE_ASSIGN_OR_RETURN(const Arguments arguments, EvaluateArguments(expr, scope));
      ATTUNE_ASSIGN_OR_RETURN(const bool holds, ApplyTest(expr.name, value, arguments, budget_));
      return Value{holds};
    }
  }
  ATTUNE_CHECK(false);
}

absl::StatusOr<Value> Renderer::MakeList(const Expr& expr, Scope& scope) {
  ATTUNE_RETURN_IF_ERROR(budget_.Take(8));
  std::vector<Value> items;
  for (const ExprPtr& operand : expr.operands) {
    ATTUNE_ASSIGN_OR_RETURN(items.emplace_back(), Evaluate(*operand, scope));
  }
  return ListValue(expr.kind == Expr::Kind::kList ? List::Kind::kList : List::Kind::kTuple,
                   std::move(items));
}

absl::StatusOr<Value> Renderer::MakeDict(const Expr& expr, Scope& scope) {
  ATTUNE_RETURN_IF_ERROR(budget_.Take(8 + 4 * expr.operands.size()));
  Dict dict;
  for (size_t i = 0; i < expr.operands.size(); i += 2) {
    ATTUNE_ASSIGN_OR_RETURN(Value key, Evaluate(*expr.operands[i], scope));
    ATTUNE_ASSIGN_OR_RETURN(Value value, Evaluate(*expr.operands[i + 1], scope));
    if (key.text() == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("a key of type '", TypeName(key), "' is not supported; use a text"));
    }
    dict.Set(std::move(key), std::move(value));
  }
  return DictValue(std::move(dict));
}

absl::StatusOr<Value> Renderer::AndOr(const Expr& expr, Scope& scope) {
  ATTUNE_ASSIGN_OR_RETURN(Value first, Evaluate(*expr.operands[0], scope));
  if (Truth(first) == (expr.kind == Expr::Kind::kOr)) return first;
  return Evaluate(*expr.operands[1], scope);
}

absl::StatusOr<Value> Renderer::Unary(const Expr& expr, Scope& scope) {
  ATTUNE_ASSIGN_OR_RETURN(const Value value, Evaluate(*expr.operands[0], scope));
  if (expr.kind == Expr::Kind::kNot) return Value{!Truth(value)};
  if (expr.kind == Expr::Kind::kNegative) return Negative(value);
  return Arithmetic("+", Value{int64_t{0}}, value, budget_);
}

absl::StatusOr<Value> Renderer::Concat(const Expr& expr, Scope& scope) {
  std::string out;
  for (const ExprPtr& operand : expr.operands) {
    ATTUNE_RETURN_IF_ERROR(Print(*operand, scope, &out));
  }
  return TextValue(std::move(out));
}

absl::StatusOr<Value> Renderer::Comparison(const Expr& expr, Scope& scope) {
  ATTUNE_ASSIGN_OR_RETURN(Value left, Evaluate(*expr.operands[0], scope));
  for (size_t i = 0; i < expr.names.size(); ++i) {
    ATTUNE_ASSIGN_OR_RETURN(Value right, Evaluate(*expr.operands[i + 1], scope));
    ATTUNE_ASSIGN_OR_RETURN(const bool holds, Compare(expr.names[i], left, right, budget_));
    if (!holds) return Value{false};
    left = std::move(right);
  }
  return Value{true};
}

absl::StatusOr<Value> Renderer::Condition(const Expr& expr, Scope& scope) {
  ATTUNE_ASSIGN_OR_RETURN(const Value test, Evaluate(*expr.operands[0], scope));
  const ExprPtr& chosen = expr.operands[Truth(test) ? 1 : 2];
  if (chosen != nullptr) return Evaluate(*chosen, scope);
  return UndefinedValue("the inline if is false and has no else");
}

absl::StatusOr<Value> Renderer::Member(const Expr& expr, Scope& scope) {
  ATTUNE_ASSIGN_OR_RETURN(const Value value, Evaluate(*expr.operands[0], scope));
  if (Loop* loop = value.loop()) return LoopMember(*loop, expr.name);
  return Attribute(value, expr.name);
}

absl::StatusOr<Value> Renderer::LoopMember(Loop& loop, absl::string_view name) {
  const int64_t index0 = static_cast<int64_t>(loop.index0);
  if (name == "index") return Value{index0 + 1};
  if (name == "index0") return Value{index0};
  if (name == "first") return Value{index0 == 0};
  if (name == "depth") return Value{int64_t{1}};  // recursive loops are not supported
  if (name == "depth0") return Value{int64_t{0}};
  if (name == "last" || name == "nextitem") {
    ATTUNE_ASSIGN_OR_RETURN(const bool more, TakeItems(loop, loop.index0 + 2));
    if (name == "last") return Value{!more};
    return more ? loop.items[loop.index0 + 1] : UndefinedValue("there is no next item");
  }
  if (name == "previtem") {
    return index0 > 0 ? loop.items[loop.index0 - 1] : UndefinedValue("there is no previous item");
  }
  if (name == "length" || name == "revindex" || name == "revindex0") {
    ATTUNE_RETURN_IF_ERROR(TakeItems(loop, loop.source->items.size()).status());
    const int64_t length = static_cast<int64_t>(loop.items.size());
    return Value{name == "length" ? length : length - index0 - (name == "revindex0" ? 1 : 0)};
  }
  return absl::InvalidArgumentError(absl::StrCat("loop.", name, " is not supported"));
}

absl::StatusOr<Value> Renderer::Subscript(const Expr& expr, Scope& scope) {
  ATTUNE_ASSIGN_OR_RETURN(const Value value, Evaluate(*expr.operands[0], scope));
  ATTUNE_ASSIGN_OR_RETURN(const Value key, Evaluate(*expr.operands[1], scope));
  Loop* loop = value.loop();
  if (loop != nullptr && key.text() != nullptr) return LoopMember(*loop, *key.text());
  return Item(value, key, budget_);
}

absl::StatusOr<Value> Renderer::SliceOf(const Expr& expr, Scope& scope) {
  ATTUNE_ASSIGN_OR_RETURN(const Value value, Evaluate(*expr.operands[0], scope));
  Value parts[3];
  for (int i = 0; i < 3; ++i) {
    if (expr.operands[i + 1] == nullptr) continue;
    ATTUNE_ASSIGN_OR_RETURN(parts[i], Evaluate(*expr.operands[i + 1], scope));
  }
  return Slice(value, parts[0], parts[1], parts[2], budget_);
}

absl::StatusOr<Arguments> Renderer::EvaluateArguments(const Expr& expr, Scope& scope) {
  Arguments arguments;
  const size_t positional = expr.operands.size() - 1 - expr.names.size();
  for (size_t i = 0; i + 1 < expr.operands.size(); ++i) {
    ATTUNE_ASSIGN_OR_RETURN(Value value, Evaluate(*expr.operands[i + 1], scope));
    if (i < positional) {
      arguments.positional.push_back(std::move(value));
    } else {
      arguments.named.emplace_back(expr.names[i - positional], std::move(value));
    }
  }
  return arguments;
}

absl::StatusOr<Value> Renderer::Call(const Expr& expr, Scope& scope) {
  ATTUNE_ASSIGN_OR_RETURN(const Value callee, Evaluate(*expr.operands[0], scope));
  ATTUNE_ASSIGN_OR_RETURN(const Arguments arguments, EvaluateArguments(expr, scope));
  const Function* function = callee.function();
  if (function == nullptr) {
    ATTUNE_RETURN_IF_ERROR(CheckDefined(callee));
    return absl::InvalidArgumentError(absl::StrCat("a '", TypeName(callee), "' cannot be called"));
  }
  if (function->macro != nullptr) return CallMacro(*function->macro, arguments);
  if (!function->self.is_none()) {
    return CallMethod(function->self, function->name, arguments, budget_);
  }
  return CallFunction(function->name, arguments, budget_, &namespaces_);
}

absl::StatusOr<Value> Renderer::CallMacro(const Node& macro, const Arguments& arguments) {
  std::vector<absl::string_view> names;
  for (const Parameter& parameter : macro.parameters) names.push_back(parameter.name);
  ATTUNE_ASSIGN_OR_RETURN(std::vector<std::optional<Value>> bound,
                          Bind(absl::StrCat("the macro ", macro.text, "()"), arguments, names));
  ATTUNE_RETURN_IF_ERROR(budget_.Take(8 + names.size()));
  Scope scope{&top_};
  for (size_t i = 0; i < bound.size(); ++i) {
    const Parameter& parameter = macro.parameters[i];
    Value& value = scope.variables[parameter.name];
    if (bound[i].has_value()) {
      value = *std::move(bound[i]);
    } else if (parameter.default_value != nullptr) {
      ATTUNE_ASSIGN_OR_RETURN(value, Evaluate(*parameter.default_value, scope));
    } else {
      value = UndefinedValue(absl::StrCat("parameter '", parameter.name, "' was not provided"));
    }
  }
  std::string out;
  ATTUNE_RETURN_IF_ERROR(RunBlock(macro.body, scope, &out).status());
  return TextValue(std::move(out));
}

}  // namespace attune::jinja
