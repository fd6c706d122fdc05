// Tags; expressions are evaluated in jinja_eval_expression.cc.
#include "model/jinja/eval.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "model/jinja/lexer.h"
#include "model/jinja/renderer.h"

namespace attune::jinja {

absl::StatusOr<std::string> Render(const Block& block, const Dict& variables) {
  return Renderer(variables).Run(block);
}

absl::StatusOr<std::string> Renderer::Run(const Block& block) {
  std::string out;
  const absl::StatusOr<Flow> flow = RunBlock(block, top_, &out);
  if (!flow.ok()) return ErrorAtLine(error_line_, flow.status().message());
  return out;
}

absl::Status Renderer::Enter() {
  ATTUNE_RETURN_IF_ERROR(budget_.Take(1));
  if (++depth_ <= kEvaluationDepthMax) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("expressions and macros are evaluated more than ",
                                                 kEvaluationDepthMax, " deep, which is the limit"));
}

absl::StatusOr<Renderer::Flow> Renderer::RunBlock(const Block& block, Scope& scope,
                                                  std::string* out) {
  for (const Node& node : block) {
    absl::StatusOr<Flow> flow = RunNode(node, scope, out);
    if (!flow.ok()) ErrorIn(node.line);
    if (!flow.ok() || *flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

absl::StatusOr<Renderer::Flow> Renderer::RunNode(const Node& node, Scope& scope, std::string* out) {
  ATTUNE_RETURN_IF_ERROR(Enter());
  Flow flow = Flow::kNext;
  switch (node.kind) {
    case Node::Kind::kText:
      ATTUNE_RETURN_IF_ERROR(Append(node.text, out));
      break;
    case Node::Kind::kPrint:
      ATTUNE_RETURN_IF_ERROR(Print(*node.expr, scope, out));
      break;
    case Node::Kind::kSet:
      ATTUNE_RETURN_IF_ERROR(Set(node, scope));
      break;
    case Node::Kind::kSetBlock:
      ATTUNE_RETURN_IF_ERROR(SetBlock(node, scope));
      break;
    case Node::Kind::kMacro:
      scope.variables[node.text] = {
          std::make_shared<const Function>(Function{node.text, Value{}, &node})};
      break;
    case Node::Kind::kBreak:
      flow = Flow::kBreak;
      break;
    case Node::Kind::kContinue:
      flow = Flow::kContinue;
      break;
    case Node::Kind::kIf: {
      ATTUNE_ASSIGN_OR_RETURN(flow, If(node, scope, out));
      break;
    }
    case Node::Kind::kFor: {
      ATTUNE_ASSIGN_OR_RETURN(flow, For(node, scope, out));
      break;
    }
    case Node::Kind::kGeneration: {
      Scope inner{&scope};
      ATTUNE_RETURN_IF_ERROR(RunBlock(node.body, inner, out).status());
      break;
    }
  }
  --depth_;
  return flow;
}

absl::Status Renderer::Append(absl::string_view text, std::string* out) {
  ATTUNE_RETURN_IF_ERROR(budget_.TakeText(text.size()));
  ATTUNE_RETURN_IF_ERROR(CheckTextSize(out->size() + text.size()));
  out->append(text.data(), text.size());
  return absl::OkStatus();
}

absl::Status Renderer::Print(const Expr& expr, Scope& scope, std::string* out) {
  ATTUNE_ASSIGN_OR_RETURN(const Value value, Evaluate(expr, scope));
  ATTUNE_ASSIGN_OR_RETURN(const std::string text, ToText(value, budget_));
  return Append(text, out);
}

absl::Status Renderer::Set(const Node& node, Scope& scope) {
  ATTUNE_ASSIGN_OR_RETURN(Value value, Evaluate(*node.expr, scope));
  return Assign(node, std::move(value), scope);
}

absl::Status Renderer::SetBlock(const Node& node, Scope& scope) {
  Scope inner{&scope};
  std::string text;
  ATTUNE_RETURN_IF_ERROR(RunBlock(node.body, inner, &text).status());
  return Assign(node, TextValue(std::move(text)), scope);
}

absl::Status Renderer::Assign(const Node& node, Value value, Scope& scope) {
  if (!node.attribute.empty()) {
    ATTUNE_ASSIGN_OR_RETURN(const Value target, Lookup(node.targets[0], scope));
    Namespace* name_space = target.name_space();
    if (name_space == nullptr) {
      ATTUNE_RETURN_IF_ERROR(CheckDefined(target));
      return absl::InvalidArgumentError(
          absl::StrCat("cannot assign to '", node.attribute, "' of what is not a namespace"));
    }
    name_space->attributes[node.attribute] = std::move(value);
    return absl::OkStatus();
  }
  if (!node.unpacks) {
    scope.variables[node.targets[0]] = std::move(value);
    return absl::OkStatus();
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::shared_ptr<const List> items, Iterate(value, budget_));
  if (items->items.size() != node.targets.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot unpack ", items->items.size(), " values into ", node.targets.size()));
  }
  for (size_t i = 0; i < node.targets.size(); ++i) {
    scope.variables[node.targets[i]] = items->items[i];
  }
  return absl::OkStatus();
}

absl::StatusOr<Renderer::Flow> Renderer::If(const Node& node, Scope& scope, std::string* out) {
  for (const Branch& branch : node.branches) {
    if (branch.condition != nullptr) {
      ATTUNE_ASSIGN_OR_RETURN(const Value condition, Evaluate(*branch.condition, scope));
      if (!Truth(condition)) continue;
    }
    return RunBlock(branch.body, scope, out);
  }
  return Flow::kNext;
}

absl::StatusOr<Renderer::Flow> Renderer::For(const Node& node, Scope& scope, std::string* out) {
  ATTUNE_ASSIGN_OR_RETURN(const Value value, Evaluate(*node.expr, scope));
  const auto loop = std::make_shared<Loop>();
  ATTUNE_ASSIGN_OR_RETURN(loop->source, Iterate(value, budget_));
  loop->node = &node;
  loop->scope = &scope;
  bool completed = false;  // a turn that neither broke nor continued: jinja2's idea of "no else"
  for (;; ++loop->index0) {
    ATTUNE_ASSIGN_OR_RETURN(const bool more, TakeItems(*loop, loop->index0 + 1));
    if (!more) break;
    ATTUNE_RETURN_IF_ERROR(budget_.Take(8));  // for the variables
    Scope turn{&scope};
    turn.variables["loop"] = {loop};
    ATTUNE_RETURN_IF_ERROR(Assign(node, loop->items[loop->index0], turn));
    ATTUNE_ASSIGN_OR_RETURN(const Flow flow, RunBlock(node.body, turn, out));
    completed = completed || flow == Flow::kNext;
    if (flow == Flow::kBreak) break;
  }
  loop->node = nullptr;
  loop->scope = nullptr;
  if (completed) return Flow::kNext;
  Scope otherwise{&scope};
  return RunBlock(node.otherwise, otherwise, out);
}

absl::StatusOr<bool> Renderer::TakeItems(Loop& loop, size_t count) {
  while (loop.items.size() < count && loop.node != nullptr &&
         loop.taken < loop.source->items.size()) {
    const Value& item = loop.source->items[loop.taken++];
    ATTUNE_RETURN_IF_ERROR(budget_.Take(1));
    if (loop.node->condition != nullptr) {
      Scope filter{loop.scope};
      ATTUNE_RETURN_IF_ERROR(Assign(*loop.node, item, filter));
      ATTUNE_ASSIGN_OR_RETURN(const Value passes, Evaluate(*loop.node->condition, filter));
      if (!Truth(passes)) continue;
    }
    loop.items.push_back(item);
  }
  return loop.items.size() >= count;
}

}  // namespace attune::jinja
