// The "post_processor" of tokenizer.json: puts special tokens around the ids of a text.
#ifndef ATTUNE_MODEL_TOKENIZER_POST_PROCESSOR_H_
#define ATTUNE_MODEL_TOKENIZER_POST_PROCESSOR_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "model/tokenizer/tokenizer_json.h"

namespace attune {

// Thread-safe.
class PostProcessor {
 public:
  // Leaves ids as they are when `json` is missing.
  [[nodiscard]] static absl::StatusOr<PostProcessor> Parse(const TokenizerJson& json);

  // Puts `begin` before a text and `end` behind it.
  static PostProcessor Around(std::vector<int32_t> begin, std::vector<int32_t> end);

  // Of the ids that it may add; -1 if there are none.
  int32_t largest_id() const;

  std::vector<int32_t> Apply(std::vector<int32_t> ids, bool add_special_tokens) const;

 private:
  // Special tokens to insert or, when `is_text`, the ids of the text.
  struct Part {
    bool is_text;
    std::vector<int32_t> special_ids;
  };
  using Template = std::vector<Part>;

  absl::Status Add(const TokenizerJson& json, int depth);
  [[nodiscard]] static absl::StatusOr<Template> ParseTemplate(const TokenizerJson& json);
  [[nodiscard]] static absl::StatusOr<Part> ParsePart(const TokenizerJson& json,
                                                      const TokenizerJson& special_tokens);

  std::vector<Template> templates_;  // each applied to the outcome of the one before
};

}  // namespace attune

#endif  // ATTUNE_MODEL_TOKENIZER_POST_PROCESSOR_H_
