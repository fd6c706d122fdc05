#include "model/tokenizer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/status_macros.h"
#include "model/added_tokens.h"
#include "model/bpe.h"
#include "model/normalizer.h"
#include "model/post_processor.h"
#include "model/pre_tokenizer.h"
#include "model/token_decoder.h"
#include "model/tokenizer_json.h"
#include "model/utf8.h"
#include "nlohmann/json.hpp"

namespace attune {
namespace {

// "truncation" and "padding" of the file are left out: they shape batches, and training and
// sampling decide about lengths themselves.
struct Parts {
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  std::unique_ptr<const Bpe> model;
  AddedTokens added_tokens;
  PostProcessor post_processor;
  TokenDecoder decoder;
};

class JsonTokenizer : public Tokenizer {
 public:
  explicit JsonTokenizer(Parts parts) : parts_(std::move(parts)) {}

  std::vector<int32_t> Encode(absl::string_view text, bool add_special_tokens) const override {
    std::string repaired;
    if (!IsValidUtf8(text)) {
      repaired = ToValidUtf8(text);
      text = repaired;
    }
    std::vector<int32_t> ids;
    Bpe::Workspace workspace;
    for (const AddedSpan& part : parts_.added_tokens.SplitRaw(text)) {
      if (part.id != kNotAdded) {
        ids.push_back(part.id);
        continue;
      }
      NormalizedText stretch;
      stretch.text = std::string(text.substr(part.span.begin, part.span.size()));
      if (part.span.begin == 0) {
        stretch.origin_bytes = SequenceLength(static_cast<unsigned char>(text[0]));
      }
      EncodeStretch(std::move(stretch), &workspace, &ids);
    }
    return parts_.post_processor.Apply(std::move(ids), add_special_tokens);
  }

  std::string Decode(absl::Span<const int32_t> ids, bool skip_special_tokens) const override {
    std::vector<std::string> tokens;
    tokens.reserve(ids.size());
    for (int32_t id : ids) {
      const std::string* token = parts_.added_tokens.TokenOf(id);
      if (token == nullptr) token = parts_.model->TokenOf(id);
      if (token == nullptr) continue;
      if (skip_special_tokens && parts_.added_tokens.IsSpecial(*token)) continue;
      tokens.push_back(*token);
    }
    return parts_.decoder.Apply(std::move(tokens));
  }

  int64_t vocab_size() const override {
    return std::max(parts_.model->id_end(), parts_.added_tokens.id_end());
  }

 private:
  // A stretch of the input between added tokens that are looked for before normalisation.
  void EncodeStretch(NormalizedText stretch, Bpe::Workspace* workspace,
                     std::vector<int32_t>* ids) const {
    parts_.normalizer.Apply(&stretch);
    for (const AddedSpan& part : parts_.added_tokens.SplitNormalized(stretch.text)) {
      if (part.id != kNotAdded) {
        ids->push_back(part.id);
        continue;
      }
      NormalizedText rest;
      rest.text = stretch.text.substr(part.span.begin, part.span.size());
      rest.origin_bytes = std::min(
          rest.text.size(),
          stretch.origin_bytes - std::min(stretch.origin_bytes, part.span.begin));
      const TextPieces pieces = parts_.pre_tokenizer.Apply(std::move(rest));
      const absl::string_view text = pieces.whole.text;
      for (const TextSpan& piece : pieces.pieces) {
        parts_.model->Encode(text.substr(piece.begin, piece.size()), workspace, ids);
      }
    }
  }

