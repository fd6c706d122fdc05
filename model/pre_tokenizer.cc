#include "model/pre_tokenizer.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "common/check.h"
#include "common/status_macros.h"
#include "model/byte_alphabet.h"
#include "model/split_behavior.h"
#include "model/text_pattern.h"
#include "model/unicode.h"
#include "model/utf8.h"

namespace attune {
namespace {

constexpr absl::string_view kSupported =
    "Sequence, ByteLevel, Metaspace, Split, Digits, Whitespace, WhitespaceSplit, Punctuation";

// GPT-2's words, which ByteLevel cuts at unless told not to.
constexpr absl::string_view kByteLevelWords =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
// Whitespace's \w+|[^\w\s]+; it uses another engine, whose \w is not that of the other patterns.
constexpr absl::string_view kWordsOrSymbols =
    R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200C\u200D]+|)"
    R"([^\s\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200C\u200D]+)";

// Cuts each piece at the spans that `find` returns for its text.
template <typename Find>
void Split(const Find& find, SplitBehavior behavior, bool invert, TextPieces* pieces) {
  std::vector<TextSpan> cut;
  for (const TextSpan& piece : pieces->pieces) {
    std::vector<TextSpan> matches =
        find(absl::string_view(pieces->whole.text).substr(piece.begin, piece.size()));
    for (TextSpan& match : matches) match = {match.begin + piece.begin, match.end + piece.begin};
    const std::vector<TextSpan> parts = SplitAt(matches, piece, behavior, invert);
    cut.insert(cut.end(), parts.begin(), parts.end());
  }
  pieces->pieces = std::move(cut);
}

// Writes each piece anew: `write(piece, is_origin, out)` appends its new text.
template <typename Write>
void Rewrite(const Write& write, TextPieces* pieces) {
  const NormalizedText old = std::exchange(pieces->whole, {});
  pieces->whole.text.reserve(old.text.size() + old.text.size() / 4 + 16);
  for (TextSpan& piece : pieces->pieces) {
    const absl::string_view text =
        absl::string_view(old.text).substr(piece.begin, piece.size());
    const bool is_origin = piece.begin < old.origin_bytes;
    piece.begin = pieces->whole.text.size();
    write(text, is_origin, &pieces->whole.text);
    piece.end = pieces->whole.text.size();
    // Only the piece's begin matters from here on.
    if (is_origin) pieces->whole.origin_bytes = piece.begin + 1;
  }
}

template <bool (*Predicate)(char32_t)>
std::vector<TextSpan> FindCharacters(absl::string_view text) {
  std::vector<TextSpan> matches;
  for (size_t offset = 0; offset < text.size();) {
    const size_t begin = offset;
    if (Predicate(NextCodePoint(text, &offset))) matches.push_back({begin, offset});
  }
  return matches;
}

template <bool (*Predicate)(char32_t)>
std::function<void(TextPieces*)> CharacterSplit(SplitBehavior behavior) {
  return [behavior](TextPieces* pieces) {
    Split(FindCharacters<Predicate>, behavior, false, pieces);
  };
}

std::function<void(TextPieces*)> RegexSplit(absl::string_view expression) {
  auto regex = Regex::Compile(expression);
  ATTUNE_CHECK(regex.ok());
  return [regex = *std::move(regex)](TextPieces* pieces) {
    Split([&](absl::string_view text) { return regex->FindAll(text); }, SplitBehavior::kIsolated,
          false, pieces);
  };
}

void PrependSpace(TextPieces* pieces) {
  Rewrite(
      [](absl::string_view text, bool, std::string* out) {
        if (!absl::StartsWith(text, " ")) out->push_back(' ');
        out->append(text.data(), text.size());
      },
      pieces);
}

void WriteBytesAsCharacters(TextPieces* pieces) {
  Rewrite(
      [](absl::string_view text, bool, std::string* out) {
        for (char byte : text) {
          const absl::string_view character = ByteCharacter(static_cast<unsigned char>(byte));
          out->append(character.data(), character.size());
        }
      },
      pieces);
}

absl::StatusOr<std::vector<std::function<void(TextPieces*)>>> ByteLevel(
    const TokenizerJson& json) {
  ATTUNE_ASSIGN_OR_RETURN(const bool prefix, json.Field("add_prefix_space").AsBool());
  ATTUNE_ASSIGN_OR_RETURN(const bool use_regex, json.Field("use_regex").AsBoolOr(true));
  std::vector<std::function<void(TextPieces*)>> steps;
  if (prefix) steps.push_back(PrependSpace);
  if (use_regex) steps.push_back(RegexSplit(kByteLevelWords));
  steps.push_back(WriteBytesAsCharacters);
  return steps;
}

enum class PrependScheme { kAlways, kFirst, kNever };

absl::StatusOr<PrependScheme> ParsePrependScheme(const TokenizerJson& json) {
  const TokenizerJson scheme = json.Field("prepend_scheme");
  // Before prepend_scheme existed, add_prefix_space said whether.
  ATTUNE_ASSIGN_OR_RETURN(const bool prefix, json.Field("add_prefix_space").AsBoolOr(true));
  ATTUNE_ASSIGN_OR_RETURN(const std::string name,
                          scheme.AsStringOr(prefix ? "always" : "never"));
  if (name == "always") return PrependScheme::kAlways;
  if (name == "first") return PrependScheme::kFirst;
  if (name == "never") return PrependScheme::kNever;
  return scheme.UnsupportedType(name, "always, first, never");
}

