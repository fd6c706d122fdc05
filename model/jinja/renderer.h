// One rendering: runs the tags of a template and evaluates its expressions. Used by jinja_eval.h.
#ifndef ATTUNE_MODEL_JINJA_RENDERER_H_
#define ATTUNE_MODEL_JINJA_RENDERER_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/jinja/arguments.h"
#include "model/jinja/ast.h"
#include "model/jinja/eval.h"
#include "model/jinja/value.h"

namespace attune::jinja {

// The variables of a loop's turn, a macro's call or a block; what is not there is looked for in
// the scopes around it.
struct Scope {
  Scope* parent = nullptr;
  std::map<std::string, Value, std::less<>> variables = {};
};

class Renderer {
 public:
  // `variables` must outlive the renderer.
  explicit Renderer(const Dict& variables) : variables_(variables) {}

  // Once.
  [[nodiscard]] absl::StatusOr<std::string> Run(const Block& block);

 private:
  enum class Flow { kNext, kBreak, kContinue };

  // Remembers where the first error was.
  void ErrorIn(int line) {
    if (error_line_ == 0) error_line_ = line;
  }
  // Counts a step and a level of depth_, which the caller takes back.
  absl::Status Enter();

  [[nodiscard]] absl::StatusOr<Flow> RunBlock(const Block& block, Scope& scope, std::string* out);
  [[nodiscard]] absl::StatusOr<Flow> RunNode(const Node& node, Scope& scope, std::string* out);
  absl::Status Append(absl::string_view text, std::string* out);
  absl::Status Print(const Expr& expr, Scope& scope, std::string* out);
  absl::Status Set(const Node& node, Scope& scope);
  absl::Status SetBlock(const Node& node, Scope& scope);
  // To the targets of a {% for %} or {% set %}.
  absl::Status Assign(const Node& node, Value value, Scope& scope);
  [[nodiscard]] absl::StatusOr<Flow> If(const Node& node, Scope& scope, std::string* out);
  [[nodiscard]] absl::StatusOr<Flow> For(const Node& node, Scope& scope, std::string* out);
  // Whether the loop has `count` items that pass its filter, which are then in loop.items.
  [[nodiscard]] absl::StatusOr<bool> TakeItems(Loop& loop, size_t count);

  [[nodiscard]] absl::StatusOr<Value> Lookup(absl::string_view name, const Scope& scope) const;
  [[nodiscard]] absl::StatusOr<Value> Evaluate(const Expr& expr, Scope& scope);
  [[nodiscard]] absl::StatusOr<Value> EvaluateKind(const Expr& expr, Scope& scope);
  [[nodiscard]] absl::StatusOr<Value> MakeList(const Expr& expr, Scope& scope);
  [[nodiscard]] absl::StatusOr<Value> MakeDict(const Expr& expr, Scope& scope);
  [[nodiscard]] absl::StatusOr<Value> AndOr(const Expr& expr, Scope& scope);
  [[nodiscard]] absl::StatusOr<Value> Unary(const Expr& expr, Scope& scope);
  [[nodiscard]] absl::StatusOr<Value> Concat(const Expr& expr, Scope& scope);
  [[nodiscard]] absl::StatusOr<Value> Comparison(const Expr& expr, Scope& scope);
  [[nodiscard]] absl::StatusOr<Value> Condition(const Expr& expr, Scope& scope);
  [[nodiscard]] absl::StatusOr<Value> Member(const Expr& expr, Scope& scope);
  [[nodiscard]] absl::StatusOr<Value> LoopMember(Loop& loop, absl::string_view name);
  [[nodiscard]] absl::StatusOr<Value> Subscript(const Expr& expr, Scope& scope);
  [[nodiscard]] absl::StatusOr<Value> SliceOf(const Expr& expr, Scope& scope);
  // All operands but the first.
  [[nodiscard]] absl::StatusOr<Arguments> EvaluateArguments(const Expr& expr, Scope& scope);
  [[nodiscard]] absl::StatusOr<Value> Call(const Expr& expr, Scope& scope);
  [[nodiscard]] absl::StatusOr<Value> CallMacro(const Node& macro, const Arguments& arguments);

  const Dict& variables_;
  Budget budget_{kStepsMax};
  std::vector<std::unique_ptr<Namespace>> namespaces_;
  Scope top_;
  int depth_ = 0;
  int error_line_ = 0;
};

}  // namespace attune::jinja

#endif  // ATTUNE_MODEL_JINJA_RENDERER_H_
