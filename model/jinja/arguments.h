// The arguments of a call of a function, method, filter or test.
#ifndef ATTUNE_MODEL_JINJA_ARGUMENTS_H_
#define ATTUNE_MODEL_JINJA_ARGUMENTS_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/jinja/value.h"

namespace attune::jinja {

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

// What a call gives for each of `parameters`, by position or by name. Fails, naming `callee`, when
// it gives too much, one twice or one that is not a parameter; whether enough is given is for the
// callee to say.
[[nodiscard]] absl::StatusOr<std::vector<std::optional<Value>>> Bind(
    absl::string_view callee, const Arguments& arguments,
    const std::vector<absl::string_view>& parameters);

// The value of a parameter; each fails, naming it, when the value is of another kind. Without a
// default it must be there.
[[nodiscard]] absl::StatusOr<std::string> TextArgument(absl::string_view name,
                                                       const std::optional<Value>& value);
[[nodiscard]] absl::StatusOr<int64_t> IntegerArgument(
    absl::string_view name, const std::optional<Value>& value,
    std::optional<int64_t> default_value = std::nullopt);

}  // namespace attune::jinja

#endif  // ATTUNE_MODEL_JINJA_ARGUMENTS_H_
