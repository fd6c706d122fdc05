// A parsed chat template.
#ifndef ATTUNE_MODEL_JINJA_AST_H_
#define ATTUNE_MODEL_JINJA_AST_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "model/jinja/value.h"

namespace attune::jinja {

// Expressions in expressions, tags in tags: bounds every recursion over a template.
inline constexpr int kNestingMax = 100;

struct Expr;
using ExprPtr = std::unique_ptr<const Expr>;

struct Expr {
  enum class Kind {
    kLiteral,  // value
    kName,     // name
    kList,     // its operands
    kTuple,
    kDict,  // key, value, key, value, ...
    kAnd,   // two operands
    kOr,
    kNot,  // one operand
    kNegative,
    kPositive,
    kBinary,     // two operands; `name` is the operator, such as "//"
    kConcat,     // x ~ y ~ z
    kCompare,    // a < b <= c: operands, and the operators between them in `names`
    kCondition,  // condition, value if true, value if false (or null)
    kAttribute,  // operand.name
    kSubscript,  // operand[operand]
    kSlice,      // operand[start:stop:step]; those that are left out are null
    kCall,       // operand(arguments); the names of the last arguments in `names`
    kFilter,     // operand | name(arguments), the same
    kTest,       // operand is name(arguments), the same
  };
  Kind kind;
  int line;
  std::string name = {};
  Value value = {};
  std::vector<ExprPtr> operands = {};
  std::vector<std::string> names = {};
  int depth = 1;
};

struct Node;
using Block = std::vector<Node>;

struct Branch {       // of an {% if %}
  ExprPtr condition;  // null: else
  Block body;
};

struct Parameter {  // of a macro
  std::string name;
  ExprPtr default_value;  // or null
};

struct Node {
  enum class Kind {
    kText,        // text
    kPrint,       // expr
    kIf,          // branches
    kFor,         // targets, expr, condition (or null), body, otherwise
    kSet,         // targets or one target and its `attribute`, expr
    kSetBlock,    // the same, body
    kMacro,       // text is its name; parameters, body
    kGeneration,  // body
    kBreak,
    kContinue,
  };
  Kind kind;
  int line;
  std::string text = {};
  ExprPtr expr = {};
  ExprPtr condition = {};
  std::vector<std::string> targets = {};
  bool unpacks = false;        // `a, b` or `a,` rather than `a`
  std::string attribute = {};  // {% set target.attribute = ... %}
  std::vector<Branch> branches = {};
  std::vector<Parameter> parameters = {};
  Block body = {};
  Block otherwise = {};
};

}  // namespace attune::jinja

#endif  // ATTUNE_MODEL_JINJA_AST_H_
