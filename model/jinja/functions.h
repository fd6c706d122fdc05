// The functions that templates find: jinja2's own and those that transformers adds.
#ifndef ATTUNE_MODEL_JINJA_FUNCTIONS_H_
#define ATTUNE_MODEL_JINJA_FUNCTIONS_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/jinja/arguments.h"
#include "model/jinja/value.h"

namespace attune::jinja {

// dict, namespace, raise_exception, range, strftime_now.
bool IsFunction(absl::string_view name);

// `name` is a function. strftime_now formats midnight of 26 Jul 2024, always: what a job does must
// depend on the job alone, and that is the day which Llama 3's templates fall back to. The result
// of namespace is owned by `namespaces`.
[[nodiscard]] absl::StatusOr<Value> CallFunction(
    absl::string_view name, const Arguments& arguments, Budget& budget,
    std::vector<std::unique_ptr<Namespace>>* namespaces);

}  // namespace attune::jinja

#endif  // ATTUNE_MODEL_JINJA_FUNCTIONS_H_
