// The text of a response while its tokens are sampled.
#ifndef ATTUNE_MODEL_TOKENIZER_STREAM_DECODER_H_
#define ATTUNE_MODEL_TOKENIZER_STREAM_DECODER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "model/tokenizer/tokenizer.h"

namespace attune {

// What Push and Finish return, joined, is DecodeCompletion of the prompt and all pushed ids: never
// half a character, and no U+FFFD in the place of a character that later ids complete. The cost of
// a token does not depend on those before it. Not thread-safe.
class StreamDecoder {
 public:
  // `tokenizer` must outlive it.
  StreamDecoder(const Tokenizer* tokenizer, absl::Span<const int32_t> prompt_ids);

  // The text that `id` makes certain; often that of the token, but empty while a character is
  // unfinished. The id that ends a response (eos) is no part of its text and not to be pushed.
  std::string Push(int32_t id);

  // What was held back. Call it once, after the last Push.
  std::string Finish();

 private:
  std::string Settle(const std::string& text, bool is_last);

  const Tokenizer* const tokenizer_;
  std::unique_ptr<Tokenizer::Decoding> decoding_;
  // A prompt that ends within a character has a text that ends in U+FFFD (prompt_end_). Only if the
  // response leaves it there, it is a continuation of that text; otherwise it stands alone.
  const std::string prompt_end_;
  bool is_settled_;
  std::string unsettled_text_;
  std::vector<int32_t> unsettled_ids_;
};

}  // namespace attune

#endif  // ATTUNE_MODEL_TOKENIZER_STREAM_DECODER_H_
