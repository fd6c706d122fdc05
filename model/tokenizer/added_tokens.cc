#include "model/tokenizer/added_tokens.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "common/status_macros.h"
#include "model/tokenizer/unicode.h"
#include "model/tokenizer/utf8.h"

namespace attune {
namespace {

bool IsPartOfWord(absl::string_view text, const TextSpan& span) {
  if (span.begin > 0 && IsWordCharacter(PreviousCodePoint(text, span.begin))) return true;
  size_t next = span.end;
  return span.end < text.size() && IsWordCharacter(NextCodePoint(text, &next));
}

size_t SkipSpacesBefore(absl::string_view text, size_t begin, size_t min) {
  while (begin > min) {
    const char32_t previous = PreviousCodePoint(text, begin);
    if (!IsWhitespace(previous)) break;
    begin -= Utf8Length(previous);
  }
  return begin;
}

size_t SkipSpacesBehind(absl::string_view text, size_t end) {
  for (size_t next = end; next < text.size(); end = next) {
    if (!IsWhitespace(NextCodePoint(text, &next))) break;
  }
  return end;
}

}  // namespace

absl::StatusOr<AddedTokens> AddedTokens::Parse(const TokenizerJson& json,
                                               const Vocabulary& vocabulary,
                                               const Normalizer& normalizer) {
  AddedTokens added;
  if (json.IsMissing()) return added;
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<TokenizerJson> elements, json.Elements());
  for (const TokenizerJson& element : elements) {
    ATTUNE_ASSIGN_OR_RETURN(const Token token, ParseToken(element, normalizer));
    if (!token.content.empty()) added.Add(token, vocabulary);
  }
  return added;
}

absl::StatusOr<AddedTokens::Token> AddedTokens::ParseToken(const TokenizerJson& json,
                                                           const Normalizer& normalizer) {
  Token token;
  ATTUNE_ASSIGN_OR_RETURN(token.content, json.Field("content").AsString());
  ATTUNE_ASSIGN_OR_RETURN(token.single_word, json.Field("single_word").AsBoolOr(false));
  ATTUNE_ASSIGN_OR_RETURN(token.lstrip, json.Field("lstrip").AsBoolOr(false));
  ATTUNE_ASSIGN_OR_RETURN(token.rstrip, json.Field("rstrip").AsBoolOr(false));
  ATTUNE_ASSIGN_OR_RETURN(token.special, json.Field("special").AsBoolOr(false));
  ATTUNE_ASSIGN_OR_RETURN(token.normalized, json.Field("normalized").AsBoolOr(!token.special));
  NormalizedText sought{token.content};
  if (token.normalized) normalizer.Apply(&sought);
  token.sought = std::move(sought.text);
  return token;
}

void AddedTokens::Add(const Token& token, const Vocabulary& vocabulary) {
  const int32_t id = IdFor(token.content, vocabulary);
  ids_[token.content] = id;
  tokens_[id] = token;
  if (token.special) special_.insert(token.content);
  (token.normalized ? normalized_ : raw_).Add(token.sought, id);
  id_end_ = std::max<int64_t>(id_end_, id + 1);
}

int32_t AddedTokens::IdFor(const std::string& content, const Vocabulary& vocabulary) const {
  if (const std::optional<int32_t> known = IdOf(content); known.has_value()) return *known;
  return vocabulary.IdOf(content).value_or(
      static_cast<int32_t>(std::max<int64_t>(id_end_, vocabulary.token_count())));
}

const std::string* AddedTokens::TokenOf(int32_t id) const {
  const auto entry = tokens_.find(id);
  return entry == tokens_.end() ? nullptr : &entry->second.sought;
}

std::optional<int32_t> AddedTokens::IdOf(absl::string_view token) const {
  const auto entry = ids_.find(token);
  if (entry == ids_.end()) return std::nullopt;
  return entry->second;
}

std::vector<AddedSpan> AddedTokens::Split(absl::string_view text,
                                          const TokenMatcher& matcher) const {
  std::vector<AddedSpan> spans;
  size_t covered = 0;
  for (const TokenMatcher::Match& match : matcher.FindAll(text)) {
    const Token& token = tokens_.at(match.value);
    if (token.single_word && IsPartOfWord(text, match.span)) continue;
    TextSpan span = match.span;
    if (token.rstrip) span.end = SkipSpacesBehind(text, span.end);
    if (token.lstrip) {
      span.begin = std::max(SkipSpacesBefore(text, span.begin, covered), covered);
      if (span.begin >= span.end) continue;  // the token before took it all
    }
    if (covered < span.begin) spans.push_back({{covered, span.begin}, kNotAdded});
    spans.push_back({span, match.value});
    covered = span.end;
  }
  if (covered < text.size()) spans.push_back({{covered, text.size()}, kNotAdded});
  return spans;
}

}  // namespace attune
