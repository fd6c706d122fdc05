#include "model/jinja/arguments.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"

namespace attune::jinja {
namespace {

absl::Status WrongType(absl::string_view name, absl::string_view wanted,
                       const std::optional<Value>& value) {
  if (!value.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat("the argument '", name, "' is missing"));
  }
  ATTUNE_RETURN_IF_ERROR(CheckDefined(*value));
  return absl::InvalidArgumentError(
      absl::StrCat("the argument '", name, "' must be ", wanted, ", not '", TypeName(*value), "'"));
}

}  // namespace

absl::StatusOr<std::vector<std::optional<Value>>> Bind(
    absl::string_view callee, const Arguments& arguments,
    const std::vector<absl::string_view>& parameters) {
  if (arguments.positional.size() > parameters.size()) {
    return absl::InvalidArgumentError(absl::StrCat(callee, " takes at most ", parameters.size(),
                                                   " arguments, not ",
                                                   arguments.positional.size()));
  }
  std::vector<std::optional<Value>> bound(arguments.positional.begin(), arguments.positional.end());
  bound.resize(parameters.size());
  for (const auto& [name, value] : arguments.named) {
    const size_t index = std::find(parameters.begin(), parameters.end(), name) - parameters.begin();
    if (index == parameters.size()) {
      return absl::InvalidArgumentError(absl::StrCat(callee, " takes no argument '", name, "'"));
    }
    if (bound[index].has_value()) {
      return absl::InvalidArgumentError(absl::StrCat(callee, " has '", name, "' twice"));
    }
    bound[index] = value;
  }
  return bound;
}

absl::StatusOr<std::string> TextArgument(absl::string_view name,
                                         const std::optional<Value>& value) {
  if (value.has_value() && value->text() != nullptr) return *value->text();
  return WrongType(name, "text", value);
}

absl::StatusOr<int64_t> IntegerArgument(absl::string_view name, const std::optional<Value>& value,
                                        std::optional<int64_t> default_value) {
  if (!value.has_value() && default_value.has_value()) return *default_value;
  if (value.has_value() && value->integer().has_value()) return *value->integer();
  return WrongType(name, "an integer", value);
}

}  // namespace attune::jinja
