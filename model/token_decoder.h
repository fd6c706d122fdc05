// The "decoder" of tokenizer.json: makes text of tokens.
#ifndef ATTUNE_MODEL_TOKEN_DECODER_H_
#define ATTUNE_MODEL_TOKEN_DECODER_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/tokenizer_json.h"

namespace attune {

using TokenDecoderStep = std::function<void(std::vector<std::string>*)>;

// Thread-safe.
class TokenDecoder {
 public:
  // Puts spaces between the tokens when `json` is missing.
  [[nodiscard]] static absl::StatusOr<TokenDecoder> Parse(const TokenizerJson& json);

  // `tokens` are valid UTF-8, and so is the result.
  std::string Apply(std::vector<std::string> tokens) const;

 private:
  std::vector<TokenDecoderStep> steps_;  // a Sequence is its members one after another
  bool with_spaces_ = false;
};

}  // namespace attune

#endif  // ATTUNE_MODEL_TOKEN_DECODER_H_
