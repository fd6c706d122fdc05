#include "coordinator/job_inputs.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/files.h"
#include "coordinator/dataset.h"
#include "nlohmann/json.hpp"

namespace attune {
namespace {

using Violations = std::vector<FieldViolation>;

void CheckModel(const std::string& path, Violations* violations) {
  const auto add = [&](const std::string& text) { violations->push_back({"model.path", text}); };
  if (path.empty()) return add("is required: the directory of a Hugging Face model");
  if (!DirectoryExists(path)) return add(absl::StrCat("is ", path, "; there is no such directory"));
  std::vector<std::string> missing;
  const auto need = [&](const std::vector<std::string>& files) {
    const bool found = std::any_of(files.begin(), files.end(), [&](const std::string& file) {
      return FileExists(JoinPath(path, file));
    });
    if (!found) missing.push_back(absl::StrJoin(files, " or "));
  };
  need({"config.json"});
  need({"model.safetensors", "model.safetensors.index.json"});
  need({"tokenizer.json"});
  if (!missing.empty()) {
    add(absl::StrCat("is ", path, "; it has no ", absl::StrJoin(missing, ", no "),
                     "; attune inspect --model ", path, " tells what to do"));
  }
}

// Whether rollout workers will find one; what it says is theirs to judge.
bool HasChatTemplate(const std::string& model) {
  for (const char* file : {"chat_template.jinja", "chat_template.json"}) {
    if (FileExists(JoinPath(model, file))) return true;
  }
  const absl::StatusOr<std::string> bytes = ReadFile(JoinPath(model, "tokenizer_config.json"));
  if (!bytes.ok()) return false;
  const auto config = nlohmann::json::parse(*bytes, /*cb=*/nullptr, /*allow_exceptions=*/false);
  return config.is_object() && config.contains("chat_template") &&
         !config["chat_template"].is_null();
}

void CheckDataset(const v1::JobSpec& spec, Violations* violations) {
  const auto add = [&](const std::string& field, const std::string& text) {
    violations->push_back({field, text});
  };
  const std::string& path = spec.dataset().path();
  if (path.empty()) return add("dataset.path", "is required: a file of JSON lines");
  const absl::StatusOr<Dataset> dataset = LoadDataset(path);
  if (!dataset.ok()) return add("dataset.path", std::string(dataset.status().message()));
  const size_t prompts = dataset->prompts.size();
  const uint32_t holdout = spec.evaluation().holdout_prompts();
  if (prompts <= holdout) {
    add("dataset.path", absl::StrCat("is ", path, " with ", prompts,
                                     " prompts; must be more than evaluation.holdout_prompts, ",
                                     holdout, ", which are never trained on"));
  }
  const bool has_messages =
      std::any_of(dataset->prompts.begin(), dataset->prompts.end(),
                  [](const v1::Prompt& prompt) { return !prompt.messages().empty(); });
  if (has_messages && DirectoryExists(spec.model().path()) &&
      !HasChatTemplate(spec.model().path())) {
    add("dataset.path",
        absl::StrCat("is ", path, " with \"messages\", but the model ", spec.model().path(),
                     " has no chat template; give \"prompt\", or add a "
                     "chat_template.jinja to the model"));
  }
  const bool has_gold =
      std::any_of(dataset->prompts.begin(), dataset->prompts.end(),
                  [](const v1::Prompt& prompt) { return !prompt.gold().empty(); });
  if (spec.pairing().include_gold() && !has_gold) {
    add("pairing.include_gold",
        absl::StrCat("is true, but no line of ", path, " has \"gold\" or \"answer\""));
  }
}

void CheckLexicon(const std::string& path, Violations* violations) {
  const auto add = [&](const std::string& text) { violations->push_back({"oracle.path", text}); };
  if (path.empty()) return;  // job_spec.cc demands it
  if (!FileExists(path)) return add(absl::StrCat("is ", path, "; there is no such file"));
  const absl::StatusOr<std::string> first = ReadFileRange(path, 0, 1);
  if (!first.ok()) return add(absl::StrCat("is ", path, "; ", first.status().message()));
  if (first->empty()) add(absl::StrCat("is ", path, ", which is empty"));
}

// With the options of the oracle.
void CheckPattern(const std::string& pattern, Violations* violations) {
  if (pattern.empty()) return;  // job_spec.cc demands it
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                   PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr);
  if (code != nullptr) return pcre2_code_free(code);
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(error, text, sizeof(text));
  violations->push_back(
      {"oracle.pattern", absl::StrCat("is '", pattern, "'; it does not compile at offset ", offset,
                                      ": ", reinterpret_cast<const char*>(text))});
}

}  // namespace

std::vector<FieldViolation> CheckJobInputs(const v1::JobSpec& spec) {
  Violations violations;
  CheckModel(spec.model().path(), &violations);
  CheckDataset(spec, &violations);
  if (spec.oracle().kind() == v1::ORACLE_KIND_LEXICON) {
    CheckLexicon(spec.oracle().path(), &violations);
  }
  if (spec.oracle().kind() == v1::ORACLE_KIND_REGEX) {
    CheckPattern(spec.oracle().pattern(), &violations);
  }
  return violations;
}

}  // namespace attune
