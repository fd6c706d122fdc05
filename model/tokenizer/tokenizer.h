// Text <-> token ids, exactly as the `tokenizers` library does it from a tokenizer.json.
#ifndef ATTUNE_MODEL_TOKENIZER_TOKENIZER_H_
#define ATTUNE_MODEL_TOKENIZER_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace attune {

class Tokenizer {
 public:
  // Reads tokenizer.json of `directory` and, if it is there, tokenizer_config.json. A component
  // that is not supported is refused by name (INVALID_ARGUMENT).
  //
  // As transformers does when it loads a fast tokenizer:
  //   - add_bos_token and add_eos_token of the configuration replace the post-processor, for the
  //     classes that do so (LlamaTokenizer, CodeLlamaTokenizer, GemmaTokenizer, with and without
  //     Fast) and if one of the two is there;
  //   - "truncation" and "padding" of tokenizer.json do not count: a caller decides about lengths.
  // Not as transformers does:
  //   - tokens that only the configuration names (added_tokens_decoder, pad_token, ...) are not
  //     added: the model has no embedding for them;
  //   - add_prefix_space and legacy do not change the pre-tokenizer: files are saved with the
  //     pre-tokenizer that these ask for, and only a conversion from tokenizer.model reads them;
  //   - split_special_tokens counts as false;
  //   - clean_up_tokenization_spaces counts as false: it removes spaces that the model wrote.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<const Tokenizer>> Load(
      const std::string& directory);
  virtual ~Tokenizer() = default;

  // `add_special_tokens`: apply the post-processor (for example a leading <s>). Special tokens
  // written out in the text are recognised either way, as the library does. Any bytes are taken;
  // invalid UTF-8 counts as U+FFFD. Thread-safe.
  virtual std::vector<int32_t> Encode(absl::string_view text, bool add_special_tokens) const = 0;

  // Ids out of range are left out. Thread-safe.
  virtual std::string Decode(absl::Span<const int32_t> ids, bool skip_special_tokens) const = 0;

  // Decodes ids one after another: what Push and Finish return, joined, is Decode of all ids, and
  // each gives as much as is certain whatever follows (see TokenDecoder::Stream). Not thread-safe.
  class Decoding {
   public:
    virtual ~Decoding() = default;
    virtual std::string Push(int32_t id) = 0;
    virtual std::string Finish() = 0;
  };
  // The tokenizer must outlive it. Thread-safe.
  virtual std::unique_ptr<Decoding> StartDecoding(bool skip_special_tokens) const = 0;

  virtual int64_t vocab_size() const = 0;  // largest id + 1, added tokens included
};

// The ids of `completion` after `prompt`, whose ids are `prompt_ids`: those of the joint text when
// that begins with prompt_ids, so that no boundary is invented; otherwise of the completion alone.
std::vector<int32_t> EncodeCompletion(const Tokenizer& tokenizer, absl::string_view prompt,
                                      absl::Span<const int32_t> prompt_ids,
                                      absl::string_view completion);

// What `completion_ids` add to the text of `prompt_ids`, special tokens left out: prompt and result
// together are the text of all ids, white space at the boundary included. An id of `eos_ids` at the
// end is no part of it. StreamDecoder does the same token by token.
std::string DecodeCompletion(const Tokenizer& tokenizer, absl::Span<const int32_t> prompt_ids,
                             absl::Span<const int32_t> completion_ids,
                             absl::Span<const int32_t> eos_ids);

}  // namespace attune

#endif  // ATTUNE_MODEL_TOKENIZER_TOKENIZER_H_
