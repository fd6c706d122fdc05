// The operators of templates, as Python has them.
#ifndef ATTUNE_MODEL_JINJA_OPERATORS_H_
#define ATTUNE_MODEL_JINJA_OPERATORS_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/jinja/value.h"

namespace attune::jinja {

// + - * / // % **. Fails on types that do not go together and on integers beyond 64 bits.
[[nodiscard]] absl::StatusOr<Value> Arithmetic(absl::string_view sign, const Value& a,
                                               const Value& b, Budget& budget);
// == != < <= > >= in "not in".
[[nodiscard]] absl::StatusOr<bool> Compare(absl::string_view sign, const Value& a, const Value& b,
                                           Budget& budget);
[[nodiscard]] absl::StatusOr<Value> Negative(const Value& value);

// container[key] and value.name; undefined if there is no such thing.
[[nodiscard]] absl::StatusOr<Value> Item(const Value& container, const Value& key, Budget& budget);
[[nodiscard]] absl::StatusOr<Value> Attribute(const Value& value, absl::string_view name);
// container[start:stop:step]; None is what is left out.
[[nodiscard]] absl::StatusOr<Value> Slice(const Value& container, const Value& start,
                                          const Value& stop, const Value& step, Budget& budget);

}  // namespace attune::jinja

#endif  // ATTUNE_MODEL_JINJA_OPERATORS_H_
