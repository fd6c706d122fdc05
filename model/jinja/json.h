// JSON <-> values of templates, as Python's json reads and writes it.
#ifndef ATTUNE_MODEL_JINJA_JSON_H_
#define ATTUNE_MODEL_JINJA_JSON_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/jinja/value.h"

namespace attune::jinja {

// INVALID_ARGUMENT says where `json` is wrong, that it is nested too deep, or that it has an
// integer of more than 64 bits.
[[nodiscard]] absl::StatusOr<Value> ReadJson(absl::string_view json);

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  std::optional<std::string> indent;  // of one level; left out: all in one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};

// INVALID_ARGUMENT for what JSON does not have, such as an undefined value.
[[nodiscard]] absl::StatusOr<std::string> WriteJson(const Value& value, const JsonStyle& style,
                                                    Budget& budget);

}  // namespace attune::jinja

#endif  // ATTUNE_MODEL_JINJA_JSON_H_
