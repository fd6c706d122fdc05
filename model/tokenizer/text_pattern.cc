#include "model/tokenizer/text_pattern.h"

#include <utility>

#include "common/status_macros.h"

namespace attune {

absl::StatusOr<TextPattern> TextPattern::Parse(const TokenizerJson& json) {
  TextPattern pattern;
  const TokenizerJson literal = json.Field("String");
  const TokenizerJson regex = json.Field("Regex");
  if (literal.IsMissing() == regex.IsMissing()) {
    return json.Error("expected an object with either 'String' or 'Regex'");
  }
  std::string expression;
  if (regex.IsMissing()) {
    ATTUNE_ASSIGN_OR_RETURN(pattern.literal_, literal.AsString());
    if (!pattern.literal_.empty()) return pattern;
    // The empty string is, as in the library, found between any two characters.
  } else {
    ATTUNE_ASSIGN_OR_RETURN(expression, regex.AsString());
  }
  auto compiled = Regex::Compile(expression);
  if (!compiled.ok()) return Annotate(compiled.status(), regex.path());
  pattern.regex_ = *std::move(compiled);
  return pattern;
}

std::vector<TextSpan> TextPattern::FindAll(absl::string_view text) const {
  if (regex_ != nullptr) return regex_->FindAll(text);
  std::vector<TextSpan> matches;
  for (size_t at = text.find(literal_); at != absl::string_view::npos;
       at = text.find(literal_, at + literal_.size())) {
    matches.push_back({at, at + literal_.size()});
  }
  return matches;
}

absl::StatusOr<TextReplacement> TextReplacement::Parse(const TokenizerJson& json, double* growth) {
  ATTUNE_ASSIGN_OR_RETURN(TextPattern pattern, TextPattern::Parse(json.Field("pattern")));
  ATTUNE_ASSIGN_OR_RETURN(std::string content, json.Field("content").AsString());
  const auto content_bytes = static_cast<double>(content.size());
  const auto match_bytes = static_cast<double>(pattern.match_bytes_min());
  // Empty matches stand between all characters.
  const double factor = match_bytes > 0 ? content_bytes / match_bytes : content_bytes + 1;
  ATTUNE_RETURN_IF_ERROR(CountGrowth(json, factor, growth));
  return TextReplacement{std::move(pattern), std::move(content)};
}

std::string ReplaceSpans(absl::string_view text, const std::vector<TextSpan>& spans,
                         absl::string_view content) {
  std::string replaced;
  replaced.reserve(text.size() + spans.size() * content.size());
  size_t copied = 0;
  for (const TextSpan& span : spans) {
    replaced.append(text.data() + copied, span.begin - copied);
    replaced.append(content.data(), content.size());
    copied = span.end;
  }
  replaced.append(text.data() + copied, text.size() - copied);
  return replaced;
}

}  // namespace attune
