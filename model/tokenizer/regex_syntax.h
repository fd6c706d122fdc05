// Oniguruma's regular expressions, which tokenizer.json is written in, in PCRE2's syntax.
#ifndef ATTUNE_MODEL_TOKENIZER_REGEX_SYNTAX_H_
#define ATTUNE_MODEL_TOKENIZER_REGEX_SYNTAX_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace attune {

// A pattern for PCRE2 with UTF, UCP and MULTILINE and LF as the only newline, that matches what
// `pattern` matches in Oniguruma: the same meaning of \s, \w, \h, \v, ^, $, (?m), {n}+, {,n}, set
// operations inside [...], and categories and scripts of the library's Unicode version.
// INVALID_ARGUMENT for what has no counterpart here (absent operators, (?x), conditionals, ...).
[[nodiscard]] absl::StatusOr<std::string> Pcre2FromOniguruma(absl::string_view pattern);

}  // namespace attune

#endif  // ATTUNE_MODEL_TOKENIZER_REGEX_SYNTAX_H_
