// A compiled regular expression in Oniguruma's syntax, matched by PCRE2.
#ifndef ATTUNE_MODEL_TOKENIZER_REGEX_H_
#define ATTUNE_MODEL_TOKENIZER_REGEX_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct pcre2_real_code_8;

namespace attune {

// Bytes begin .. end-1 of a text.
struct TextSpan {
  size_t begin;
  size_t end;

  size_t size() const { return end - begin; }
  bool operator==(const TextSpan&) const = default;
};

class Regex {
 public:
  [[nodiscard]] static absl::StatusOr<std::shared_ptr<const Regex>> Compile(
      absl::string_view pattern);
  ~Regex();
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;

  // All matches from left to right, not overlapping. An empty match right behind another match
  // does not count. `text` must be valid UTF-8. Thread-safe.
  std::vector<TextSpan> FindAll(absl::string_view text) const;

 private:
  explicit Regex(pcre2_real_code_8* code) : code_(code) {}

  pcre2_real_code_8* const code_;
};

}  // namespace attune

#endif  // ATTUNE_MODEL_TOKENIZER_REGEX_H_
