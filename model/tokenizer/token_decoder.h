// The "decoder" of tokenizer.json: makes text of tokens, all at once or one after another.
#ifndef ATTUNE_MODEL_TOKENIZER_TOKEN_DECODER_H_
#define ATTUNE_MODEL_TOKENIZER_TOKEN_DECODER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/tokenizer/tokenizer_json.h"

namespace attune {

// What a step knows of the tokens that it has seen.
struct TokenDecoderState {
  std::string held;      // what later tokens may still change
  int64_t stripped = 0;  // characters taken off the front
  bool begun = false;    // there has been a token
};

// Turns `tokens`, the next ones of a sequence, into what is certain of its outcome so far.
// `is_last`: nothing follows, and nothing may be held back.
using TokenDecoderStep =
    std::function<void(TokenDecoderState* state, bool is_last, std::vector<std::string>* tokens)>;

// Thread-safe.
class TokenDecoder {
 public:
  // Puts spaces between the tokens when `json` is missing.
  [[nodiscard]] static absl::StatusOr<TokenDecoder> Parse(const TokenizerJson& json);

  // `tokens` are valid UTF-8, and so is the result.
  std::string Apply(std::vector<std::string> tokens) const;

  // The texts that Push and Finish return, joined, are Apply of all tokens. Each is as long as the
  // tokens so far allow, whatever follows. Where that cannot be known, text waits: for the rest of
  // a character; for the end of a run of bytes like <0xE4>, which are all shown as U+FFFD if they
  // do not make characters together; for Finish, where a step other than Strip follows one that
  // joins all tokens. Not thread-safe; refers to the decoder.
  class Stream {
   public:
    explicit Stream(const TokenDecoder* decoder)
        : steps_(&decoder->steps_), states_(decoder->steps_.size()) {}

    std::string Push(std::string token);
    std::string Finish() { return Run({}, /*is_last=*/true); }

   private:
    friend class TokenDecoder;
    std::string Run(std::vector<std::string> tokens, bool is_last);

    const std::vector<TokenDecoderStep>* steps_;
    std::vector<TokenDecoderState> states_;  // by step
  };

 private:
  absl::Status Add(const TokenizerJson& json, int depth);
  [[nodiscard]] absl::StatusOr<TokenDecoderStep> ParseStep(const TokenizerJson& json,
                                                           const std::string& type);

  std::vector<TokenDecoderStep> steps_;  // a Sequence is its members one after another
  bool joined_ = false;                  // the last of steps_ puts out one token, in parts
  double growth_ = 1;                    // see CountGrowth
};

}  // namespace attune

#endif  // ATTUNE_MODEL_TOKENIZER_TOKEN_DECODER_H_
