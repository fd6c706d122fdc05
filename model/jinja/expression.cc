#include "model/jinja/expression.h"

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "model/jinja/filters.h"
#include "model/jinja/methods.h"
#include "model/jinja/predicates.h"

namespace attune::jinja {
namespace {

using Kind = Expr::Kind;

bool IsOneOf(absl::string_view text, std::initializer_list<absl::string_view> choices) {
  return std::find(choices.begin(), choices.end(), text) != choices.end();
}

}  // namespace

bool IsMarkup(const Expr& expr) {
  return expr.kind == Kind::kFilter && IsOneOf(expr.name, {"safe", "escape", "e"});
}

absl::StatusOr<ExprPtr> ExpressionParser::Make(Expr expr) const {
  for (const ExprPtr& operand : expr.operands) {
    if (operand == nullptr) continue;
    expr.depth = std::max(expr.depth, 1 + operand->depth);
    if (IsMarkup(*operand)) {
      return ErrorAtLine(expr.line, absl::StrCat("the filter |", operand->name,
                                                 " is supported only as the last in {{ }}"));
    }
  }
  if (expr.depth <= kNestingMax) return std::make_unique<const Expr>(std::move(expr));
  return ErrorAtLine(expr.line, absl::StrCat("expressions are nested more than ", kNestingMax,
                                             " deep, which is the limit"));
}

absl::StatusOr<ExprPtr> ExpressionParser::Make(Kind kind, int line, std::string name, ExprPtr first,
                                               ExprPtr second) const {
  Expr expr{.kind = kind, .line = line, .name = std::move(name)};
  expr.operands.push_back(std::move(first));
  if (second != nullptr) expr.operands.push_back(std::move(second));
  return Make(std::move(expr));
}

bool ExpressionParser::EndsTuple() const {
  return current().kind == Token::Kind::kPrintEnd || current().kind == Token::Kind::kTagEnd ||
         IsOperator(")") || IsName("recursive");
}

absl::StatusOr<ExprPtr> ExpressionParser::Expression(bool conditions) {
  if (++nesting_ > kNestingMax) {
    return Error(absl::StrCat("expressions are nested more than ", kNestingMax,
                              " deep, which is the limit"));
  }
  ATTUNE_ASSIGN_OR_RETURN(ExprPtr expr, conditions ? Condition() : Or());
  --nesting_;
  return expr;
}

absl::StatusOr<ExprPtr> ExpressionParser::ExpressionOrTuple(bool conditions) {
  Expr tuple{.kind = Kind::kTuple, .line = current().line};
  ATTUNE_ASSIGN_OR_RETURN(ExprPtr first, Expression(conditions));
  if (!IsOperator(",")) return first;
  tuple.operands.push_back(std::move(first));
  while (SkipOperator(",") && !EndsTuple()) {
    ATTUNE_ASSIGN_OR_RETURN(ExprPtr next, Expression(conditions));
    tuple.operands.push_back(std::move(next));
  }
  return Make(std::move(tuple));
}

absl::StatusOr<ExprPtr> ExpressionParser::Condition() {
  ATTUNE_ASSIGN_OR_RETURN(ExprPtr expr, Or());
  while (IsName("if")) {
    Expr condition{.kind = Kind::kCondition, .line = current().line};
    Next();
    ATTUNE_ASSIGN_OR_RETURN(ExprPtr test, Or());
    ExprPtr otherwise;
    if (SkipName("else")) {
      ATTUNE_ASSIGN_OR_RETURN(otherwise, Expression());
    }
    condition.operands.push_back(std::move(test));
    condition.operands.push_back(std::move(expr));
    condition.operands.push_back(std::move(otherwise));
    ATTUNE_ASSIGN_OR_RETURN(expr, Make(std::move(condition)));
  }
  return expr;
}

// Operands of the next tighter kind with signs between them, from the left.
absl::StatusOr<ExprPtr> ExpressionParser::Chain(Kind kind, Parse operand,
                                                std::initializer_list<absl::string_view> signs) {
  ATTUNE_ASSIGN_OR_RETURN(ExprPtr left, (this->*operand)());
  const bool words = kind != Kind::kBinary;
  while (current().kind == (words ? Token::Kind::kName : Token::Kind::kOperator) &&
         IsOneOf(current().text, signs)) {
    const Token sign = current();
    Next();
    ATTUNE_ASSIGN_OR_RETURN(ExprPtr right, (this->*operand)());
    ATTUNE_ASSIGN_OR_RETURN(left,
                            Make(kind, sign.line, sign.text, std::move(left), std::move(right)));
  }
  return left;
}

absl::StatusOr<ExprPtr> ExpressionParser::Or() {
  return Chain(Kind::kOr, &ExpressionParser::And, {"or"});
}

absl::StatusOr<ExprPtr> ExpressionParser::And() {
  return Chain(Kind::kAnd, &ExpressionParser::Not, {"and"});
}

absl::StatusOr<ExprPtr> ExpressionParser::Not() {
  const int line = current().line;
  if (!IsName("not")) return Comparison();
  int count = 0;
  while (SkipName("not")) ++count;
  ATTUNE_ASSIGN_OR_RETURN(ExprPtr expr, Comparison());
  for (; count > 0; --count) {
    ATTUNE_ASSIGN_OR_RETURN(expr, Make(Kind::kNot, line, "", std::move(expr), nullptr));
  }
  return expr;
}

absl::StatusOr<ExprPtr> ExpressionParser::Comparison() {
  Expr compare{.kind = Kind::kCompare, .line = current().line};
  ATTUNE_ASSIGN_OR_RETURN(ExprPtr operand, Sum());
  for (;;) {
    std::string name;
    if (IsName("not") && following().kind == Token::Kind::kName && following().text == "in") {
      Next();
      name = "not ";
    }
    const bool compares = current().kind == Token::Kind::kOperator &&
                          IsOneOf(current().text, {"==", "!=", "<", "<=", ">", ">="});
    if (!compares && !IsName("in")) break;
    compare.names.push_back(name + current().text);
    Next();
    compare.operands.push_back(std::move(operand));
    ATTUNE_ASSIGN_OR_RETURN(operand, Sum());
  }
  if (compare.names.empty()) return operand;
  compare.operands.push_back(std::move(operand));
  return Make(std::move(compare));
}

absl::StatusOr<ExprPtr> ExpressionParser::Sum() {
  return Chain(Kind::kBinary, &ExpressionParser::Concat, {"+", "-"});
}

absl::StatusOr<ExprPtr> ExpressionParser::Concat() {
  Expr concat{.kind = Kind::kConcat, .line = current().line};
  ATTUNE_ASSIGN_OR_RETURN(ExprPtr operand, Product());
  if (!IsOperator("~")) return operand;
  concat.operands.push_back(std::move(operand));
  while (SkipOperator("~")) {
    ATTUNE_ASSIGN_OR_RETURN(operand, Product());
    concat.operands.push_back(std::move(operand));
  }
  return Make(std::move(concat));
}

absl::StatusOr<ExprPtr> ExpressionParser::Product() {
  return Chain(Kind::kBinary, &ExpressionParser::Power, {"*", "/", "//", "%"});
}

absl::StatusOr<ExprPtr> ExpressionParser::Power() {  // from the left, unlike Python's
  return Chain(Kind::kBinary, &ExpressionParser::Signed, {"**"});
}

absl::StatusOr<ExprPtr> ExpressionParser::Signed() { return Unary(/*filters=*/true); }

absl::StatusOr<ExprPtr> ExpressionParser::Unary(bool filters) {
  const int line = current().line;
  ExprPtr expr;
  if (IsOperator("-") || IsOperator("+")) {
    if (++nesting_ > kNestingMax) return Error("too many signs");
    const Kind kind = IsOperator("-") ? Kind::kNegative : Kind::kPositive;
    Next();
    ATTUNE_ASSIGN_OR_RETURN(expr, Unary(/*filters=*/false));
    ATTUNE_ASSIGN_OR_RETURN(expr, Make(kind, line, "", std::move(expr), nullptr));
    --nesting_;
  } else {
    ATTUNE_ASSIGN_OR_RETURN(expr, Primary());
  }
  ATTUNE_ASSIGN_OR_RETURN(expr, Postfix(std::move(expr)));
  return filters ? FiltersAndTests(std::move(expr)) : std::move(expr);
}

absl::StatusOr<ExprPtr> ExpressionParser::Primary() {
  const Token token = current();
  if (token.kind == Token::Kind::kInteger || token.kind == Token::Kind::kFloat) return Number();
  if (token.kind == Token::Kind::kString) return String();
  if (IsOperator("(")) return Parenthesized();
  if (IsOperator("[")) return ListOrDict(Kind::kList, "]");
  if (IsOperator("{")) return ListOrDict(Kind::kDict, "}");
  if (token.kind != Token::Kind::kName) {
    return Error(absl::StrCat("an expression is expected, not ", Described()));
  }
  Next();
  Expr literal{.kind = Kind::kLiteral, .line = token.line};  // None
  const bool is_true = IsOneOf(token.text, {"true", "True"});
  if (is_true || IsOneOf(token.text, {"false", "False"})) literal.value = {is_true};
  if (literal.value.is_bool() || IsOneOf(token.text, {"none", "None"})) {
    return Make(std::move(literal));
  }
  if (IsOneOf(token.text, {"varargs", "kwargs", "caller"})) {
    return ErrorAtLine(token.line,
                       absl::StrCat("the variable ", token.text, " of macros is not supported"));
  }
  return Make({.kind = Kind::kName, .line = token.line, .name = token.text});
}

absl::StatusOr<ExprPtr> ExpressionParser::Number() {
  Expr literal{.kind = Kind::kLiteral, .line = current().line};
  if (current().kind == Token::Kind::kInteger) {
    int64_t integer = 0;
    if (!absl::SimpleAtoi(current().text, &integer)) {
      return Error(absl::StrCat("the integer ", current().text, " does not fit into 64 bits"));
    }
    literal.value = {integer};
  } else {
    double number = 0;
    if (!absl::SimpleAtod(current().text, &number)) return Error("a number cannot be read");
    literal.value = {number};
  }
  Next();
  return Make(std::move(literal));
}

absl::StatusOr<ExprPtr> ExpressionParser::String() {
  const int line = current().line;
  std::string text;
  for (; current().kind == Token::Kind::kString; Next()) text += current().text;
  return Make({.kind = Kind::kLiteral, .line = line, .value = TextValue(std::move(text))});
}

absl::StatusOr<ExprPtr> ExpressionParser::Parenthesized() {
  const int line = current().line;
  Next();
  if (SkipOperator(")")) return Make({.kind = Kind::kTuple, .line = line});
  ATTUNE_ASSIGN_OR_RETURN(ExprPtr expr, ExpressionOrTuple(/*conditions=*/true));
  ATTUNE_RETURN_IF_ERROR(ExpectOperator(")"));
  return expr;
}

absl::StatusOr<ExprPtr> ExpressionParser::ListOrDict(Kind kind, absl::string_view end) {
  Expr made{.kind = kind, .line = current().line};
  Next();
  while (!IsOperator(end)) {
    if (!made.operands.empty()) ATTUNE_RETURN_IF_ERROR(ExpectOperator(","));
    if (IsOperator(end)) break;
    ATTUNE_ASSIGN_OR_RETURN(ExprPtr item, Expression());
    made.operands.push_back(std::move(item));
    if (kind == Kind::kList) continue;
    ATTUNE_RETURN_IF_ERROR(ExpectOperator(":"));
    ATTUNE_ASSIGN_OR_RETURN(ExprPtr value, Expression());
    made.operands.push_back(std::move(value));
  }
  Next();
  return Make(std::move(made));
}

absl::StatusOr<ExprPtr> ExpressionParser::Postfix(ExprPtr expr) {
  for (;;) {
    if (IsOperator(".")) {
      ATTUNE_ASSIGN_OR_RETURN(expr, Attribute(std::move(expr)));
    } else if (IsOperator("[")) {
      ATTUNE_ASSIGN_OR_RETURN(expr, Subscript(std::move(expr)));
    } else if (IsOperator("(")) {
      ATTUNE_ASSIGN_OR_RETURN(expr, Call(std::move(expr)));
    } else {
      return expr;
    }
  }
}

absl::StatusOr<ExprPtr> ExpressionParser::FiltersAndTests(ExprPtr expr) {
  for (;;) {
    if (SkipOperator("|")) {
      ATTUNE_ASSIGN_OR_RETURN(expr, Filter(std::move(expr)));
    } else if (SkipName("is")) {
      ATTUNE_ASSIGN_OR_RETURN(expr, Test(std::move(expr)));
    } else if (IsOperator("(")) {
      ATTUNE_ASSIGN_OR_RETURN(expr, Call(std::move(expr)));
    } else {
      return expr;
    }
  }
}

absl::StatusOr<ExprPtr> ExpressionParser::Attribute(ExprPtr expr) {
  const int line = current().line;
  Next();
  if (current().kind == Token::Kind::kInteger) {
    ATTUNE_ASSIGN_OR_RETURN(ExprPtr index, Number());
    return Make(Kind::kSubscript, line, "", std::move(expr), std::move(index));
  }
  ATTUNE_ASSIGN_OR_RETURN(std::string name, ExpectName());
  return Make(Kind::kAttribute, line, std::move(name), std::move(expr), nullptr);
}

absl::StatusOr<ExprPtr> ExpressionParser::Subscript(ExprPtr expr) {
  const int line = current().line;
  Next();
  Operands parts;  // around colons
  for (;;) {
    const bool absent = IsOperator(":") || IsOperator("]");
    parts.emplace_back();
    if (!absent) {
      ATTUNE_ASSIGN_OR_RETURN(parts.back(), Expression());
    }
    if (!IsOperator(":") || parts.size() == 3) break;
    Next();
  }
  ATTUNE_RETURN_IF_ERROR(ExpectOperator("]"));
  if (parts.size() == 1) {
    if (parts[0] == nullptr) return ErrorAtLine(line, "a subscript is empty");
    return Make(Kind::kSubscript, line, "", std::move(expr), std::move(parts[0]));
  }
  parts.resize(3);
  parts.insert(parts.begin(), std::move(expr));
  return Make({.kind = Kind::kSlice, .line = line, .operands = std::move(parts)});
}

absl::StatusOr<ExprPtr> ExpressionParser::Call(ExprPtr expr) {
  Expr call{.kind = Kind::kCall, .line = current().line};
  if (expr->kind == Kind::kAttribute && IsUnsupportedMethod(expr->name)) {
    return Error(absl::StrCat("the method .", expr->name, "() is not supported"));
  }
  if (expr->kind == Kind::kName && IsOneOf(expr->name, {"cycler", "joiner", "lipsum"})) {
    return Error(absl::StrCat("the function ", expr->name, "() is not supported"));
  }
  call.operands.push_back(std::move(expr));
  ATTUNE_RETURN_IF_ERROR(Arguments(&call));
  return Make(std::move(call));
}

// Appends those of a call to its operands, from "(" to ")".
absl::Status ExpressionParser::Arguments(Expr* call) {
  Next();
  for (bool first = true; !IsOperator(")"); first = false) {
    if (!first) ATTUNE_RETURN_IF_ERROR(ExpectOperator(","));
    if (IsOperator(")")) break;
    if (IsOperator("*") || IsOperator("**")) {
      return Error(absl::StrCat("arguments with ", current().text, " are not supported"));
    }
    const bool named = current().kind == Token::Kind::kName &&
                       following().kind == Token::Kind::kOperator && following().text == "=";
    if (named) {
      call->names.push_back(current().text);
      Next();
      Next();
    } else if (!call->names.empty()) {
      return Error("an argument without a name follows one with a name");
    }
    ATTUNE_ASSIGN_OR_RETURN(ExprPtr argument, Expression());
    call->operands.push_back(std::move(argument));
  }
  Next();
  return absl::OkStatus();
}

absl::StatusOr<ExprPtr> ExpressionParser::Filter(ExprPtr expr) {
  Expr filter{.kind = Kind::kFilter, .line = current().line};
  if (!IsFilter(current().text)) {
    return Error(absl::StrCat("the filter |", current().text, " is not supported"));
  }
  ATTUNE_ASSIGN_OR_RETURN(filter.name, ExpectName());
  filter.operands.push_back(std::move(expr));
  if (IsOperator("(")) ATTUNE_RETURN_IF_ERROR(Arguments(&filter));
  return Make(std::move(filter));
}

absl::StatusOr<ExprPtr> ExpressionParser::Test(ExprPtr expr) {
  Expr test{.kind = Kind::kTest, .line = current().line};
  const bool negated = SkipName("not");
  if (!IsTest(current().text)) {
    return Error(absl::StrCat("the test 'is ", current().text, "' is not supported"));
  }
  ATTUNE_ASSIGN_OR_RETURN(test.name, ExpectName());
  test.operands.push_back(std::move(expr));
  const bool operand = current().kind == Token::Kind::kName ||
                       current().kind == Token::Kind::kString ||
                       current().kind == Token::Kind::kInteger ||
                       current().kind == Token::Kind::kFloat || IsOperator("[") || IsOperator("{");
  if (IsOperator("(")) {
    ATTUNE_RETURN_IF_ERROR(Arguments(&test));
  } else if (IsName("is")) {
    return Error("tests cannot follow each other; put the first in parentheses");
  } else if (operand && !IsName("else") && !IsName("or") && !IsName("and")) {
    ATTUNE_ASSIGN_OR_RETURN(ExprPtr argument, Primary());
    ATTUNE_ASSIGN_OR_RETURN(argument, Postfix(std::move(argument)));
    test.operands.push_back(std::move(argument));
  }
  const int line = test.line;
  ATTUNE_ASSIGN_OR_RETURN(ExprPtr made, Make(std::move(test)));
  if (!negated) return made;
  return Make(Kind::kNot, line, "", std::move(made), nullptr);
}

}  // namespace attune::jinja
