#include "model/tokenizer/normalizer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/string_view.h"
#include "common/status_macros.h"
#include "model/tokenizer/byte_alphabet.h"
#include "model/tokenizer/text_pattern.h"
#include "model/tokenizer/unicode.h"
#include "model/tokenizer/utf8.h"

namespace attune {
namespace {

constexpr absl::string_view kSupported =
    "Sequence, Prepend, Replace, NFC, NFD, NFKC, NFKD, Lowercase, Strip, StripAccents, ByteLevel";

void Prepend(const std::string& prefix, NormalizedText* text) {
  if (text->text.empty()) return;
  text->text.insert(0, prefix);
  if (text->origin_bytes > 0) text->origin_bytes += prefix.size();
}

void ReplaceAll(const TextPattern& pattern, const std::string& content, NormalizedText* text) {
  const std::vector<TextSpan> matches = pattern.FindAll(text->text);
  // A replacement stands for the last character that it replaces.
  const size_t origin = text->origin_bytes;
  size_t new_origin = origin;
  for (const TextSpan& match : matches) {
    if (match.begin >= origin) break;
    new_origin -= std::min(match.end, origin) - match.begin;
    if (match.end <= origin) new_origin += content.size();
  }
  text->text = ReplaceSpans(text->text, matches, content);
  text->origin_bytes = new_origin;
}

bool IsContinuation(absl::string_view text, size_t offset) {
  return offset < text.size() && (static_cast<unsigned char>(text[offset]) & 0xC0) == 0x80;
}

template <typename Transform>
void TransformBoth(const Transform& transform, NormalizedText* text) {
  const absl::string_view origin = absl::string_view(text->text).substr(0, text->origin_bytes);
  const size_t new_origin = origin.empty() ? 0 : transform(origin).size();
  text->text = transform(absl::string_view(text->text));
  // The first character may have been composed with the next one: take all of it.
  text->origin_bytes = std::min(new_origin, text->text.size());
  while (IsContinuation(text->text, text->origin_bytes)) ++text->origin_bytes;
}

std::string WithoutMarks(absl::string_view text) {
  std::string kept;
  kept.reserve(text.size());
  for (size_t offset = 0; offset < text.size();) {
    const size_t begin = offset;
    if (!IsMark(NextCodePoint(text, &offset))) kept.append(text.data() + begin, offset - begin);
  }
  return kept;
}

void Strip(bool left, bool right, NormalizedText* text) {
  const absl::string_view all = text->text;
  size_t begin = 0;
  size_t end = all.size();
  for (size_t next = 0; left && next < end; begin = next) {
    if (!IsWhitespace(NextCodePoint(all, &next))) break;
  }
  while (right && end > begin) {
    const char32_t last = PreviousCodePoint(all, end);
    if (!IsWhitespace(last)) break;
    end -= Utf8Length(last);
  }
  text->text = text->text.substr(begin, end - begin);
  text->origin_bytes =
      std::min(text->origin_bytes - std::min(text->origin_bytes, begin), text->text.size());
}

NormalizerStep InForm(NormalForm form) {
  return [form](NormalizedText* text) {
    TransformBoth([form](absl::string_view part) { return Normalized(part, form); }, text);
  };
}

absl::StatusOr<NormalizerStep> ParsePrepend(const TokenizerJson& json) {
  ATTUNE_ASSIGN_OR_RETURN(std::string prefix, json.Field("prepend").AsString());
  return [prefix = std::move(prefix)](NormalizedText* text) { Prepend(prefix, text); };
}

absl::StatusOr<NormalizerStep> ParseReplace(const TokenizerJson& json, double* growth) {
  ATTUNE_ASSIGN_OR_RETURN(TextReplacement replacement, TextReplacement::Parse(json, growth));
  return [replacement = std::move(replacement)](NormalizedText* text) {
    ReplaceAll(replacement.pattern, replacement.content, text);
  };
}

absl::StatusOr<NormalizerStep> ParseByteLevel(const TokenizerJson& json, double* growth) {
  ATTUNE_RETURN_IF_ERROR(CountGrowth(json, 2, growth));
  return [](NormalizedText* text) { TransformBoth(InByteAlphabet, text); };
}

absl::StatusOr<NormalizerStep> ParseStrip(const TokenizerJson& json) {
  ATTUNE_ASSIGN_OR_RETURN(const bool left, json.Field("strip_left").AsBool());
  ATTUNE_ASSIGN_OR_RETURN(const bool right, json.Field("strip_right").AsBool());
  return [left, right](NormalizedText* text) { Strip(left, right, text); };
}

absl::StatusOr<NormalizerStep> ParseStep(const TokenizerJson& json, const std::string& type,
                                         double* growth) {
  if (type == "NFC") return InForm(NormalForm::kNfc);
  if (type == "NFD") return InForm(NormalForm::kNfd);
  if (type == "NFKC") return InForm(NormalForm::kNfkc);
  if (type == "NFKD") return InForm(NormalForm::kNfkd);
  if (type == "Lowercase") return [](NormalizedText* text) { TransformBoth(ToLowercase, text); };
  if (type == "StripAccents") {
    return [](NormalizedText* text) { TransformBoth(WithoutMarks, text); };
  }
  if (type == "ByteLevel") return ParseByteLevel(json, growth);
  if (type == "Prepend") return ParsePrepend(json);
  if (type == "Replace") return ParseReplace(json, growth);
  if (type == "Strip") return ParseStrip(json);
  return json.UnsupportedType(type, kSupported);
}

absl::Status AddComponent(const TokenizerJson& json, int depth, double* growth,
                          std::vector<NormalizerStep>* steps) {
  if (depth > kSequenceDepthMax) return json.Error("sequences nested too deep");
  ATTUNE_ASSIGN_OR_RETURN(const std::string type, json.Field("type").AsString());
  if (type != "Sequence") {
    ATTUNE_ASSIGN_OR_RETURN(NormalizerStep step, ParseStep(json, type, growth));
    steps->push_back(std::move(step));
    return absl::OkStatus();
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<TokenizerJson> members,
                          json.Field("normalizers").Elements());
  for (const TokenizerJson& member : members) {
    ATTUNE_RETURN_IF_ERROR(AddComponent(member, depth + 1, growth, steps));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Normalizer> Normalizer::Parse(const TokenizerJson& json) {
  Normalizer normalizer;
  double growth = 1;
  if (!json.IsMissing()) {
    ATTUNE_RETURN_IF_ERROR(AddComponent(json, 0, &growth, &normalizer.steps_));
  }
  return normalizer;
}

void Normalizer::Apply(NormalizedText* text) const {
  for (const NormalizerStep& step : steps_) step(text);
}

}  // namespace attune
