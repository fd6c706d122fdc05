// The "pattern" of tokenizer.json: {"String": "..."} or {"Regex": "..."}.
#ifndef ATTUNE_MODEL_TOKENIZER_TEXT_PATTERN_H_
#define ATTUNE_MODEL_TOKENIZER_TEXT_PATTERN_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/tokenizer/regex.h"
#include "model/tokenizer/tokenizer_json.h"

namespace attune {

// Thread-safe.
class TextPattern {
 public:
  [[nodiscard]] static absl::StatusOr<TextPattern> Parse(const TokenizerJson& json);

  // Matches from left to right, not overlapping; possibly empty ones. `text` is valid UTF-8.
  std::vector<TextSpan> FindAll(absl::string_view text) const;

  // A match has at least so many bytes.
  size_t match_bytes_min() const { return literal_.size(); }

 private:
  TextPattern() = default;

  std::string literal_;  // searched for when there is no regex_
  std::shared_ptr<const Regex> regex_;
};

// A "Replace" step of tokenizer.json: {"pattern": ..., "content": "..."}. Thread-safe.
struct TextReplacement {
  TextPattern pattern;
  std::string content;

  // Counts into `growth`, see CountGrowth.
  [[nodiscard]] static absl::StatusOr<TextReplacement> Parse(const TokenizerJson& json,
                                                             double* growth);
};

// `text` with each of `spans` (ordered, not overlapping) replaced by `content`.
std::string ReplaceSpans(absl::string_view text, const std::vector<TextSpan>& spans,
                         absl::string_view content);

}  // namespace attune

#endif  // ATTUNE_MODEL_TOKENIZER_TEXT_PATTERN_H_
