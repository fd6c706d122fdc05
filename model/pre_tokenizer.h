// The "pre_tokenizer" of tokenizer.json: cuts the normalised text into the pieces that the model
// tokenizes independently.
#ifndef ATTUNE_MODEL_PRE_TOKENIZER_H_
#define ATTUNE_MODEL_PRE_TOKENIZER_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/normalizer.h"
#include "model/regex.h"
#include "model/tokenizer_json.h"

namespace attune {

// Pieces of one text, in order; what is between them was removed. None is empty.
struct TextPieces {
  NormalizedText whole;
  std::vector<TextSpan> pieces;  // of whole.text
};

// Thread-safe.
class PreTokenizer {
 public:
  // Keeps the text in one piece when `json` is missing.
  [[nodiscard]] static absl::StatusOr<PreTokenizer> Parse(const TokenizerJson& json);

  TextPieces Apply(NormalizedText text) const;

 private:
  using Step = std::function<void(TextPieces*)>;

  absl::Status Add(const TokenizerJson& json, int depth);
  [[nodiscard]] static absl::StatusOr<std::vector<Step>> ParseSteps(const TokenizerJson& json,
                                                                    const std::string& type);

  std::vector<Step> steps_;  // a Sequence is its members one after another
};

}  // namespace attune

#endif  // ATTUNE_MODEL_PRE_TOKENIZER_H_
