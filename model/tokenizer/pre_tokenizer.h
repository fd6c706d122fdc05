// The "pre_tokenizer" of tokenizer.json: cuts the normalised text into the pieces that the model
// tokenizes independently.
#ifndef ATTUNE_MODEL_TOKENIZER_PRE_TOKENIZER_H_
#define ATTUNE_MODEL_TOKENIZER_PRE_TOKENIZER_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/tokenizer/normalizer.h"
#include "model/tokenizer/regex.h"
#include "model/tokenizer/tokenizer_json.h"

namespace attune {

// Pieces of one text, in order; what is between them was removed. None is empty.
struct TextPieces {
  NormalizedText whole;
  std::vector<TextSpan> pieces;  // of whole.text
};

using PreTokenizerStep = std::function<void(TextPieces*)>;

// Thread-safe.
class PreTokenizer {
 public:
  // Keeps the text in one piece when `json` is missing.
  [[nodiscard]] static absl::StatusOr<PreTokenizer> Parse(const TokenizerJson& json);

  TextPieces Apply(NormalizedText text) const;

 private:
  std::vector<PreTokenizerStep> steps_;  // a Sequence is its members one after another
};

}  // namespace attune

#endif  // ATTUNE_MODEL_TOKENIZER_PRE_TOKENIZER_H_
