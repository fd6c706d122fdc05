// The methods of texts, lists and dicts that templates can call.
#ifndef ATTUNE_MODEL_JINJA_METHODS_H_
#define ATTUNE_MODEL_JINJA_METHODS_H_

#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/jinja/arguments.h"
#include "model/jinja/value.h"

namespace attune::jinja {

// Whether Python has a method of this name, of any type, that is not supported here.
bool IsUnsupportedMethod(absl::string_view name);

// The method `name` of `self`, if it has one. Fails for one that would change `self`, as the
// sandbox of transformers does.
[[nodiscard]] absl::StatusOr<std::optional<Value>> FindMethod(const Value& self,
                                                              absl::string_view name);

// `name` is one that FindMethod has found for `self`.
[[nodiscard]] absl::StatusOr<Value> CallMethod(const Value& self, absl::string_view name,
                                               const Arguments& arguments, Budget& budget);

// The list of the texts `parts`.
[[nodiscard]] absl::StatusOr<Value> TextList(const std::vector<absl::string_view>& parts,
                                             Budget& budget);
// The list of (key, value) of `dict`.
[[nodiscard]] absl::StatusOr<Value> DictItems(const Dict& dict, List::Kind kind, Budget& budget);
// `text` with `from` replaced, within the limits.
[[nodiscard]] absl::StatusOr<Value> ReplaceText(absl::string_view text, absl::string_view from,
                                                absl::string_view to, int64_t count,
                                                Budget& budget);
// The texts of `items` with `separator` between them, within the limits.
[[nodiscard]] absl::StatusOr<Value> JoinTexts(const std::vector<std::string>& items,
                                              absl::string_view separator, Budget& budget);

}  // namespace attune::jinja

#endif  // ATTUNE_MODEL_JINJA_METHODS_H_
