// The "BPE" model of tokenizer.json: byte-pair encoding of one piece of text.
#ifndef ATTUNE_MODEL_TOKENIZER_BPE_H_
#define ATTUNE_MODEL_TOKENIZER_BPE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/tokenizer/tokenizer_json.h"
#include "model/tokenizer/vocabulary.h"

namespace attune {

// Thread-safe.
class Bpe {
 public:
  // Memory that calls of Encode can share, one after another.
  class Workspace {
    friend class Bpe;
    struct Symbol {
      int32_t id;
      uint32_t previous;
      uint32_t next;
      // Of the merge of this symbol with the next one; kNoRank if there is none.
      uint32_t rank;
      int32_t merged_id;
    };
    std::vector<Symbol> symbols_;
    std::vector<uint64_t> queue_;  // heap of rank << 32 | index in symbols_, lowest first
  };

  [[nodiscard]] static absl::StatusOr<Bpe> Parse(const TokenizerJson& json);

  // Appends the ids of `piece`: valid UTF-8, not empty, below 4 GiB. Characters without a token
  // are spelled in bytes or become the unknown token, or vanish if there is neither.
  void Encode(absl::string_view piece, Workspace* workspace, std::vector<int32_t>* ids) const;

  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  struct Merge {
    uint32_t rank;
    int32_t id;
  };

  absl::Status ParseMerges(const TokenizerJson& json);
  absl::Status AddMerge(absl::string_view left, absl::string_view right, uint32_t rank,
                        const TokenizerJson& json);
  absl::Status ParseOptions(const TokenizerJson& json);
  void IndexCharacters();

  int32_t CharacterId(absl::string_view character, bool is_first, bool is_last,
                      std::string* token) const;
  void SplitIntoSymbols(absl::string_view piece, std::vector<Workspace::Symbol>* symbols) const;
  bool AppendBytes(absl::string_view token, std::vector<Workspace::Symbol>* symbols) const;
  void FindMerge(uint32_t index, Workspace* workspace) const;
  void MergeSymbols(Workspace* workspace) const;

  Vocabulary vocabulary_;
  absl::flat_hash_map<uint64_t, Merge> merges_;  // by left id << 32 | right id
  std::string prefix_;                           // of characters that do not begin a piece
  std::string suffix_;                           // of the character that ends a piece
  int32_t unknown_id_ = -1;
  bool fuse_unknown_ = false;
  bool ignore_merges_ = false;                    // for a piece that is a token itself
  std::array<int32_t, 256> byte_ids_;             // of <0x00> .. <0xFF>; all -1: no fallback
  std::array<int32_t, 0x180> low_character_ids_;  // of the first code points; -1: no token
};

}  // namespace attune

#endif  // ATTUNE_MODEL_TOKENIZER_BPE_H_
