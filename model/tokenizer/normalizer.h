// The "normalizer" of tokenizer.json: what is done to the text before it is split.
#ifndef ATTUNE_MODEL_TOKENIZER_NORMALIZER_H_
#define ATTUNE_MODEL_TOKENIZER_NORMALIZER_H_

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/tokenizer/tokenizer_json.h"

namespace attune {

struct NormalizedText {
  std::string text;  // valid UTF-8
  // How many leading bytes stand for the first character of the whole input: 0 for a text from
  // further inside or when that character was removed. Metaspace's "first" asks for it.
  size_t origin_bytes = 0;
};

using NormalizerStep = std::function<void(NormalizedText*)>;

// Thread-safe.
class Normalizer {
 public:
  // Does nothing when `json` is missing.
  [[nodiscard]] static absl::StatusOr<Normalizer> Parse(const TokenizerJson& json);

  void Apply(NormalizedText* text) const;

 private:
  std::vector<NormalizerStep> steps_;  // a Sequence is its members one after another
};

}  // namespace attune

#endif  // ATTUNE_MODEL_TOKENIZER_NORMALIZER_H_
