#include "model/tokenizer/token_decoder.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "common/status_macros.h"
#include "model/tokenizer/byte_alphabet.h"
#include "model/tokenizer/text_pattern.h"
#include "model/tokenizer/utf8.h"

namespace attune {
namespace {

constexpr absl::string_view kSupported =
    "Sequence, Replace, ByteFallback, Fuse, Strip, ByteLevel, Metaspace";

// The byte of a token like <0x0A>, or -1.
int FallbackByte(absl::string_view token) {
  int byte = -1;
  if (token.size() != 6 || !absl::StartsWith(token, "<0x") || token[5] != '>' ||
      !absl::ascii_isxdigit(static_cast<unsigned char>(token[3])) ||
      !absl::ascii_isxdigit(static_cast<unsigned char>(token[4])) ||
      !absl::SimpleHexAtoi(token.substr(3, 2), &byte)) {
    return -1;
  }
  return byte;
}

using Tokens = std::vector<std::string>;

void SeparateBySpaces(TokenDecoderState* state, bool, Tokens* tokens) {
  for (std::string& token : *tokens) {
    if (std::exchange(state->begun, true)) token.insert(0, " ");
  }
}

// A run of byte tokens becomes the text they spell, or one U+FFFD per byte if they spell none.
void ByteFallback(TokenDecoderState* state, bool is_last, Tokens* tokens) {
  Tokens decoded;
  decoded.reserve(tokens->size() + 1);
  std::string& bytes = state->held;
  const auto flush = [&] {
    if (bytes.empty()) return;
    if (IsValidUtf8(bytes)) {
      decoded.push_back(bytes);
    } else {
      std::string replacement;
      AppendCodePoint(kReplacementCharacter, &replacement);
      decoded.insert(decoded.end(), bytes.size(), replacement);
    }
    bytes.clear();
  };
  for (std::string& token : *tokens) {
    if (const int byte = FallbackByte(token); byte >= 0) {
      bytes.push_back(static_cast<char>(byte));
    } else {
      flush();
      decoded.push_back(std::move(token));
    }
  }
  if (is_last) flush();
  *tokens = std::move(decoded);
}

void Fuse(TokenDecoderState*, bool, Tokens* tokens) { *tokens = {absl::StrJoin(*tokens, "")}; }

void ByteLevel(TokenDecoderState* state, bool is_last, Tokens* tokens) {
  std::string bytes = std::exchange(state->held, "");
  for (const std::string& token : *tokens) AppendTokenBytes(token, &bytes);
  if (const size_t unfinished = is_last ? 0 : UnfinishedUtf8Bytes(bytes); unfinished > 0) {
    state->held = bytes.substr(bytes.size() - unfinished);
    bytes.resize(bytes.size() - unfinished);
  }
  *tokens = {IsValidUtf8(bytes) ? std::move(bytes) : ToValidUtf8(bytes)};
}

// Makes one token of the parts of one.
void Await(TokenDecoderState* state, bool is_last, Tokens* tokens) {
  for (const std::string& part : *tokens) state->held += part;
  tokens->clear();
  if (is_last) tokens->push_back(std::exchange(state->held, ""));
}

absl::StatusOr<TokenDecoderStep> ParseReplace(const TokenizerJson& json, double* growth) {
  ATTUNE_ASSIGN_OR_RETURN(TextReplacement replacement, TextReplacement::Parse(json, growth));
  return [replacement = std::move(replacement)](TokenDecoderState*, bool, Tokens* tokens) {
    for (std::string& token : *tokens) {
      const std::vector<TextSpan> matches = replacement.pattern.FindAll(token);
      if (!matches.empty()) token = ReplaceSpans(token, matches, replacement.content);
    }
  };
}

// Takes `content` off a token, at most `start` times in front and `stop` times at the end.
struct Stripping {
  std::string content;  // one character
  int64_t start;
  int64_t stop;

