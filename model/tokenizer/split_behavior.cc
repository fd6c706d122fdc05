#include "model/tokenizer/split_behavior.h"

#include <algorithm>
#include <string>

#include "common/status_macros.h"

namespace attune {
namespace {

// Matches and the gaps between them, which together cover the text.
struct Part {
  TextSpan span;
  bool is_match;
};

std::vector<Part> PartsOf(const std::vector<TextSpan>& matches, TextSpan text, bool invert) {
  std::vector<Part> parts;
  parts.reserve(2 * matches.size() + 1);
  size_t covered = text.begin;
  for (const TextSpan& match : matches) {
    if (match.begin > covered) parts.push_back({{covered, match.begin}, invert});
    parts.push_back({match, !invert});
    covered = match.end;
  }
  if (covered < text.end) parts.push_back({{covered, text.end}, invert});
  return parts;
}

// Of several matches in a row only the first joins the part before it.
std::vector<TextSpan> MergedWithPrevious(const std::vector<Part>& parts) {
  std::vector<TextSpan> spans;
  bool previous_match = false;
  for (const Part& part : parts) {
    if (part.is_match && !previous_match && !spans.empty()) {
      spans.back().end = part.span.end;
    } else {
      spans.push_back(part.span);
    }
    previous_match = part.is_match;
  }
  return spans;
}

// Of several matches in a row only the last joins the part behind it.
std::vector<TextSpan> MergedWithNext(const std::vector<Part>& parts) {
  std::vector<TextSpan> spans;
  bool next_match = false;
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    if (part->is_match && !next_match && !spans.empty()) {
      spans.back().begin = part->span.begin;
    } else {
      spans.push_back(part->span);
    }
    next_match = part->is_match;
  }
  std::reverse(spans.begin(), spans.end());
  return spans;
}

std::vector<TextSpan> Contiguous(const std::vector<Part>& parts) {
  std::vector<TextSpan> spans;
  bool previous_match = false;
  for (const Part& part : parts) {
    if (part.is_match == previous_match && !spans.empty()) {
      spans.back().end = part.span.end;
    } else {
      spans.push_back(part.span);
    }
    previous_match = part.is_match;
  }
  return spans;
}

std::vector<TextSpan> Separate(const std::vector<Part>& parts, bool keep_matches) {
  std::vector<TextSpan> spans;
  spans.reserve(parts.size());
  for (const Part& part : parts) {
    if (keep_matches || !part.is_match) spans.push_back(part.span);
  }
  return spans;
}

std::vector<TextSpan> Arranged(const std::vector<Part>& parts, SplitBehavior behavior) {
  switch (behavior) {
    case SplitBehavior::kRemoved:
      return Separate(parts, false);
    case SplitBehavior::kIsolated:
      return Separate(parts, true);
    case SplitBehavior::kMergedWithPrevious:
      return MergedWithPrevious(parts);
    case SplitBehavior::kMergedWithNext:
      return MergedWithNext(parts);
    case SplitBehavior::kContiguous:
      return Contiguous(parts);
  }
  return {};
}

}  // namespace

absl::StatusOr<SplitBehavior> ParseSplitBehavior(const TokenizerJson& json) {
  ATTUNE_ASSIGN_OR_RETURN(const std::string name, json.AsString());
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  return json.UnsupportedType(name,
                              "Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous");
}

std::vector<TextSpan> SplitAt(const std::vector<TextSpan>& matches, TextSpan text,
                              SplitBehavior behavior, bool invert) {
  std::vector<TextSpan> spans = Arranged(PartsOf(matches, text, invert), behavior);
  spans.erase(std::remove_if(spans.begin(), spans.end(),
                             [](const TextSpan& span) { return span.size() == 0; }),
              spans.end());
  return spans;
}

}  // namespace attune
