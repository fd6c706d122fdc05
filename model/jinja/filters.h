// The filters of templates: `value | name(arguments)`.
#ifndef ATTUNE_MODEL_JINJA_FILTERS_H_
#define ATTUNE_MODEL_JINJA_FILTERS_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/jinja/arguments.h"
#include "model/jinja/value.h"

namespace attune::jinja {

bool IsFilter(absl::string_view name);

// Fails, naming it, when there is no such filter.
[[nodiscard]] absl::StatusOr<Value> ApplyFilter(absl::string_view name, const Value& value,
                                                const Arguments& arguments, Budget& budget);

}  // namespace attune::jinja

#endif  // ATTUNE_MODEL_JINJA_FILTERS_H_
