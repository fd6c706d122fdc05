#include "model/token_decoder.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "common/status_macros.h"
#include "model/byte_alphabet.h"
#include "model/text_pattern.h"
#include "model/utf8.h"

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

// A run of byte tokens becomes the text they spell, or one U+FFFD per byte if they spell none.
void ByteFallback(std::vector<std::string>* tokens) {
  std::vector<std::string> decoded;
  decoded.reserve(tokens->size());
  std::string bytes;
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
  flush();
  *tokens = std::move(decoded);
}

void Fuse(std::vector<std::string>* tokens) { *tokens = {absl::StrJoin(*tokens, "")}; }

void ByteLevel(std::vector<std::string>* tokens) {
  std::string bytes;
  for (const std::string& token : *tokens) AppendTokenBytes(token, &bytes);
  *tokens = {IsValidUtf8(bytes) ? std::move(bytes) : ToValidUtf8(bytes)};
}

absl::StatusOr<TokenDecoderStep> ParseReplace(const TokenizerJson& json) {
  ATTUNE_ASSIGN_OR_RETURN(TextPattern pattern, TextPattern::Parse(json.Field("pattern")));
  ATTUNE_ASSIGN_OR_RETURN(std::string content, json.Field("content").AsString());
  return [pattern = std::move(pattern), content = std::move(content)](
             std::vector<std::string>* tokens) {
    for (std::string& token : *tokens) {
      token = ReplaceSpans(token, pattern.FindAll(token), content);
    }
  };
}

// Takes `content` off each token, at most `start` times in front and `stop` times at the end.
absl::StatusOr<TokenDecoderStep> ParseStrip(const TokenizerJson& json) {
  constexpr int64_t kCharactersMax = int64_t{1} << 32;
  ATTUNE_ASSIGN_OR_RETURN(const char32_t character, json.Field("content").AsCharacter());
  ATTUNE_ASSIGN_OR_RETURN(const int64_t start, json.Field("start").AsInteger(kCharactersMax));
  ATTUNE_ASSIGN_OR_RETURN(const int64_t stop, json.Field("stop").AsInteger(kCharactersMax));
  std::string content;
  AppendCodePoint(character, &content);
  return [content, start, stop](std::vector<std::string>* tokens) {
    for (std::string& token : *tokens) {
      absl::string_view kept = token;
      for (int64_t i = 0; i < start && absl::ConsumePrefix(&kept, content); ++i) continue;
      for (int64_t i = 0; i < stop && absl::ConsumeSuffix(&kept, content); ++i) continue;
      if (kept.size() < token.size()) token = std::string(kept);
    }
  };
}

absl::StatusOr<TokenDecoderStep> ParseMetaspace(const TokenizerJson& json) {
  ATTUNE_ASSIGN_OR_RETURN(const char32_t character, json.Field("replacement").AsCharacter());
  ATTUNE_ASSIGN_OR_RETURN(const bool prefix, json.Field("add_prefix_space").AsBoolOr(true));
  ATTUNE_ASSIGN_OR_RETURN(const std::string scheme, json.Field("prepend_scheme")
                                                        .AsStringOr(prefix ? "always" : "never"));
  if (scheme != "always" && scheme != "first" && scheme != "never") {
    return json.Field("prepend_scheme").UnsupportedType(scheme, "always, first, never");
  }
  std::string replacement;
  AppendCodePoint(character, &replacement);
  return [replacement, prepended = scheme != "never"](std::vector<std::string>* tokens) {
    for (size_t i = 0; i < tokens->size(); ++i) {
      const absl::string_view space = i == 0 && prepended ? "" : " ";
      (*tokens)[i] = absl::StrReplaceAll((*tokens)[i], {{replacement, space}});
    }
  };
}

absl::StatusOr<TokenDecoderStep> ParseStep(const TokenizerJson& json, const std::string& type) {
  if (type == "ByteFallback") return ByteFallback;
  if (type == "Fuse") return Fuse;
  if (type == "ByteLevel") return ByteLevel;
  if (type == "Replace") return ParseReplace(json);
  if (type == "Strip") return ParseStrip(json);
  if (type == "Metaspace") return ParseMetaspace(json);
  return json.UnsupportedType(type, kSupported);
}

absl::Status AddComponent(const TokenizerJson& json, int depth,
                          std::vector<TokenDecoderStep>* steps) {
  if (depth > kSequenceDepthMax) return json.Error("sequences nested too deep");
  ATTUNE_ASSIGN_OR_RETURN(const std::string type, json.Field("type").AsString());
  if (type != "Sequence") {
    ATTUNE_ASSIGN_OR_RETURN(TokenDecoderStep step, ParseStep(json, type));
    steps->push_back(std::move(step));
    return absl::OkStatus();
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<TokenizerJson> members,
                          json.Field("decoders").Elements());
  for (const TokenizerJson& member : members) {
    ATTUNE_RETURN_IF_ERROR(AddComponent(member, depth + 1, steps));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TokenDecoder> TokenDecoder::Parse(const TokenizerJson& json) {
  TokenDecoder decoder;
  decoder.with_spaces_ = json.IsMissing();
  if (!json.IsMissing()) ATTUNE_RETURN_IF_ERROR(AddComponent(json, 0, &decoder.steps_));
  return decoder;
}

std::string TokenDecoder::Apply(std::vector<std::string> tokens) const {
  for (const TokenDecoderStep& step : steps_) step(&tokens);
  return absl::StrJoin(tokens, with_spaces_ ? " " : "");
}

}  // namespace attune
