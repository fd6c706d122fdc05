#include "model/jinja/parser.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "model/jinja/expression.h"
#include "model/jinja/lexer.h"

namespace attune::jinja {
namespace {

using Kind = Node::Kind;

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : in_(std::move(tokens)) {}

  absl::StatusOr<Block> Run() { return Body({}); }

 private:
  // Nodes up to a tag of one of the names `ends` (none: the end of the template), whose name is
  // then the current token.
  absl::StatusOr<Block> Body(const std::vector<absl::string_view>& ends) {
    if (++nesting_ > kNestingMax) {
      return in_.Error(
          absl::StrCat("tags are nested more than ", kNestingMax, " deep, which is the limit"));
    }
    Block body;
    const int begin_line = in_.current().line;
    for (;;) {
      const Token& token = in_.current();
      if (token.kind == Token::Kind::kEnd) {
        if (!ends.empty()) {
          return ErrorAtLine(begin_line, absl::StrCat("the tag has no {% ", ends.back(), " %}"));
        }
        break;
      }
      if (token.kind == Token::Kind::kText) {
        body.push_back({.kind = Kind::kText, .line = token.line, .text = token.text});
        in_.Next();
        continue;
      }
      const bool print = token.kind == Token::Kind::kPrintBegin;
      in_.Next();
      if (!print && std::any_of(ends.begin(), ends.end(),
                                [&](absl::string_view end) { return in_.IsName(end); })) {
        break;
      }
      ATTUNE_ASSIGN_OR_RETURN(Node node, print ? Print() : Tag());
      body.push_back(std::move(node));
    }
    --nesting_;
    return body;
  }

  // Node's body, and the tag `end`.
  absl::StatusOr<Node> WithBody(Node node, absl::string_view end) {
    ATTUNE_RETURN_IF_ERROR(EndTag());
    ATTUNE_ASSIGN_OR_RETURN(node.body, Body({end}));
    in_.Next();
    ATTUNE_RETURN_IF_ERROR(EndTag());
    return node;
  }

  absl::Status EndTag() {
    if (in_.current().kind != Token::Kind::kTagEnd) {
      return in_.Error(absl::StrCat("%} is expected, not ", in_.Described()));
    }
    in_.Next();
    return absl::OkStatus();
  }

  absl::StatusOr<ExprPtr> Plain(absl::StatusOr<ExprPtr> expr) const {
    if (expr.ok() && IsMarkup(**expr)) {
      return ErrorAtLine((*expr)->line, absl::StrCat("the filter |", (*expr)->name,
                                                     " is supported only as the last in {{ }}"));
    }
    return expr;
  }

  absl::StatusOr<Node> Print() {
    Node node{.kind = Kind::kPrint, .line = in_.current().line};
    ATTUNE_ASSIGN_OR_RETURN(node.expr, in_.ExpressionOrTuple(/*conditions=*/true));
    if (in_.current().kind != Token::Kind::kPrintEnd) {
      return in_.Error(absl::StrCat("}} is expected, not ", in_.Described()));
    }
    in_.Next();
    return node;
  }

  absl::StatusOr<Node> Tag() {
    const int line = in_.current().line;
    ATTUNE_ASSIGN_OR_RETURN(const std::string name, in_.ExpectName());
    if (name == "if") return If(line);
    if (name == "for") return For(line);
    if (name == "set") return Set(line);
    if (name == "macro") return Macro(line);
    if (name == "generation") return Generation(line);
    if (name == "break" || name == "continue") {
      if (!in_loop_) return ErrorAtLine(line, absl::StrCat("{% ", name, " %} outside of a loop"));
      ATTUNE_RETURN_IF_ERROR(EndTag());
      return Node{.kind = name == "break" ? Kind::kBreak : Kind::kContinue, .line = line};
    }
    for (absl::string_view end :
         {"elif", "else", "endif", "endfor", "endset", "endmacro", "endgeneration", "endraw"}) {
      if (name == end) return ErrorAtLine(line, absl::StrCat("{% ", name, " %} ends nothing"));
    }
    return ErrorAtLine(line, absl::StrCat("the tag {% ", name, " %} is not supported"));
  }

  absl::StatusOr<Node> If(int line) {
    Node node{.kind = Kind::kIf, .line = line};
    for (bool more = true; more;) {
      Branch branch;
      ATTUNE_ASSIGN_OR_RETURN(branch.condition, Plain(in_.ExpressionOrTuple(false)));
      ATTUNE_RETURN_IF_ERROR(EndTag());
      ATTUNE_ASSIGN_OR_RETURN(branch.body, Body({"elif", "else", "endif"}));
      node.branches.push_back(std::move(branch));
      more = in_.SkipName("elif");
    }
    if (in_.SkipName("else")) {
      ATTUNE_RETURN_IF_ERROR(EndTag());
      node.branches.emplace_back();
      ATTUNE_ASSIGN_OR_RETURN(node.branches.back().body, Body({"endif"}));
    }
    in_.Next();
    ATTUNE_RETURN_IF_ERROR(EndTag());
    return node;
  }

