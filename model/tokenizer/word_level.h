// The "WordLevel" model of tokenizer.json: a piece of text is a token or unknown. With a
// pre-tokenizer that cuts at every character it is a character-level tokenizer.
#ifndef ATTUNE_MODEL_TOKENIZER_WORD_LEVEL_H_
#define ATTUNE_MODEL_TOKENIZER_WORD_LEVEL_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/tokenizer/tokenizer_json.h"
#include "model/tokenizer/vocabulary.h"

namespace attune {

// Thread-safe.
class WordLevel {
 public:
  [[nodiscard]] static absl::StatusOr<WordLevel> Parse(const TokenizerJson& json);

  // Appends the id of `piece` or that of the unknown token. Where the vocabulary has no unknown
  // token, an unknown piece vanishes (the library fails).
  void Encode(absl::string_view piece, std::vector<int32_t>* ids) const;

  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  Vocabulary vocabulary_;
  int32_t unknown_id_ = -1;
};

}  // namespace attune

#endif  // ATTUNE_MODEL_TOKENIZER_WORD_LEVEL_H_
