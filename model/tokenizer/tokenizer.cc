#include "model/tokenizer/tokenizer.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/files.h"
#include "common/status_macros.h"
#include "model/strict_json.h"
#include "model/tokenizer/added_tokens.h"
#include "model/tokenizer/bpe.h"
#include "model/tokenizer/normalizer.h"
#include "model/tokenizer/post_processor.h"
#include "model/tokenizer/pre_tokenizer.h"
#include "model/tokenizer/token_decoder.h"
#include "model/tokenizer/tokenizer_json.h"
#include "model/tokenizer/utf8.h"
#include "model/tokenizer/word_level.h"
#include "nlohmann/json.hpp"

namespace attune {
namespace {

using TokenModel = std::variant<Bpe, WordLevel>;

const Vocabulary& VocabularyOf(const TokenModel& model) {
  return std::visit([](const auto& one) -> const Vocabulary& { return one.vocabulary(); }, model);
}

// "truncation" and "padding" of the file are left out: they shape batches, and training and
// sampling decide about lengths themselves.
struct Parts {
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  TokenModel model;
  AddedTokens added_tokens;
  PostProcessor post_processor;
  TokenDecoder decoder;
};

int64_t VocabSize(const Parts& parts) {
  return std::max(VocabularyOf(parts.model).id_end(), parts.added_tokens.id_end());
}

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
      const std::string* token = DecodedToken(id, skip_special_tokens);
      if (token != nullptr) tokens.push_back(*token);
    }
    return parts_.decoder.Apply(std::move(tokens));
  }

  std::unique_ptr<Decoding> StartDecoding(bool skip_special_tokens) const override {
    return std::make_unique<JsonDecoding>(this, skip_special_tokens);
  }

  int64_t vocab_size() const override { return VocabSize(parts_); }

 private:
  class JsonDecoding : public Decoding {
   public:
    JsonDecoding(const JsonTokenizer* tokenizer, bool skip_special_tokens)
        : tokenizer_(tokenizer),
          skip_special_tokens_(skip_special_tokens),
          stream_(&tokenizer->parts_.decoder) {}

    std::string Push(int32_t id) override {
      const std::string* token = tokenizer_->DecodedToken(id, skip_special_tokens_);
      return token == nullptr ? "" : stream_.Push(*token);
    }
    std::string Finish() override { return stream_.Finish(); }

   private:
    const JsonTokenizer* const tokenizer_;
    const bool skip_special_tokens_;
    TokenDecoder::Stream stream_;
  };

  // Null if `id` is out of range or a special token to be skipped.
  const std::string* DecodedToken(int32_t id, bool skip_special_tokens) const {
    const std::string* token = parts_.added_tokens.TokenOf(id);
    if (token == nullptr) token = VocabularyOf(parts_.model).TokenOf(id);
    if (token == nullptr) return nullptr;
    return skip_special_tokens && parts_.added_tokens.IsSpecial(*token) ? nullptr : token;
  }

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
          rest.text.size(), stretch.origin_bytes - std::min(stretch.origin_bytes, part.span.begin));
      const TextPieces pieces = parts_.pre_tokenizer.Apply(std::move(rest));
      const absl::string_view text = pieces.whole.text;
      for (const TextSpan& piece : pieces.pieces) {
        EncodePiece(text.substr(piece.begin, piece.size()), workspace, ids);
      }
    }
  }

  void EncodePiece(absl::string_view piece, Bpe::Workspace* workspace,
                   std::vector<int32_t>* ids) const {
    if (const Bpe* bpe = std::get_if<Bpe>(&parts_.model)) {
      bpe->Encode(piece, workspace, ids);
    } else {
      std::get<WordLevel>(parts_.model).Encode(piece, ids);
    }
  }

  const Parts parts_;
};

absl::StatusOr<TokenModel> ParseModel(const TokenizerJson& json) {
  std::string type = "BPE";
  // Early files have no type; only byte-pair encoding has merges.
  if (!json.Field("type").IsMissing() || json.Field("merges").IsMissing()) {
    ATTUNE_ASSIGN_OR_RETURN(type, json.Field("type").AsString());
  }
  if (type == "BPE") return Bpe::Parse(json);
  if (type == "WordLevel") return WordLevel::Parse(json);
  return json.UnsupportedType(type, "BPE, WordLevel");
}

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
  ATTUNE_ASSIGN_OR_RETURN(parts.post_processor, PostProcessor::Parse(json.Field("post_processor")));
  ATTUNE_ASSIGN_OR_RETURN(parts.decoder, TokenDecoder::Parse(json.Field("decoder")));
  ATTUNE_ASSIGN_OR_RETURN(parts.model, ParseModel(json.Field("model")));
  ATTUNE_ASSIGN_OR_RETURN(
      parts.added_tokens,
      AddedTokens::Parse(json.Field("added_tokens"), VocabularyOf(parts.model), parts.normalizer));
  if (parts.post_processor.largest_id() >= VocabSize(parts)) {
    return json.Field("post_processor")
        .Error(absl::StrCat("adds token ", parts.post_processor.largest_id(),
                            ", but the vocabulary ends at ", VocabSize(parts) - 1));
  }
  return parts;
}

