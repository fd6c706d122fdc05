#include "model/tokenizer/post_processor.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"

namespace attune {

absl::StatusOr<PostProcessor> PostProcessor::Parse(const TokenizerJson& json) {
  PostProcessor processor;
  if (!json.IsMissing()) ATTUNE_RETURN_IF_ERROR(processor.Add(json, 0));
  return processor;
}

PostProcessor PostProcessor::Around(std::vector<int32_t> begin, std::vector<int32_t> end) {
  PostProcessor processor;
  processor.templates_.push_back({{false, std::move(begin)}, {true, {}}, {false, std::move(end)}});
  return processor;
}

int32_t PostProcessor::largest_id() const {
  int32_t largest = -1;
  for (const Template& parts : templates_) {
    for (const Part& part : parts) {
      for (int32_t id : part.special_ids) largest = std::max(largest, id);
    }
  }
  return largest;
}

std::vector<int32_t> PostProcessor::Apply(std::vector<int32_t> ids, bool add_special_tokens) const {
  for (const Template& parts : templates_) {
    std::vector<int32_t> processed;
    for (const Part& part : parts) {
      const std::vector<int32_t>& added = part.is_text ? ids : part.special_ids;
      if (!part.is_text && !add_special_tokens) continue;
      processed.insert(processed.end(), added.begin(), added.end());
    }
    ids = std::move(processed);
  }
  return ids;
}

absl::Status PostProcessor::Add(const TokenizerJson& json, int depth) {
  if (depth > kSequenceDepthMax) return json.Error("sequences nested too deep");
  ATTUNE_ASSIGN_OR_RETURN(const std::string type, json.Field("type").AsString());
  if (type == "ByteLevel") return absl::OkStatus();  // concerns offsets, which we do not report
  if (type == "TemplateProcessing") {
    ATTUNE_ASSIGN_OR_RETURN(Template parts, ParseTemplate(json));
    templates_.push_back(std::move(parts));
    return absl::OkStatus();
  }
  if (type != "Sequence") {
    return json.UnsupportedType(type, "Sequence, TemplateProcessing, ByteLevel");
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<TokenizerJson> members,
                          json.Field("processors").Elements());
  for (const TokenizerJson& member : members) ATTUNE_RETURN_IF_ERROR(Add(member, depth + 1));
  return absl::OkStatus();
}

absl::StatusOr<PostProcessor::Template> PostProcessor::ParseTemplate(const TokenizerJson& json) {
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<TokenizerJson> pieces, json.Field("single").Elements());
  Template parts;
  for (const TokenizerJson& piece : pieces) {
    ATTUNE_ASSIGN_OR_RETURN(Part part, ParsePart(piece, json.Field("special_tokens")));
    parts.push_back(std::move(part));
  }
  const auto texts =
      std::count_if(parts.begin(), parts.end(), [](const Part& part) { return part.is_text; });
  if (texts != 1) {
    return json.Field("single").Error(
        absl::StrCat("has sequence A ", texts, " times; only 1 is supported"));
  }
  return parts;
}

absl::StatusOr<PostProcessor::Part> PostProcessor::ParsePart(const TokenizerJson& json,
                                                             const TokenizerJson& special_tokens) {
  if (const TokenizerJson sequence = json.Field("Sequence"); !sequence.IsMissing()) {
    ATTUNE_ASSIGN_OR_RETURN(const std::string id, sequence.Field("id").AsString());
    if (id != "A") return sequence.Error("a template for a single text must use sequence A only");
    return Part{true, {}};
  }
  const TokenizerJson special = json.Field("SpecialToken");
  if (special.IsMissing()) return json.Error("expected a 'Sequence' or a 'SpecialToken'");
  ATTUNE_ASSIGN_OR_RETURN(const std::string name, special.Field("id").AsString());
  const TokenizerJson token = special_tokens.Field(name);
  if (token.IsMissing()) {
    return special.Error(absl::StrCat("'", name, "' is not among the special_tokens"));
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<TokenizerJson> ids, token.Field("ids").Elements());
  Part part{false, {}};
  for (const TokenizerJson& id : ids) {
    ATTUNE_ASSIGN_OR_RETURN(const int64_t value, id.AsInteger(std::numeric_limits<int32_t>::max()));
    part.special_ids.push_back(static_cast<int32_t>(value));
  }
  return part;
}

}  // namespace attune