  size_t KeptBytes(absl::string_view token) const {
    absl::string_view kept = token;
    for (int64_t i = 0; i < stop && absl::ConsumeSuffix(&kept, content); ++i) continue;
    return kept.size();
  }
};

void StripEach(const Stripping& stripping, Tokens* tokens) {
  for (std::string& token : *tokens) {
    absl::string_view kept = token;
    for (int64_t i = 0; i < stripping.start; ++i) {
      if (!absl::ConsumePrefix(&kept, stripping.content)) break;
    }
    kept = kept.substr(0, stripping.KeptBytes(kept));
    if (kept.size() < token.size()) token = std::string(kept);
  }
}

// The same for one token that comes in parts.
void StripParts(const Stripping& stripping, TokenDecoderState* state, bool is_last,
                Tokens* tokens) {
  const std::string text = absl::StrJoin(*tokens, "");
  absl::string_view rest = text;
  while (state->stripped < stripping.start && absl::ConsumePrefix(&rest, stripping.content)) {
    ++state->stripped;
  }
  if (!rest.empty()) state->stripped = stripping.start;  // that was the front
  std::string& held = state->held;
  held.append(rest.data(), rest.size());
  const size_t kept = stripping.KeptBytes(held);
  *tokens = {held.substr(0, kept)};
  held.erase(0, is_last ? held.size() : kept);
}

absl::StatusOr<TokenDecoderStep> ParseStrip(const TokenizerJson& json, bool in_parts) {
  constexpr int64_t kCharactersMax = int64_t{1} << 32;
  ATTUNE_ASSIGN_OR_RETURN(const char32_t character, json.Field("content").AsCharacter());
  ATTUNE_ASSIGN_OR_RETURN(const int64_t start, json.Field("start").AsInteger(kCharactersMax));
  ATTUNE_ASSIGN_OR_RETURN(const int64_t stop, json.Field("stop").AsInteger(kCharactersMax));
  Stripping stripping{"", start, stop};
  AppendCodePoint(character, &stripping.content);
  return [stripping, in_parts](TokenDecoderState* state, bool is_last, Tokens* tokens) {
    in_parts ? StripParts(stripping, state, is_last, tokens) : StripEach(stripping, tokens);
  };
}

absl::StatusOr<TokenDecoderStep> ParseMetaspace(const TokenizerJson& json) {
  ATTUNE_ASSIGN_OR_RETURN(const char32_t character, json.Field("replacement").AsCharacter());
  ATTUNE_ASSIGN_OR_RETURN(const bool prefix, json.Field("add_prefix_space").AsBoolOr(true));
  ATTUNE_ASSIGN_OR_RETURN(const std::string scheme,
                          json.Field("prepend_scheme").AsStringOr(prefix ? "always" : "never"));
  if (scheme != "always" && scheme != "first" && scheme != "never") {
    return json.Field("prepend_scheme").UnsupportedType(scheme, "always, first, never");
  }
  std::string replacement;
  AppendCodePoint(character, &replacement);
  return
      [replacement, prepended = scheme != "never"](TokenDecoderState* state, bool, Tokens* tokens) {
        for (std::string& token : *tokens) {
          const bool is_first = !std::exchange(state->begun, true);
          token = absl::StrReplaceAll(token, {{replacement, is_first && prepended ? "" : " "}});
        }
      };
}

}  // namespace

absl::StatusOr<TokenDecoder> TokenDecoder::Parse(const TokenizerJson& json) {
  TokenDecoder decoder;
  if (json.IsMissing()) {
    decoder.steps_.push_back(SeparateBySpaces);
  } else {
    ATTUNE_RETURN_IF_ERROR(decoder.Add(json, 0));
  }
  return decoder;
}

absl::Status TokenDecoder::Add(const TokenizerJson& json, int depth) {
  if (depth > kSequenceDepthMax) return json.Error("sequences nested too deep");
  ATTUNE_ASSIGN_OR_RETURN(const std::string type, json.Field("type").AsString());
  if (type != "Sequence") {
    ATTUNE_ASSIGN_OR_RETURN(TokenDecoderStep step, ParseStep(json, type));
    if (joined_ && type != "Strip" && type != "Fuse") steps_.push_back(Await);
    joined_ = (joined_ && type == "Strip") || type == "Fuse" || type == "ByteLevel";
    steps_.push_back(std::move(step));
    return absl::OkStatus();
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<TokenizerJson> members,
                          json.Field("decoders").Elements());
  for (const TokenizerJson& member : members) ATTUNE_RETURN_IF_ERROR(Add(member, depth + 1));
  return absl::OkStatus();
}

absl::StatusOr<TokenDecoderStep> TokenDecoder::ParseStep(const TokenizerJson& json,
                                                         const std::string& type) {
  if (type == "ByteFallback") return ByteFallback;
  if (type == "Fuse") return Fuse;
  if (type == "ByteLevel") return ByteLevel;
  if (type == "Replace") return ParseReplace(json, &growth_);
  if (type == "Strip") return ParseStrip(json, /*in_parts=*/joined_);
  if (type == "Metaspace") return ParseMetaspace(json);
  return json.UnsupportedType(type, kSupported);
}

std::string TokenDecoder::Apply(std::vector<std::string> tokens) const {
  return Stream(this).Run(std::move(tokens), /*is_last=*/true);
}

std::string TokenDecoder::Stream::Push(std::string token) {
  std::vector<std::string> tokens;
  tokens.push_back(std::move(token));
  return Run(std::move(tokens), /*is_last=*/false);
}

std::string TokenDecoder::Stream::Run(std::vector<std::string> tokens, bool is_last) {
  for (size_t i = 0; i < steps_->size(); ++i) (*steps_)[i](&states_[i], is_last, &tokens);
  return absl::StrJoin(tokens, "");
}

}  // namespace attune