// A token in tokenizer_config.json is a string or {"content": ...}.
absl::StatusOr<std::string> TokenIn(const TokenizerJson& json) {
  return (json.value().is_object() ? json.Field("content") : json).AsString();
}

// The ids of the token `name` if `flag` says that it is to be added.
absl::StatusOr<std::vector<int32_t>> IdsIfWanted(const TokenizerJson& config,
                                                 absl::string_view flag, absl::string_view name,
                                                 const Parts& parts) {
  const bool by_default = flag == "add_bos_token";
  ATTUNE_ASSIGN_OR_RETURN(const bool wanted, config.Field(flag).AsBoolOr(by_default));
  if (!wanted) return std::vector<int32_t>{};
  ATTUNE_ASSIGN_OR_RETURN(const std::string token, TokenIn(config.Field(name)));
  std::optional<int32_t> id = parts.added_tokens.IdOf(token);
  if (!id.has_value()) id = VocabularyOf(parts.model).IdOf(token);
  if (!id.has_value()) {
    return config.Field(name).Error(
        absl::StrCat("'", token, "' is no token, but ", flag, " is on"));
  }
  return std::vector<int32_t>{*id};
}

// The classes of transformers that make the post-processor anew from add_bos_token, add_eos_token.
bool RebuildsPostProcessor(absl::string_view tokenizer_class) {
  absl::ConsumeSuffix(&tokenizer_class, "Fast");
  return tokenizer_class == "LlamaTokenizer" || tokenizer_class == "CodeLlamaTokenizer" ||
         tokenizer_class == "GemmaTokenizer";
}

absl::Status ApplyConfig(const nlohmann::json& document, Parts* parts) {
  const TokenizerJson config(&document, "");
  ATTUNE_ASSIGN_OR_RETURN(const std::string tokenizer_class,
                          config.Field("tokenizer_class").AsStringOr(""));
  const bool says_what_to_add =
      !config.Field("add_bos_token").IsMissing() || !config.Field("add_eos_token").IsMissing();
  if (!RebuildsPostProcessor(tokenizer_class) || !says_what_to_add) return absl::OkStatus();
  ATTUNE_ASSIGN_OR_RETURN(std::vector<int32_t> begin,
                          IdsIfWanted(config, "add_bos_token", "bos_token", *parts));
  ATTUNE_ASSIGN_OR_RETURN(std::vector<int32_t> end,
                          IdsIfWanted(config, "add_eos_token", "eos_token", *parts));
  parts->post_processor = PostProcessor::Around(std::move(begin), std::move(end));
  return absl::OkStatus();
}

absl::StatusOr<nlohmann::json> ReadJson(const std::string& path) {
  ATTUNE_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  absl::StatusOr<nlohmann::json> document = ParseStrictJson(bytes);
  if (!document.ok()) return Annotate(document.status(), path);
  return document;
}

bool BeginsWith(absl::Span<const int32_t> ids, absl::Span<const int32_t> head) {
  return ids.size() >= head.size() && std::equal(head.begin(), head.end(), ids.begin());
}

}  // namespace

absl::StatusOr<std::unique_ptr<const Tokenizer>> Tokenizer::Load(const std::string& directory) {
  const std::string path = JoinPath(directory, "tokenizer.json");
  ATTUNE_ASSIGN_OR_RETURN(const nlohmann::json document, ReadJson(path));
  absl::StatusOr<Parts> parts = ParseParts(document);
  if (!parts.ok()) return Annotate(parts.status(), path);
  if (const std::string config = JoinPath(directory, "tokenizer_config.json"); FileExists(config)) {
    ATTUNE_ASSIGN_OR_RETURN(const nlohmann::json fields, ReadJson(config));
    if (absl::Status status = ApplyConfig(fields, &*parts); !status.ok()) {
      return Annotate(status, config);
    }
  }
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
