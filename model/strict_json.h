// JSON of a file that nobody here wrote.
#ifndef ATTUNE_MODEL_STRICT_JSON_H_
#define ATTUNE_MODEL_STRICT_JSON_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace attune {

// Objects and arrays within each other, as in the `tokenizers` library: copies recurse into them.
inline constexpr int kJsonDepthMax = 127;

// The document `bytes`, which begin at byte `offset` of their file. INVALID_ARGUMENT: a syntax
// error (text that is not UTF-8 is one), with its byte of the file; nesting beyond kJsonDepthMax;
// or a name that stands twice in an object, of which parsers take either.
[[nodiscard]] absl::StatusOr<nlohmann::json> ParseStrictJson(absl::string_view bytes,
                                                             uint64_t offset = 0);

}  // namespace attune

#endif  // ATTUNE_MODEL_STRICT_JSON_H_
