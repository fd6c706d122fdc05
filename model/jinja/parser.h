// The text of a chat template -> its syntax tree.
#ifndef ATTUNE_MODEL_JINJA_PARSER_H_
#define ATTUNE_MODEL_JINJA_PARSER_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/jinja/ast.h"

namespace attune::jinja {

// `source` is valid UTF-8. INVALID_ARGUMENT: a syntax error, or a tag, filter, test or method that
// jinja2 has and this one does not, by name; the message begins with the line.
[[nodiscard]] absl::StatusOr<Block> Parse(absl::string_view source);

}  // namespace attune::jinja

#endif  // ATTUNE_MODEL_JINJA_PARSER_H_
