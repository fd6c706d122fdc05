// A place in the tokens of a template.
#ifndef ATTUNE_MODEL_JINJA_TOKEN_READER_H_
#define ATTUNE_MODEL_JINJA_TOKEN_READER_H_

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/jinja/lexer.h"

namespace attune::jinja {

class TokenReader {
 public:
  // `tokens` end with Token::Kind::kEnd.
  explicit TokenReader(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  // The last token stays the current one.
  void Next() { position_ = std::min(position_ + 1, tokens_.size() - 1); }
  const Token& current() const { return tokens_[position_]; }
  const Token& following() const { return tokens_[std::min(position_ + 1, tokens_.size() - 1)]; }

  bool IsName(absl::string_view name) const;
  bool IsOperator(absl::string_view text) const;
  // Goes on if it is.
  bool SkipName(absl::string_view name);
  bool SkipOperator(absl::string_view text);

  absl::Status ExpectOperator(absl::string_view text);
  [[nodiscard]] absl::StatusOr<std::string> ExpectName();  // any

  // "line N: problem", at the current token.
  absl::Status Error(absl::string_view problem) const;
  // The current token, as it is named in errors.
  std::string Described() const;

 private:
  const std::vector<Token> tokens_;
  size_t position_ = 0;
};

}  // namespace attune::jinja

#endif  // ATTUNE_MODEL_JINJA_TOKEN_READER_H_
