// Finds any of a set of strings in a text.
#ifndef ATTUNE_MODEL_TOKENIZER_TOKEN_MATCHER_H_
#define ATTUNE_MODEL_TOKENIZER_TOKEN_MATCHER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "model/tokenizer/regex.h"

namespace attune {

// Thread-safe once filled.
class TokenMatcher {
 public:
  struct Match {
    TextSpan span;
    int32_t value;
  };

  // Later additions of the same string do not count; nor does the empty string.
  void Add(absl::string_view token, int32_t value);

  // From left to right, not overlapping; where several begin, the longest.
  std::vector<Match> FindAll(absl::string_view text) const;

 private:
  static constexpr int32_t kNoValue = -1;

  // A trie: nodes are numbered, node 0 is the root.
  std::vector<int32_t> values_ = {kNoValue};          // by node
  absl::flat_hash_map<uint64_t, uint32_t> children_;  // by node << 8 | byte
  std::array<bool, 256> begins_ = {};                 // bytes that begin a token
};

}  // namespace attune

#endif  // ATTUNE_MODEL_TOKENIZER_TOKEN_MATCHER_H_
