// Properties and normal forms of code points as the `tokenizers` library sees them, which is
// utf8proc's view except where the library's tables are of another Unicode version.
#ifndef ATTUNE_MODEL_TOKENIZER_UNICODE_H_
#define ATTUNE_MODEL_TOKENIZER_UNICODE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace attune {

bool IsWhitespace(char32_t code_point);   // property White_Space
bool IsNumeric(char32_t code_point);      // categories Nd, Nl, No
bool IsPunctuation(char32_t code_point);  // categories P* and the ASCII symbols
bool IsMark(char32_t code_point);         // categories Mn, Mc, Me
bool IsWordCharacter(char32_t code_point);  // letters, marks, digits, connectors and joiners

// Each character by itself: a final sigma is not special.
std::string ToLowercase(absl::string_view text);

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };

// `text` is valid UTF-8.
std::string Normalized(absl::string_view text, NormalForm form);

struct CodePointRange {
  char32_t first;
  char32_t last;
};

// Code points of general category `category` ("L", "Lu", ...) that the library knows and PCRE2 and
// utf8proc do not in the versions of Debian 12 (they were assigned later).
std::vector<CodePointRange> NewerCodePoints(absl::string_view category);

}  // namespace attune

#endif  // ATTUNE_MODEL_TOKENIZER_UNICODE_H_
