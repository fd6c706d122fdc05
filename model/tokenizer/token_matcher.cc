#include "model/tokenizer/token_matcher.h"

namespace attune {
namespace {

uint64_t EdgeKey(uint32_t node, char byte) {
  return (static_cast<uint64_t>(node) << 8) | static_cast<unsigned char>(byte);
}

}  // namespace

void TokenMatcher::Add(absl::string_view token, int32_t value) {
  if (token.empty()) return;
  begins_[static_cast<unsigned char>(token[0])] = true;
  uint32_t node = 0;
  for (char byte : token) {
    const auto [edge, is_new] =
        children_.try_emplace(EdgeKey(node, byte), static_cast<uint32_t>(values_.size()));
    if (is_new) values_.push_back(kNoValue);
    node = edge->second;
  }
  if (values_[node] == kNoValue) values_[node] = value;
}

std::vector<TokenMatcher::Match> TokenMatcher::FindAll(absl::string_view text) const {
  std::vector<Match> matches;
  for (size_t begin = 0; begin < text.size();) {
    Match longest{{begin, begin}, kNoValue};
    uint32_t node = 0;
    for (size_t end = begin; end < text.size(); ++end) {
      if (end == begin && !begins_[static_cast<unsigned char>(text[end])]) break;
      const auto edge = children_.find(EdgeKey(node, text[end]));
      if (edge == children_.end()) break;
      node = edge->second;
      if (values_[node] != kNoValue) longest = {{begin, end + 1}, values_[node]};
    }
    if (longest.value != kNoValue) matches.push_back(longest);
    begin = longest.value == kNoValue ? begin + 1 : longest.span.end;
  }
  return matches;
}

}  // namespace attune
