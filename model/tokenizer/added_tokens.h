// The "added_tokens" of tokenizer.json: tokens found in the text before anything is split, special
// ones like <|endoftext|> among them.
#ifndef ATTUNE_MODEL_TOKENIZER_ADDED_TOKENS_H_
#define ATTUNE_MODEL_TOKENIZER_ADDED_TOKENS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/tokenizer/normalizer.h"
#include "model/tokenizer/regex.h"
#include "model/tokenizer/token_matcher.h"
#include "model/tokenizer/tokenizer_json.h"
#include "model/tokenizer/vocabulary.h"

namespace attune {

// A stretch of text and the id of the added token that it is, or kNotAdded.
struct AddedSpan {
  TextSpan span;
  int32_t id;
};
inline constexpr int32_t kNotAdded = -1;

// Thread-safe.
class AddedTokens {
 public:
  // `json` may be missing. A token of `vocabulary` keeps that id; others get the next free ids
  // in the order of the file, as in the library, which does not read the ids written there.
  [[nodiscard]] static absl::StatusOr<AddedTokens> Parse(const TokenizerJson& json,
                                                         const Vocabulary& vocabulary,
                                                         const Normalizer& normalizer);

  // Cuts the whole of `text`, without empty stretches, at the tokens that are looked for before
  // normalisation and at those looked for after it.
  std::vector<AddedSpan> SplitRaw(absl::string_view text) const { return Split(text, raw_); }
  std::vector<AddedSpan> SplitNormalized(absl::string_view text) const {
    return Split(text, normalized_);
  }

  // What the id decodes to, or null if it is none of these. As in the library, a token that is
  // looked for after normalisation decodes to its normalised form, and is then not recognised as
  // special if that form is another.
  const std::string* TokenOf(int32_t id) const;
  std::optional<int32_t> IdOf(absl::string_view token) const;
  bool IsSpecial(absl::string_view token) const { return special_.contains(token); }
  int64_t id_end() const { return id_end_; }  // largest id + 1; 0 if there are none

 private:
  struct Token {
    std::string content;
    std::string sought;        // the content, normalised if it is looked for after normalisation
    bool single_word = false;  // not inside a longer word
    bool lstrip = false;       // takes the whitespace before it
    bool rstrip = false;       // takes the whitespace behind it
    bool normalized = false;
    bool special = false;
  };

  [[nodiscard]] static absl::StatusOr<Token> ParseToken(const TokenizerJson& json,
                                                        const Normalizer& normalizer);
  void Add(const Token& token, const Vocabulary& vocabulary);
  int32_t IdFor(const std::string& content, const Vocabulary& vocabulary) const;
  std::vector<AddedSpan> Split(absl::string_view text, const TokenMatcher& matcher) const;

  absl::flat_hash_map<std::string, int32_t> ids_;
  absl::flat_hash_map<int32_t, Token> tokens_;
  absl::flat_hash_set<std::string> special_;
  int64_t id_end_ = 0;
  TokenMatcher raw_;
  TokenMatcher normalized_;
};

}  // namespace attune

#endif  // ATTUNE_MODEL_TOKENIZER_ADDED_TOKENS_H_
