#include "model/tokenizer/vocabulary.h"

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "nlohmann/json.hpp"

namespace attune {

absl::StatusOr<Vocabulary> Vocabulary::Parse(const TokenizerJson& json) {
  if (!json.value().is_object()) return json.Error("missing, or not an object of token: id");
  Vocabulary vocabulary;
  vocabulary.ids_.reserve(json.value().size());
  std::vector<const std::string*>& tokens = vocabulary.tokens_;
  for (const auto& [token, value] : json.value().items()) {
    const TokenizerJson field(&value, absl::StrCat(json.path(), ".", token));
    ATTUNE_ASSIGN_OR_RETURN(const int64_t id, field.AsInteger(kTokenIdEnd - 1));
    const auto entry = vocabulary.ids_.emplace(token, static_cast<int32_t>(id)).first;
    if (tokens.size() <= static_cast<size_t>(id)) tokens.resize(static_cast<size_t>(id) + 1);
    tokens[static_cast<size_t>(id)] = &entry->first;
  }
  return vocabulary;
}

std::optional<int32_t> Vocabulary::IdOf(absl::string_view token) const {
  const auto entry = ids_.find(token);
  if (entry == ids_.end()) return std::nullopt;
  return entry->second;
}

const std::string* Vocabulary::TokenOf(int32_t id) const {
  return id >= 0 && id < id_end() ? tokens_[static_cast<size_t>(id)] : nullptr;
}

}  // namespace attune
