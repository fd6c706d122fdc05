// Texts that end a response, looked for while its tokens are sampled.
#ifndef ATTUNE_MODEL_TOKENIZER_STOP_TEXTS_H_
#define ATTUNE_MODEL_TOKENIZER_STOP_TEXTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "model/tokenizer/stream_decoder.h"
#include "model/tokenizer/tokenizer.h"

namespace attune {

// The text of a response is that of StreamDecoder: without special tokens, and a character counts
// once it is whole. A stop text may begin within one token and end within another. The cost of a
// token does not depend on those before it. Not thread-safe.
class StopTexts {
 public:
  // `tokenizer` must outlive it. `texts` are not empty ones; there may be none.
  StopTexts(const Tokenizer* tokenizer, absl::Span<const int32_t> prompt_ids,
            std::vector<std::string> texts);

  // Whether the text contains a stop text once `id` has been added. The id that ends a response
  // (eos) is not to be pushed, and nothing after the answer was true.
  bool Push(int32_t id);
  // The same for what the decoder held back. Call it once, after the last Push, if no answer was
  // true.
  bool Finish();

  // Where the stop text begins, in bytes of the response's text; -1 where there is none. Of several
  // that one token completes, the first to begin.
  int64_t begin() const { return begin_; }

  // The text that has not been taken, as far as it is no stop text or the possible beginning of
  // one: what can be shown to a reader of the stream. After Finish, or once there is a stop text,
  // nothing before that is left out. Taken text, joined, is the response up to begin().
  std::string TakeText();

 private:
  bool Add(const std::string& text);
  size_t HeldBack() const;  // bytes at the end of text_ that a stop text may begin with

  const std::vector<std::string> texts_;
  size_t longest_ = 0;  // of them, bytes
  StreamDecoder decoder_;
  std::string text_;    // not taken
  size_t taken_ = 0;    // bytes
  bool ended_ = false;  // by Finish
  int64_t begin_ = -1;
};

}  // namespace attune

#endif  // ATTUNE_MODEL_TOKENIZER_STOP_TEXTS_H_
