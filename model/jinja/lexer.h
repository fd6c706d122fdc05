// The text of a chat template -> tokens, with jinja2's rules for white space (trim_blocks and
// lstrip_blocks are on, as transformers sets them).
#ifndef ATTUNE_MODEL_JINJA_LEXER_H_
#define ATTUNE_MODEL_JINJA_LEXER_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace attune::jinja {

struct Token {
  enum class Kind {
    kText,        // outside tags
    kPrintBegin,  // {{
    kPrintEnd,
    kTagBegin,  // {%
    kTagEnd,
    kName,
    kString,  // `text` is what the literal stands for
    kInteger,
    kFloat,
    kOperator,  // also brackets, commas and the like
    kEnd,       // of the template; the last token
  };
  Kind kind;
  std::string text;
  int line;  // from 1
};

// `source` is valid UTF-8. INVALID_ARGUMENT names the line.
[[nodiscard]] absl::StatusOr<std::vector<Token>> Tokenize(absl::string_view source);

// "line 3: problem".
absl::Status ErrorAtLine(int line, absl::string_view problem);

}  // namespace attune::jinja

#endif  // ATTUNE_MODEL_JINJA_LEXER_H_