  absl::StatusOr<Node> For(int line) {
    Node node{.kind = Kind::kFor, .line = line};
    ++loops_;
    ATTUNE_RETURN_IF_ERROR(Targets(&node));
    if (!in_.SkipName("in")) {
      return in_.Error(absl::StrCat("'in' is expected, not ", in_.Described()));
    }
    ATTUNE_ASSIGN_OR_RETURN(node.expr, Plain(in_.ExpressionOrTuple(/*conditions=*/false)));
    if (in_.SkipName("if")) {
      ATTUNE_ASSIGN_OR_RETURN(node.condition, Plain(in_.Expression()));
    }
    if (in_.IsName("recursive")) return in_.Error("a recursive {% for %} is not supported");
    ATTUNE_RETURN_IF_ERROR(EndTag());
    const bool outer = std::exchange(in_loop_, true);
    const bool outer_scope = std::exchange(top_scope_, false);
    ATTUNE_ASSIGN_OR_RETURN(node.body, Body({"else", "endfor"}));
    in_loop_ = outer;
    if (in_.SkipName("else")) {
      ATTUNE_RETURN_IF_ERROR(EndTag());
      ATTUNE_ASSIGN_OR_RETURN(node.otherwise, Body({"endfor"}));
    }
    top_scope_ = outer_scope;
    --loops_;
    in_.Next();
    ATTUNE_RETURN_IF_ERROR(EndTag());
    return node;
  }

  // What {% for %} and {% set %} assign to.
  absl::Status Targets(Node* node) {
    const bool parentheses = in_.SkipOperator("(");
    do {
      if (in_.IsOperator("(")) return in_.Error("a target in a target is not supported");
      ATTUNE_ASSIGN_OR_RETURN(std::string name, in_.ExpectName());
      for (absl::string_view constant : {"true", "false", "none", "True", "False", "None"}) {
        if (name == constant) return in_.Error(absl::StrCat(name, " cannot be assigned to"));
      }
      if (name == "loop" && loops_ > 0) return in_.Error("loop cannot be assigned to");
      node->targets.push_back(std::move(name));
      node->unpacks = node->unpacks || in_.IsOperator(",");
    } while (in_.SkipOperator(","));
    return parentheses ? in_.ExpectOperator(")") : absl::OkStatus();
  }

  absl::StatusOr<Node> Set(int line) {
    Node node{.kind = Kind::kSet, .line = line};
    ATTUNE_RETURN_IF_ERROR(Targets(&node));
    if (!node.unpacks && in_.SkipOperator(".")) {
      ATTUNE_ASSIGN_OR_RETURN(node.attribute, in_.ExpectName());
    }
    if (in_.SkipOperator("=")) {
      ATTUNE_ASSIGN_OR_RETURN(node.expr, Plain(in_.ExpressionOrTuple(/*conditions=*/true)));
      ATTUNE_RETURN_IF_ERROR(EndTag());
      return node;
    }
    if (in_.IsOperator("|"))
      return in_.Error("{% set %} of a block with a filter is not supported");
    node.kind = Kind::kSetBlock;
    return Scoped(std::move(node), "endset");
  }

  absl::StatusOr<Node> Generation(int line) {
    return Scoped({.kind = Kind::kGeneration, .line = line}, "endgeneration");
  }

  // A body with its own variables.
  absl::StatusOr<Node> Scoped(Node node, absl::string_view end) {
    const bool outer_loop = std::exchange(in_loop_, false);
    const bool outer_scope = std::exchange(top_scope_, false);
    absl::StatusOr<Node> scoped = WithBody(std::move(node), end);
    in_loop_ = outer_loop;
    top_scope_ = outer_scope;
    return scoped;
  }

  absl::StatusOr<Node> Macro(int line) {
    // One that is defined elsewhere would have to keep the variables of that place.
    if (!top_scope_) {
      return ErrorAtLine(line, "a {% macro %} inside another tag than {% if %} is not supported");
    }
    Node node{.kind = Kind::kMacro, .line = line};
    ATTUNE_ASSIGN_OR_RETURN(node.text, in_.ExpectName());
    ATTUNE_RETURN_IF_ERROR(in_.ExpectOperator("("));
    while (!in_.IsOperator(")")) {
      if (!node.parameters.empty()) ATTUNE_RETURN_IF_ERROR(in_.ExpectOperator(","));
      Parameter parameter;
      ATTUNE_ASSIGN_OR_RETURN(parameter.name, in_.ExpectName());
      if (in_.SkipOperator("=")) {
        ATTUNE_ASSIGN_OR_RETURN(parameter.default_value, Plain(in_.Expression()));
      } else if (!node.parameters.empty() && node.parameters.back().default_value != nullptr) {
        return in_.Error("a parameter without a default follows one with a default");
      }
      node.parameters.push_back(std::move(parameter));
    }
    in_.Next();
    return Scoped(std::move(node), "endmacro");
  }

  ExpressionParser in_;
  int nesting_ = 0;
  int loops_ = 0;          // around
  bool in_loop_ = false;   // whose {% break %} can stand here
  bool top_scope_ = true;  // the variables set here are those of the template
};

}  // namespace

absl::StatusOr<Block> Parse(absl::string_view source) {
  ATTUNE_ASSIGN_OR_RETURN(std::vector<Token> tokens, Tokenize(source));
  return Parser(std::move(tokens)).Run();
}

}  // namespace attune::jinja
