// The filters of templates that work on lists.
#ifndef ATTUNE_MODEL_JINJA_SEQUENCE_FILTERS_H_
#define ATTUNE_MODEL_JINJA_SEQUENCE_FILTERS_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/jinja/arguments.h"
#include "model/jinja/value.h"

namespace attune::jinja {

bool IsSequenceFilter(absl::string_view name);

// `name` is a sequence filter.
[[nodiscard]] absl::StatusOr<Value> ApplySequenceFilter(absl::string_view name, const Value& value,
                                                        const Arguments& arguments, Budget& budget);

}  // namespace attune::jinja

#endif  // ATTUNE_MODEL_JINJA_SEQUENCE_FILTERS_H_
