#include "model/tokenizer/pre_tokenizer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "common/check.h"
#include "common/status_macros.h"
#include "model/tokenizer/byte_alphabet.h"
#include "model/tokenizer/split_behavior.h"
#include "model/tokenizer/text_pattern.h"
#include "model/tokenizer/unicode.h"
#include "model/tokenizer/utf8.h"

namespace attune {
namespace {

constexpr absl::string_view kSupported =
    "Sequence, ByteLevel, Metaspace, Split, Digits, Whitespace, WhitespaceSplit, Punctuation, "
    "BertPreTokenizer, CharDelimiterSplit, FixedLength";

// GPT-2's words, which ByteLevel cuts at unless told not to.
constexpr absl::string_view kByteLevelWords =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

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
    const absl::string_view text = absl::string_view(old.text).substr(piece.begin, piece.size());
    const bool is_origin = piece.begin < old.origin_bytes;
    const size_t origin_bytes = is_origin ? old.origin_bytes - piece.begin : 0;
    piece.begin = pieces->whole.text.size();
    write(text, is_origin, &pieces->whole.text);
    piece.end = pieces->whole.text.size();
    if (is_origin) {
      std::string origin;
      write(text.substr(0, origin_bytes), true, &origin);
      pieces->whole.origin_bytes = std::min(piece.begin + origin.size(), piece.end);
    }
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
PreTokenizerStep CharacterSplit(SplitBehavior behavior) {
  return
      [behavior](TextPieces* pieces) { Split(FindCharacters<Predicate>, behavior, false, pieces); };
}

void SplitIntoByteLevelWords(TextPieces* pieces) {
  static const auto* const words =
      new absl::StatusOr<std::shared_ptr<const Regex>>(Regex::Compile(kByteLevelWords));
  ATTUNE_CHECK(words->ok());
  Split([](absl::string_view text) { return (**words)->FindAll(text); }, SplitBehavior::kIsolated,
        false, pieces);
}

// Runs of word characters and runs of what is neither that nor whitespace.
std::vector<TextSpan> FindWordsAndSymbols(absl::string_view text) {
  enum class Kind { kSpace, kWord, kSymbol };
  std::vector<TextSpan> runs;
  Kind run_kind = Kind::kSpace;
  for (size_t offset = 0; offset < text.size();) {
    const size_t begin = offset;
    const char32_t c = NextCodePoint(text, &offset);
    const Kind kind = IsWhitespace(c)      ? Kind::kSpace
                      : IsWordCharacter(c) ? Kind::kWord
                                           : Kind::kSymbol;
    if (kind != Kind::kSpace && kind == run_kind) {
      runs.back().end = offset;
    } else if (kind != Kind::kSpace) {
      runs.push_back({begin, offset});
    }
    run_kind = kind;
  }
  return runs;
}

void SplitIntoWordsAndSymbols(TextPieces* pieces) {
  Split(FindWordsAndSymbols, SplitBehavior::kRemoved, true, pieces);
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
  Rewrite([](absl::string_view text, bool, std::string* out) { *out += InByteAlphabet(text); },
          pieces);
}

absl::Status AddByteLevel(const TokenizerJson& json, double* growth,
                          std::vector<PreTokenizerStep>* steps) {
  ATTUNE_ASSIGN_OR_RETURN(const bool prefix, json.Field("add_prefix_space").AsBool());
  ATTUNE_ASSIGN_OR_RETURN(const bool use_regex, json.Field("use_regex").AsBoolOr(true));
  ATTUNE_RETURN_IF_ERROR(CountGrowth(json, 2, growth));
  if (prefix) steps->push_back(PrependSpace);
  if (use_regex) steps->push_back(SplitIntoByteLevelWords);
  steps->push_back(WriteBytesAsCharacters);
  return absl::OkStatus();
}

enum class PrependScheme { kAlways, kFirst, kNever };

absl::StatusOr<PrependScheme> ParsePrependScheme(const TokenizerJson& json) {
  const TokenizerJson scheme = json.Field("prepend_scheme");
  // Before prepend_scheme existed, add_prefix_space said whether.
  ATTUNE_ASSIGN_OR_RETURN(const bool prefix, json.Field("add_prefix_space").AsBoolOr(true));
  ATTUNE_ASSIGN_OR_RETURN(const std::string name, scheme.AsStringOr(prefix ? "always" : "never"));
  if (name == "always") return PrependScheme::kAlways;
  if (name == "first") return PrependScheme::kFirst;
  if (name == "never") return PrependScheme::kNever;
  return scheme.UnsupportedType(name, "always, first, never");
}

std::vector<TextSpan> FindLiteral(absl::string_view literal, absl::string_view text) {
  std::vector<TextSpan> matches;
  for (size_t at = text.find(literal); at != absl::string_view::npos;
       at = text.find(literal, at + literal.size())) {
    matches.push_back({at, at + literal.size()});
  }
  return matches;
}

absl::Status AddMetaspace(const TokenizerJson& json, std::vector<PreTokenizerStep>* steps) {
  ATTUNE_ASSIGN_OR_RETURN(const char32_t character, json.Field("replacement").AsCharacter());
  ATTUNE_ASSIGN_OR_RETURN(const PrependScheme scheme, ParsePrependScheme(json));
  ATTUNE_ASSIGN_OR_RETURN(const bool split, json.Field("split").AsBoolOr(true));
  std::string replacement;
  AppendCodePoint(character, &replacement);
  const auto write = [=](absl::string_view text, bool is_origin, std::string* out) {
    const bool wanted =
        scheme == PrependScheme::kAlways || (scheme == PrependScheme::kFirst && is_origin);
    const bool present = absl::StartsWith(text, " ") || absl::StartsWith(text, replacement);
    if (wanted && !present) *out += replacement;
    for (char c : text) c == ' ' ? out->append(replacement) : out->append(1, c);
  };
  steps->push_back([write](TextPieces* pieces) { Rewrite(write, pieces); });
  if (!split) return absl::OkStatus();
  const auto find = [=](absl::string_view text) { return FindLiteral(replacement, text); };
  steps->push_back(
      [find](TextPieces* pieces) { Split(find, SplitBehavior::kMergedWithNext, false, pieces); });
  return absl::OkStatus();
}

absl::Status AddSplit(const TokenizerJson& json, std::vector<PreTokenizerStep>* steps) {
  ATTUNE_ASSIGN_OR_RETURN(TextPattern pattern, TextPattern::Parse(json.Field("pattern")));
  ATTUNE_ASSIGN_OR_RETURN(const SplitBehavior behavior, ParseSplitBehavior(json.Field("behavior")));
  ATTUNE_ASSIGN_OR_RETURN(const bool invert, json.Field("invert").AsBool());
  steps->push_back([pattern = std::move(pattern), behavior, invert](TextPieces* pieces) {
    Split([&](absl::string_view text) { return pattern.FindAll(text); }, behavior, invert, pieces);
  });
  return absl::OkStatus();
}

absl::Status AddDigits(const TokenizerJson& json, std::vector<PreTokenizerStep>* steps) {
  ATTUNE_ASSIGN_OR_RETURN(const bool individual, json.Field("individual_digits").AsBool());
  steps->push_back(CharacterSplit<IsNumeric>(individual ? SplitBehavior::kIsolated
                                                        : SplitBehavior::kContiguous));
  return absl::OkStatus();
}

absl::Status AddPunctuation(const TokenizerJson& json, std::vector<PreTokenizerStep>* steps) {
  SplitBehavior behavior = SplitBehavior::kIsolated;
  if (const TokenizerJson field = json.Field("behavior"); !field.IsMissing()) {
    ATTUNE_ASSIGN_OR_RETURN(behavior, ParseSplitBehavior(field));
  }
  steps->push_back(CharacterSplit<IsPunctuation>(behavior));
  return absl::OkStatus();
}

absl::Status AddCharDelimiterSplit(const TokenizerJson& json,
                                   std::vector<PreTokenizerStep>* steps) {
  ATTUNE_ASSIGN_OR_RETURN(const char32_t character, json.Field("delimiter").AsCharacter());
  std::string delimiter;
  AppendCodePoint(character, &delimiter);
  steps->push_back([delimiter](TextPieces* pieces) {
    Split([&](absl::string_view text) { return FindLiteral(delimiter, text); },
          SplitBehavior::kRemoved, false, pieces);
  });
  return absl::OkStatus();
}

// Stretches of `length` characters; the last may be shorter.
std::vector<TextSpan> FindStretches(int64_t length, absl::string_view text) {
  std::vector<TextSpan> stretches;
  for (size_t offset = 0; offset < text.size();) {
    const size_t begin = offset;
    for (int64_t i = 0; i < length && offset < text.size(); ++i) NextCodePoint(text, &offset);
    stretches.push_back({begin, offset});
  }
  return stretches;
}

absl::Status AddFixedLength(const TokenizerJson& json, std::vector<PreTokenizerStep>* steps) {
  constexpr int64_t kCharactersMax = int64_t{1} << 32;
  const TokenizerJson field = json.Field("length");
  ATTUNE_ASSIGN_OR_RETURN(const int64_t length, field.AsInteger(kCharactersMax));
  if (length == 0) return field.Error("a piece must have at least 1 character");
  steps->push_back([length](TextPieces* pieces) {
    Split([&](absl::string_view text) { return FindStretches(length, text); },
          SplitBehavior::kIsolated, false, pieces);
  });
  return absl::OkStatus();
}

absl::Status AddComponent(const TokenizerJson& json, int depth, double* growth,
                          std::vector<PreTokenizerStep>* steps) {
  if (depth > kSequenceDepthMax) return json.Error("sequences nested too deep");
  ATTUNE_ASSIGN_OR_RETURN(const std::string type, json.Field("type").AsString());
  if (type == "ByteLevel") return AddByteLevel(json, growth, steps);
  if (type == "Metaspace") return AddMetaspace(json, steps);
  if (type == "Split") return AddSplit(json, steps);
  if (type == "Digits") return AddDigits(json, steps);
  if (type == "Punctuation") return AddPunctuation(json, steps);
  if (type == "CharDelimiterSplit") return AddCharDelimiterSplit(json, steps);
  if (type == "FixedLength") return AddFixedLength(json, steps);
  if (type == "WhitespaceSplit" || type == "BertPreTokenizer") {
    steps->push_back(CharacterSplit<IsWhitespace>(SplitBehavior::kRemoved));
    if (type == "BertPreTokenizer") {
      steps->push_back(CharacterSplit<IsPunctuation>(SplitBehavior::kIsolated));
    }
    return absl::OkStatus();
  }
  if (type == "Whitespace") {
    steps->push_back(SplitIntoWordsAndSymbols);
    return absl::OkStatus();
  }
  if (type != "Sequence") return json.UnsupportedType(type, kSupported);
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<TokenizerJson> members,
                          json.Field("pretokenizers").Elements());
  for (const TokenizerJson& member : members) {
    ATTUNE_RETURN_IF_ERROR(AddComponent(member, depth + 1, growth, steps));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<PreTokenizer> PreTokenizer::Parse(const TokenizerJson& json) {
  PreTokenizer pre_tokenizer;
  double growth = 1;
  if (!json.IsMissing()) {
    ATTUNE_RETURN_IF_ERROR(AddComponent(json, 0, &growth, &pre_tokenizer.steps_));
  }
  return pre_tokenizer;
}

TextPieces PreTokenizer::Apply(NormalizedText text) const {
  TextPieces pieces;
  if (!text.text.empty()) pieces.pieces.push_back({0, text.text.size()});
  pieces.whole = std::move(text);
  for (const PreTokenizerStep& step : steps_) step(&pieces);
  return pieces;
}

}  // namespace attune