absl::StatusOr<std::vector<std::function<void(TextPieces*)>>> Metaspace(
    const TokenizerJson& json) {
  ATTUNE_ASSIGN_OR_RETURN(const char32_t character, json.Field("replacement").AsCharacter());
  ATTUNE_ASSIGN_OR_RETURN(const PrependScheme scheme, ParsePrependScheme(json));
  ATTUNE_ASSIGN_OR_RETURN(const bool split, json.Field("split").AsBoolOr(true));
  std::string replacement;
  AppendCodePoint(character, &replacement);
  return std::vector<std::function<void(TextPieces*)>>{[=](TextPieces* pieces) {
    Rewrite(
        [&](absl::string_view text, bool is_origin, std::string* out) {
          const bool wanted = scheme == PrependScheme::kAlways ||
                              (scheme == PrependScheme::kFirst && is_origin);
          const bool present = absl::StartsWith(text, " ") || absl::StartsWith(text, replacement);
          if (wanted && !present) *out += replacement;
          for (char c : text) c == ' ' ? out->append(replacement) : out->append(1, c);
        },
        pieces);
    if (!split) return;
    const auto find = [&](absl::string_view text) {
      std::vector<TextSpan> matches;
      for (size_t at = text.find(replacement); at != absl::string_view::npos;
           at = text.find(replacement, at + replacement.size())) {
        matches.push_back({at, at + replacement.size()});
      }
      return matches;
    };
    Split(find, SplitBehavior::kMergedWithNext, false, pieces);
  }};
}

absl::StatusOr<std::function<void(TextPieces*)>> PatternSplit(const TokenizerJson& json) {
  ATTUNE_ASSIGN_OR_RETURN(TextPattern pattern, TextPattern::Parse(json.Field("pattern")));
  ATTUNE_ASSIGN_OR_RETURN(const SplitBehavior behavior,
                          ParseSplitBehavior(json.Field("behavior")));
  ATTUNE_ASSIGN_OR_RETURN(const bool invert, json.Field("invert").AsBool());
  return [pattern = std::move(pattern), behavior, invert](TextPieces* pieces) {
    Split([&](absl::string_view text) { return pattern.FindAll(text); }, behavior, invert, pieces);
  };
}

}  // namespace

absl::StatusOr<PreTokenizer> PreTokenizer::Parse(const TokenizerJson& json) {
  PreTokenizer pre_tokenizer;
  if (!json.IsMissing()) ATTUNE_RETURN_IF_ERROR(pre_tokenizer.Add(json, 0));
  return pre_tokenizer;
}

TextPieces PreTokenizer::Apply(NormalizedText text) const {
  TextPieces pieces;
  if (!text.text.empty()) pieces.pieces.push_back({0, text.text.size()});
  pieces.whole = std::move(text);
  for (const Step& step : steps_) step(&pieces);
  return pieces;
}

absl::Status PreTokenizer::Add(const TokenizerJson& json, int depth) {
  if (depth > kSequenceDepthMax) return json.Error("sequences nested too deep");
  ATTUNE_ASSIGN_OR_RETURN(const std::string type, json.Field("type").AsString());
  if (type == "Sequence") {
    ATTUNE_ASSIGN_OR_RETURN(const std::vector<TokenizerJson> members,
                            json.Field("pretokenizers").Elements());
    for (const TokenizerJson& member : members) ATTUNE_RETURN_IF_ERROR(Add(member, depth + 1));
    return absl::OkStatus();
  }
  ATTUNE_ASSIGN_OR_RETURN(std::vector<Step> steps, ParseSteps(json, type));
  for (Step& step : steps) steps_.push_back(std::move(step));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<PreTokenizer::Step>> PreTokenizer::ParseSteps(
    const TokenizerJson& json, const std::string& type) {
  if (type == "ByteLevel") return ByteLevel(json);
  if (type == "Metaspace") return Metaspace(json);
  if (type == "Split") {
    ATTUNE_ASSIGN_OR_RETURN(Step step, PatternSplit(json));
    return std::vector<Step>{std::move(step)};
  }
  if (type == "Digits") {
    ATTUNE_ASSIGN_OR_RETURN(const bool individual, json.Field("individual_digits").AsBool());
    return std::vector<Step>{CharacterSplit<IsNumeric>(individual ? SplitBehavior::kIsolated
                                                                  : SplitBehavior::kContiguous)};
  }
  if (type == "WhitespaceSplit") {
    return std::vector<Step>{CharacterSplit<IsWhitespace>(SplitBehavior::kRemoved)};
  }
  if (type == "Punctuation") {
    SplitBehavior behavior = SplitBehavior::kIsolated;
    if (const TokenizerJson field = json.Field("behavior"); !field.IsMissing()) {
      ATTUNE_ASSIGN_OR_RETURN(behavior, ParseSplitBehavior(field));
    }
    return std::vector<Step>{CharacterSplit<IsPunctuation>(behavior)};
  }
  if (type == "Whitespace") {
    return std::vector<Step>{
        RegexSplit(kWordsOrSymbols), CharacterSplit<IsWhitespace>(SplitBehavior::kRemoved)};
  }
  return json.UnsupportedType(type, kSupported);
}

}  // namespace attune
