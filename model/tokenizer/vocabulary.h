// The "vocab" of a model in tokenizer.json: tokens and their ids.
#ifndef ATTUNE_MODEL_TOKENIZER_VOCABULARY_H_
#define ATTUNE_MODEL_TOKENIZER_VOCABULARY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/node_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/tokenizer/tokenizer_json.h"

namespace attune {

// Ids of tokens are below this.
inline constexpr int64_t kTokenIdEnd = int64_t{1} << 24;

// Thread-safe.
class Vocabulary {
 public:
  // `json` is {token: id, ...}.
  [[nodiscard]] static absl::StatusOr<Vocabulary> Parse(const TokenizerJson& json);
  Vocabulary() = default;
  Vocabulary(Vocabulary&&) = default;
  Vocabulary& operator=(Vocabulary&&) = default;

  std::optional<int32_t> IdOf(absl::string_view token) const;
  const std::string* TokenOf(int32_t id) const;  // null if there is none
  int64_t token_count() const { return static_cast<int64_t>(ids_.size()); }
  int64_t id_end() const { return static_cast<int64_t>(tokens_.size()); }  // largest id + 1

 private:
  absl::node_hash_map<std::string, int32_t> ids_;
  std::vector<const std::string*> tokens_;  // by id, keys of ids_; null where none
};

}  // namespace attune

#endif  // ATTUNE_MODEL_TOKENIZER_VOCABULARY_H_