  const Parts parts_;
};

absl::StatusOr<Parts> ParseParts(const nlohmann::json& document) {
  const TokenizerJson json(&document, "");
  if (!document.is_object()) return absl::InvalidArgumentError("not a JSON object");
  ATTUNE_ASSIGN_OR_RETURN(const std::string version, json.Field("version").AsStringOr("1.0"));
  if (version != "1.0") {
    return json.Field("version").Error(
        absl::StrCat("version '", version, "' is not supported, only '1.0'"));
  }
  Parts parts;
  ATTUNE_ASSIGN_OR_RETURN(parts.normalizer, Normalizer::Parse(json.Field("normalizer")));
  ATTUNE_ASSIGN_OR_RETURN(parts.pre_tokenizer, PreTokenizer::Parse(json.Field("pre_tokenizer")));
  ATTUNE_ASSIGN_OR_RETURN(parts.post_processor,
                          PostProcessor::Parse(json.Field("post_processor")));
  ATTUNE_ASSIGN_OR_RETURN(parts.decoder, TokenDecoder::Parse(json.Field("decoder")));
  ATTUNE_ASSIGN_OR_RETURN(parts.model, Bpe::Parse(json.Field("model")));
  ATTUNE_ASSIGN_OR_RETURN(
      parts.added_tokens,
      AddedTokens::Parse(json.Field("added_tokens"), *parts.model, parts.normalizer));
  return parts;
}

bool BeginsWith(absl::Span<const int32_t> ids, absl::Span<const int32_t> head) {
  return ids.size() >= head.size() && std::equal(head.begin(), head.end(), ids.begin());
}

}  // namespace

absl::StatusOr<std::unique_ptr<const Tokenizer>> Tokenizer::Load(const std::string& directory) {
  const std::string path = JoinPath(directory, "tokenizer.json");
  ATTUNE_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  const nlohmann::json document =
      nlohmann::json::parse(bytes, /*cb=*/nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": not valid JSON"));
  }
  absl::StatusOr<Parts> parts = ParseParts(document);
  if (!parts.ok()) return Annotate(parts.status(), path);
  return std::make_unique<const JsonTokenizer>(*std::move(parts));
}

std::vector<int32_t> EncodeCompletion(const Tokenizer& tokenizer, absl::string_view prompt,
                                      absl::Span<const int32_t> prompt_ids,
                                      absl::string_view completion) {
  const std::string joint = absl::StrCat(prompt, completion);
  const std::vector<int32_t> plain = tokenizer.Encode(joint, /*add_special_tokens=*/false);
  if (BeginsWith(plain, prompt_ids)) {
    return {plain.begin() + static_cast<ptrdiff_t>(prompt_ids.size()), plain.end()};
  }
  // The prompt may have been given special tokens in front, for example <s>. Those that the
  // post-processor would put behind the text are no part of the completion.
  const std::vector<int32_t> full = tokenizer.Encode(joint, /*add_special_tokens=*/true);
  const auto text = std::search(full.begin(), full.end(), plain.begin(), plain.end());
  if (text != full.end() && BeginsWith(full, prompt_ids)) {
    const auto text_end = text + static_cast<ptrdiff_t>(plain.size());
    const auto completion_begin = full.begin() + static_cast<ptrdiff_t>(prompt_ids.size());
    if (completion_begin <= text_end) return {completion_begin, text_end};
  }
  return tokenizer.Encode(completion, /*add_special_tokens=*/false);
}

std::string DecodeCompletion(const Tokenizer& tokenizer, absl::Span<const int32_t> prompt_ids,
                             absl::Span<const int32_t> completion_ids,
                             absl::Span<const int32_t> eos_ids) {
  const bool ended = !completion_ids.empty() &&
                     std::count(eos_ids.begin(), eos_ids.end(), completion_ids.back()) > 0;
  if (ended) completion_ids.remove_suffix(1);
  std::vector<int32_t> all(prompt_ids.begin(), prompt_ids.end());
  all.insert(all.end(), completion_ids.begin(), completion_ids.end());
  const std::string head = tokenizer.Decode(prompt_ids, /*skip_special_tokens=*/true);
  const std::string text = tokenizer.Decode(all, /*skip_special_tokens=*/true);
  if (text.compare(0, head.size(), head) == 0) return text.substr(head.size());
  // The prompt ends within a character; the completion stands alone.
  return tokenizer.Decode(completion_ids, /*skip_special_tokens=*/true);
}

}  // namespace attune
