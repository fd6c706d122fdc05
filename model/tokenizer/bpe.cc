#include "model/tokenizer/bpe.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/status_macros.h"
#include "model/tokenizer/utf8.h"
#include "nlohmann/json.hpp"

namespace attune {
namespace {

constexpr uint32_t kNoRank = std::numeric_limits<uint32_t>::max();
constexpr uint32_t kNoSymbol = std::numeric_limits<uint32_t>::max();

uint64_t PairKey(int32_t left, int32_t right) {
  return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) | static_cast<uint32_t>(right);
}

}  // namespace

absl::StatusOr<Bpe> Bpe::Parse(const TokenizerJson& json) {
  Bpe bpe;
  ATTUNE_ASSIGN_OR_RETURN(bpe.vocabulary_, Vocabulary::Parse(json.Field("vocab")));
  ATTUNE_RETURN_IF_ERROR(bpe.ParseOptions(json));
  ATTUNE_RETURN_IF_ERROR(bpe.ParseMerges(json.Field("merges")));
  bpe.IndexCharacters();
  return bpe;
}

absl::Status Bpe::ParseOptions(const TokenizerJson& json) {
  if (const TokenizerJson dropout = json.Field("dropout"); !dropout.IsMissing()) {
    if (!dropout.value().is_number() || dropout.value().get<double>() != 0.0) {
      return dropout.Error("only 0 or null is supported: ids must not be random");
    }
  }
  ATTUNE_ASSIGN_OR_RETURN(prefix_, json.Field("continuing_subword_prefix").AsStringOr(""));
  ATTUNE_ASSIGN_OR_RETURN(suffix_, json.Field("end_of_word_suffix").AsStringOr(""));
  ATTUNE_ASSIGN_OR_RETURN(fuse_unknown_, json.Field("fuse_unk").AsBoolOr(false));
  ATTUNE_ASSIGN_OR_RETURN(ignore_merges_, json.Field("ignore_merges").AsBoolOr(false));
  ATTUNE_ASSIGN_OR_RETURN(const bool byte_fallback, json.Field("byte_fallback").AsBoolOr(false));
  ATTUNE_ASSIGN_OR_RETURN(const std::string unknown, json.Field("unk_token").AsStringOr(""));
  unknown_id_ = vocabulary_.IdOf(unknown).value_or(-1);
  byte_ids_.fill(-1);
  for (int byte = 0; byte_fallback && byte < 256; ++byte) {
    byte_ids_[byte] = vocabulary_.IdOf(absl::StrFormat("<0x%02X>", byte)).value_or(-1);
  }
  return absl::OkStatus();
}

absl::Status Bpe::ParseMerges(const TokenizerJson& json) {
  if (!json.value().is_array()) return json.Error("missing, or not an array of merges");
  merges_.reserve(json.value().size());
  uint32_t rank = 0;
  for (const nlohmann::json& merge : json.value()) {
    std::string left, right;
    if (merge.is_string()) {
      const std::string& line = merge.get_ref<const std::string&>();
      if (absl::StartsWith(line, "#version")) continue;
      const size_t space = line.find(' ');
      if (space == std::string::npos || line.find(' ', space + 1) != std::string::npos) {
        return json.Error(absl::StrCat("merge '", line, "' is not two tokens and a space"));
      }
      left = line.substr(0, space);
      right = line.substr(space + 1);
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
               merge[1].is_string()) {
      left = merge[0].get_ref<const std::string&>();
      right = merge[1].get_ref<const std::string&>();
    } else {
      return json.Error(absl::StrCat("merge ", rank, " is neither \"a b\" nor [\"a\", \"b\"]"));
    }
    ATTUNE_RETURN_IF_ERROR(AddMerge(left, right, rank++, json));
  }
  return absl::OkStatus();
}

absl::Status Bpe::AddMerge(absl::string_view left, absl::string_view right, uint32_t rank,
                           const TokenizerJson& json) {
  const auto not_a_token = [&](absl::string_view token) {
    return json.Error(absl::StrCat("merge ", rank, " ('", left, "', '", right, "') needs '", token,
                                   "', which is not in the vocabulary"));
  };
  const std::optional<int32_t> left_id = vocabulary_.IdOf(left);
  const std::optional<int32_t> right_id = vocabulary_.IdOf(right);
  if (!left_id.has_value()) return not_a_token(left);
  if (!right_id.has_value()) return not_a_token(right);
  const std::string merged =
      absl::StrCat(left, right.substr(std::min(prefix_.size(), right.size())));
  const std::optional<int32_t> merged_id = vocabulary_.IdOf(merged);
  if (!merged_id.has_value()) return not_a_token(merged);
  merges_[PairKey(*left_id, *right_id)] = {rank, *merged_id};
  return absl::OkStatus();
}

void Bpe::IndexCharacters() {
  low_character_ids_.fill(-1);
  for (char32_t c = 0; c < low_character_ids_.size(); ++c) {
    std::string token;
    AppendCodePoint(c, &token);
    low_character_ids_[c] = vocabulary_.IdOf(token).value_or(-1);
  }
}

