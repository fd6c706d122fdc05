// Sets of characters of Oniguruma ([...], \s, \p{L}) in PCRE2's syntax. Used by regex_syntax only.
#ifndef ATTUNE_MODEL_TOKENIZER_CHARACTER_CLASS_H_
#define ATTUNE_MODEL_TOKENIZER_CHARACTER_CLASS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace attune {

// A set that PCRE2 can only partly say inside one pair of brackets.
struct CharacterClass {
  std::string items;                      // what may stand between [ and ], for example a-z\p{L}
  std::vector<std::string> alternatives;  // patterns of one character each, for example [^\x{A}]

  void Add(CharacterClass other);
  // A PCRE2 pattern that takes one character of the set, or of its complement.
  std::string Pattern(bool negated) const;
};

// The set named by an escape: d, D, w, W, s, S, h or H.
bool IsClassEscape(char letter);
CharacterClass ClassOfEscape(char letter);

// At `*offset` of `pattern` stands p{...} or P{...}, behind a backslash; moves behind it.
[[nodiscard]] absl::StatusOr<CharacterClass> ParseProperty(absl::string_view pattern,
                                                           size_t* offset);

// At `*offset` of `pattern` stands a bracket; moves behind the closing one. Nested brackets, POSIX
// brackets and && are understood.
[[nodiscard]] absl::StatusOr<std::string> ParseBracket(absl::string_view pattern, size_t* offset);

// At `*offset` stands u, x or o of a numeric escape (\uHHHH, \xHH, \x{H..}, \o{O..}) behind a
// backslash; moves behind it and returns the code point.
[[nodiscard]] absl::StatusOr<char32_t> ParseNumericEscape(absl::string_view pattern,
                                                          size_t* offset);

// A code point as PCRE2 takes it anywhere: \x{E9}.
std::string HexEscape(char32_t code_point);

}  // namespace attune

#endif  // ATTUNE_MODEL_TOKENIZER_CHARACTER_CLASS_H_
