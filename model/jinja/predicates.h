// The tests of templates: `value is name(arguments)`.
#ifndef ATTUNE_MODEL_JINJA_PREDICATES_H_
#define ATTUNE_MODEL_JINJA_PREDICATES_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/jinja/arguments.h"
#include "model/jinja/value.h"

namespace attune::jinja {

bool IsTest(absl::string_view name);

// Fails, naming it, when there is no such test.
[[nodiscard]] absl::StatusOr<bool> ApplyTest(absl::string_view name, const Value& value,
                                             const Arguments& arguments, Budget& budget);

}  // namespace attune::jinja

#endif  // ATTUNE_MODEL_JINJA_PREDICATES_H_