void Bpe::Encode(absl::string_view piece, Workspace* workspace, std::vector<int32_t>* ids) const {
  if (ignore_merges_) {
    if (const std::optional<int32_t> id = vocabulary_.IdOf(piece); id.has_value()) {
      ids->push_back(*id);
      return;
    }
  }
  workspace->symbols_.clear();
  SplitIntoSymbols(piece, &workspace->symbols_);
  if (workspace->symbols_.empty()) return;
  MergeSymbols(workspace);
  for (uint32_t i = 0; i != kNoSymbol; i = workspace->symbols_[i].next) {
    ids->push_back(workspace->symbols_[i].id);
  }
}

// The id of one character as it stands in the piece, or -1; `token` is set to it with its prefix
// and suffix, if it could not be found without.
int32_t Bpe::CharacterId(absl::string_view character, bool is_first, bool is_last,
                         std::string* token) const {
  if (prefix_.empty() && suffix_.empty()) {
    size_t offset = 0;
    const char32_t c = NextCodePoint(character, &offset);
    if (c < low_character_ids_.size() && low_character_ids_[c] >= 0) return low_character_ids_[c];
  }
  *token = absl::StrCat(is_first ? "" : prefix_, character, is_last ? suffix_ : "");
  return vocabulary_.IdOf(*token).value_or(-1);
}

bool Bpe::AppendBytes(absl::string_view token, std::vector<Workspace::Symbol>* symbols) const {
  for (char byte : token) {
    if (byte_ids_[static_cast<unsigned char>(byte)] < 0) return false;
  }
  for (char byte : token) symbols->push_back({byte_ids_[static_cast<unsigned char>(byte)]});
  return true;
}

void Bpe::SplitIntoSymbols(absl::string_view piece, std::vector<Workspace::Symbol>* symbols) const {
  std::string token;
  bool unknown_pending = false;  // an unknown token is held back so that more can be fused into it
  const auto flush_unknown = [&] {
    if (unknown_pending) symbols->push_back({unknown_id_});
    unknown_pending = false;
  };
  for (size_t offset = 0; offset < piece.size();) {
    const size_t begin = offset;
    offset += SequenceLength(static_cast<unsigned char>(piece[begin]));
    const int32_t id = CharacterId(piece.substr(begin, offset - begin), begin == 0,
                                   offset == piece.size(), &token);
    if (id >= 0) {
      flush_unknown();
      symbols->push_back({id});
    } else if (!AppendBytes(token, symbols) && unknown_id_ >= 0) {
      // Bytes do not flush: as in the library, an unknown before them then comes behind them.
      if (!fuse_unknown_) flush_unknown();
      unknown_pending = true;
    }
  }
  flush_unknown();
  for (uint32_t i = 0; i < symbols->size(); ++i) {
    (*symbols)[i].previous = i == 0 ? kNoSymbol : i - 1;
    (*symbols)[i].next = i + 1 == symbols->size() ? kNoSymbol : i + 1;
  }
}

void Bpe::FindMerge(uint32_t index, Workspace* workspace) const {
  Workspace::Symbol& symbol = workspace->symbols_[index];
  symbol.rank = kNoRank;
  if (symbol.next == kNoSymbol) return;
  const auto merge = merges_.find(PairKey(symbol.id, workspace->symbols_[symbol.next].id));
  if (merge == merges_.end()) return;
  symbol.rank = merge->second.rank;
  symbol.merged_id = merge->second.id;
  workspace->queue_.push_back((static_cast<uint64_t>(symbol.rank) << 32) | index);
}

// Always the merge of lowest rank and, of these, the leftmost.
void Bpe::MergeSymbols(Workspace* workspace) const {
  std::vector<Workspace::Symbol>& symbols = workspace->symbols_;
  std::vector<uint64_t>& queue = workspace->queue_;
  queue.clear();
  for (uint32_t i = 0; i < symbols.size(); ++i) FindMerge(i, workspace);
  std::make_heap(queue.begin(), queue.end(), std::greater<>());
  while (!queue.empty()) {
    std::pop_heap(queue.begin(), queue.end(), std::greater<>());
    const uint32_t index = static_cast<uint32_t>(queue.back());
    const uint32_t rank = static_cast<uint32_t>(queue.back() >> 32);
    queue.pop_back();
    Workspace::Symbol& left = symbols[index];
    if (left.rank != rank) continue;  // one of the two has been merged since
    Workspace::Symbol& right = symbols[left.next];
    left.id = left.merged_id;
    left.next = right.next;
    right.rank = kNoRank;
    if (left.next != kNoSymbol) symbols[left.next].previous = index;
    for (const uint32_t changed : {left.previous, index}) {
      if (changed == kNoSymbol) continue;
      const size_t queued = queue.size();
      FindMerge(changed, workspace);
      if (queue.size() > queued) std::push_heap(queue.begin(), queue.end(), std::greater<>());
    }
  }
}

}  // namespace attune
