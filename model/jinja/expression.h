// Tokens -> expressions: jinja2's grammar, with its precedences.
#ifndef ATTUNE_MODEL_JINJA_EXPRESSION_H_
#define ATTUNE_MODEL_JINJA_EXPRESSION_H_

#include <initializer_list>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/jinja/ast.h"
#include "model/jinja/token_reader.h"

namespace attune::jinja {

// Whether the expression is a text that jinja2 takes for HTML: + with it would escape the other
// side, so that it is supported only where it is printed at once.
bool IsMarkup(const Expr& expr);

// Reads them where the tokens are. Errors name the line; a filter, test or method that is not
// supported is refused here, by name.
class ExpressionParser : public TokenReader {
 public:
  using TokenReader::TokenReader;

  // With `x if y else z` at the top where `conditions`.
  [[nodiscard]] absl::StatusOr<ExprPtr> Expression(bool conditions = true);
  // One expression, or several with commas, which are a tuple.
  [[nodiscard]] absl::StatusOr<ExprPtr> ExpressionOrTuple(bool conditions);

 private:
  using Operands = std::vector<ExprPtr>;
  using Parse = absl::StatusOr<ExprPtr> (ExpressionParser::*)();

  bool EndsTuple() const;
  [[nodiscard]] absl::StatusOr<ExprPtr> Make(Expr expr) const;
  [[nodiscard]] absl::StatusOr<ExprPtr> Make(Expr::Kind kind, int line, std::string name,
                                             ExprPtr first, ExprPtr second) const;

  [[nodiscard]] absl::StatusOr<ExprPtr> Chain(Expr::Kind kind, Parse operand,
                                              std::initializer_list<absl::string_view> signs);

  // From the loosest to the tightest.
  [[nodiscard]] absl::StatusOr<ExprPtr> Condition();
  [[nodiscard]] absl::StatusOr<ExprPtr> Or();
  [[nodiscard]] absl::StatusOr<ExprPtr> And();
  [[nodiscard]] absl::StatusOr<ExprPtr> Not();
  [[nodiscard]] absl::StatusOr<ExprPtr> Comparison();
  [[nodiscard]] absl::StatusOr<ExprPtr> Sum();
  [[nodiscard]] absl::StatusOr<ExprPtr> Concat();
  [[nodiscard]] absl::StatusOr<ExprPtr> Product();
  [[nodiscard]] absl::StatusOr<ExprPtr> Power();
  [[nodiscard]] absl::StatusOr<ExprPtr> Signed();
  [[nodiscard]] absl::StatusOr<ExprPtr> Unary(bool filters);
  [[nodiscard]] absl::StatusOr<ExprPtr> Primary();

  [[nodiscard]] absl::StatusOr<ExprPtr> Number();
  [[nodiscard]] absl::StatusOr<ExprPtr> String();
  [[nodiscard]] absl::StatusOr<ExprPtr> Parenthesized();
  [[nodiscard]] absl::StatusOr<ExprPtr> ListOrDict(Expr::Kind kind, absl::string_view end);
  [[nodiscard]] absl::StatusOr<ExprPtr> Postfix(ExprPtr expr);
  [[nodiscard]] absl::StatusOr<ExprPtr> FiltersAndTests(ExprPtr expr);
  [[nodiscard]] absl::StatusOr<ExprPtr> Subscript(ExprPtr expr);
  [[nodiscard]] absl::StatusOr<ExprPtr> Attribute(ExprPtr expr);
  [[nodiscard]] absl::StatusOr<ExprPtr> Call(ExprPtr expr);
  [[nodiscard]] absl::StatusOr<ExprPtr> Filter(ExprPtr expr);
  [[nodiscard]] absl::StatusOr<ExprPtr> Test(ExprPtr expr);
  absl::Status Arguments(Expr* call);

  int nesting_ = 0;
};

}  // namespace attune::jinja

#endif  // ATTUNE_MODEL_JINJA_EXPRESSION_H_
