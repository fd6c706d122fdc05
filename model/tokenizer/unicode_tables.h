// Where the Unicode tables that the `tokenizers` library is built with differ from those of PCRE2
// 10.42 (Unicode 14) and utf8proc 2.8 (Unicode 15). Found by comparing every code point.
#ifndef ATTUNE_MODEL_TOKENIZER_UNICODE_TABLES_H_
#define ATTUNE_MODEL_TOKENIZER_UNICODE_TABLES_H_

#include "absl/types/span.h"
#include "model/tokenizer/unicode.h"

namespace attune {

struct CategoryRange {
  CodePointRange range;
  char category[3];
};

// Assigned in Unicode 15 and 16, with their categories; known to the library's regular expressions.
absl::Span<const CategoryRange> NewerCategories();

// The library's punctuation, mark and decomposition tables are older than utf8proc's. Ranges also
// cover neighbours that utf8proc does not give the property in question.
absl::Span<const CodePointRange> NotPunctuationToLibrary();
absl::Span<const CodePointRange> NotMarksToLibrary();
absl::Span<const CodePointRange> NotDecomposedByLibrary();

}  // namespace attune

#endif  // ATTUNE_MODEL_TOKENIZER_UNICODE_TABLES_H_
