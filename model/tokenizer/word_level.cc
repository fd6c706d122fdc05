#include "model/tokenizer/word_level.h"

#include <string>
#include <utility>

#include "common/status_macros.h"

namespace attune {

absl::StatusOr<WordLevel> WordLevel::Parse(const TokenizerJson& json) {
  WordLevel model;
  ATTUNE_ASSIGN_OR_RETURN(model.vocabulary_, Vocabulary::Parse(json.Field("vocab")));
  ATTUNE_ASSIGN_OR_RETURN(const std::string unknown, json.Field("unk_token").AsString());
  model.unknown_id_ = model.vocabulary_.IdOf(unknown).value_or(-1);
  return model;
}

void WordLevel::Encode(absl::string_view piece, std::vector<int32_t>* ids) const {
  const int32_t id = vocabulary_.IdOf(piece).value_or(unknown_id_);
  if (id >= 0) ids->push_back(id);
}

}  // namespace attune
