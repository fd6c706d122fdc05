// Renders a parsed template.
#ifndef ATTUNE_MODEL_JINJA_EVAL_H_
#define ATTUNE_MODEL_JINJA_EVAL_H_

#include <string>

#include "absl/status/statusor.h"
#include "model/jinja/ast.h"
#include "model/jinja/value.h"

namespace attune::jinja {

// What one rendering may take, see Budget. Ten times what the largest conversations need.
inline constexpr uint64_t kStepsMax = 10'000'000;
// Expressions, tags and macros that are being evaluated inside each other.
inline constexpr int kEvaluationDepthMax = 1000;

// INVALID_ARGUMENT, beginning with the line: what the template raises, an operation that Python
// refuses too, one that is not supported, or a limit. Thread-safe.
[[nodiscard]] absl::StatusOr<std::string> Render(const Block& block, const Dict& variables);

}  // namespace attune::jinja

#endif  // ATTUNE_MODEL_JINJA_EVAL_H_
