#include "coordinator/job_inputs.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/files.h"
#include "coordinator/calibration.h"
#include "coordinator/curriculum.h"
#include "coordinator/objective_spec.h"
#include "nlohmann/json.hpp"
#include "spec/dataset_file.h"
#include "spec/oracle_spec.h"

namespace attune {
namespace {

// `field` holds the path of a Hugging Face model, of which `files` must be there: lists of names of
// which one is enough.
void CheckModel(const std::string& field, const std::string& path,
                const std::vector<std::vector<std::string>>& files, Violations* violations) {
  const auto add = [&](const std::string& text) { violations->push_back({field, text}); };
  if (!DirectoryExists(path)) return add(absl::StrCat("is ", path, "; there is no such directory"));
  std::vector<std::string> missing;
  for (const std::vector<std::string>& names : files) {
    const bool found = std::any_of(names.begin(), names.end(), [&](const std::string& file) {
      return FileExists(JoinPath(path, file));
    });
    if (!found) missing.push_back(absl::StrJoin(names, " or "));
  }
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

// An oracle that compares responses with the dataset's answers has one for every prompt.
void CheckAnswersThere(const v1::JobSpec& spec, size_t without, Violations* violations) {
  if (without == 0) return;
  const auto check = [&](const std::string& field, const v1::OracleSpec& oracle) {
    if (!NeedsGold(oracle)) return;
    violations->push_back(
        {field, absl::StrCat("compares with the dataset's \"answer\" or \"gold\", but ", without,
                             " lines of ", spec.dataset().path(), " have none")});
  };
  check("oracle.kind", spec.oracle());
  for (int k = 0; k < spec.auxiliary_oracles_size(); ++k) {
    check(absl::StrCat("auxiliary_oracles[", k, "].oracle.kind"),
          spec.auxiliary_oracles(k).oracle());
  }
}

void CheckDomains(const v1::CurriculumSpec& curriculum, const Dataset& dataset,
                  Violations* violations) {
  if (curriculum.mixing() != v1::DOMAIN_MIXING_FIXED) return;
  std::set<std::string> unweighted, domains;
  for (const v1::Prompt& prompt : dataset.prompts) domains.insert(prompt.domain());
  unweighted = domains;
  for (int k = 0; k < curriculum.domain_weights_size(); ++k) {
    const std::string& domain = curriculum.domain_weights(k).domain();
    if (unweighted.erase(domain) > 0) continue;
    violations->push_back(
        {absl::StrCat("curriculum.domain_weights[", k, "].domain"),
         absl::StrCat("is '", domain, domains.count(domain) > 0
                                          ? "', which has a weight already"
                                          : "'; no row of the dataset has this domain")});
  }
  if (unweighted.empty()) return;
  violations->push_back({"curriculum.domain_weights",
                         absl::StrCat("has no weight for the domain '", *unweighted.begin(), "'")});
}

void CheckSequence(const v1::JobSpec& spec, const Dataset& dataset, Violations* violations) {
  if (spec.curriculum().mixing() != v1::DOMAIN_MIXING_SEQUENTIAL) return;
  const size_t domains = DomainOrder(spec, dataset).size();
  if (spec.rounds() >= domains) return;
  violations->push_back({"rounds", absl::StrCat("is ", spec.rounds(), "; must be at least ",
                                                domains, ", the number of domains, with "
                                                "curriculum.mixing sequential")});
}

// Whether every prompt has responses enough, where the dataset has to give them.
void CheckGiven(const v1::JobSpec& spec, const std::vector<v1::Prompt>& prompts,
                Violations* violations) {
  const auto add = [&](const std::string& text) {
    violations->push_back({"dataset.path", absl::StrCat("is ", spec.dataset().path(), text)});
  };
  if (spec.pairing().strategy() == v1::PAIRING_STRATEGY_GROUP) {
    const auto other = std::find_if(
        prompts.begin(), prompts.end(), [&](const v1::Prompt& prompt) {
          return prompt.given_size() != prompts.front().given_size();
        });
    if (other != prompts.end()) {
      add(absl::StrCat(", whose prompt ", other->index(), " has ", other->given_size(),
                       " responses of its own, and the first one ", prompts.front().given_size(),
                       "; groups are of one size"));
    }
  }
  if (spec.sampling().num_generations() > 0) return;
  const bool unpaired = spec.pairing().strategy() == v1::PAIRING_STRATEGY_UNPAIRED;
  size_t without = 0;
  size_t single = 0;
  for (const v1::Prompt& prompt : prompts) {
    const bool gold = spec.pairing().include_gold() && !prompt.gold().empty();
    if (prompt.given().empty()) ++without;
    if (prompt.given_size() == 1 && !gold) ++single;
  }
  if (without > 0) {
    add(absl::StrCat(", of which ", without, " of ", prompts.size(),
                     " rows have no responses; sampling.num_generations is 0, so that the dataset "
                     "must give them, as \"chosen\" and \"rejected\" for example"));
  } else if (single > 0 && !unpaired) {
    add(absl::StrCat(", of which ", single, " of ", prompts.size(), " rows have a single response; "
                     "use pairing.strategy: unpaired and objective.loss_type kto, bco or "
                     "apo_zero_unpaired"));
  }
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
  CheckGiven(spec, dataset->prompts, violations);
  const auto lacks = [&](const std::string& (v1::Prompt::*column)() const) {
    return std::count_if(dataset->prompts.begin(), dataset->prompts.end(),
                         [&](const v1::Prompt& prompt) { return (prompt.*column)().empty(); });
  };
  const size_t no_gold = lacks(&v1::Prompt::gold);
  const bool group = spec.pairing().strategy() == v1::PAIRING_STRATEGY_GROUP;
  if (spec.pairing().include_gold() && no_gold > 0 && (group || no_gold == prompts)) {
    const std::string which =
        no_gold == prompts ? absl::StrCat("no line of ", path, " has")
                           : absl::StrCat(no_gold, " lines of ", path, " have no");
    add("pairing.include_gold",
        absl::StrCat("is true, but ", which, " \"gold\" or \"answer\"",
                     group ? ", and groups are of one size" : ""));
  }
  CheckAnswersThere(spec, no_gold, violations);
  CheckDomains(spec.curriculum(), *dataset, violations);
  CheckSequence(spec, *dataset, violations);
  const LossNeeds needs = NeedsOf(spec.objective());
  const size_t no_corrupted = lacks(&v1::Prompt::corrupted);
  if ((needs.corrupted || needs.views) && no_corrupted > 0) {
    add("dataset.path", absl::StrCat("is ", path, ", of which ", no_corrupted,
                                     " lines have no \"corrupted\" prompt; realign and mcm_dpo "
                                     "need one on every line"));
  }
}

void CheckNotEmpty(const std::string& field, const std::string& path, Violations* violations) {
  const auto add = [&](const std::string& text) { violations->push_back({field, text}); };
  if (path.empty()) return;  // job_spec.cc demands it
  if (!FileExists(path)) return add(absl::StrCat("is ", path, "; there is no such file"));
  const absl::StatusOr<std::string> first = ReadFileRange(path, 0, 1);
  if (!first.ok()) return add(absl::StrCat("is ", path, "; ", first.status().message()));
  if (first->empty()) add(absl::StrCat("is ", path, ", which is empty"));
}

// With the options of the oracle.
void CheckPattern(const std::string& field, const std::string& pattern, Violations* violations) {
  if (pattern.empty()) return;  // job_spec.cc demands it
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                   PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr);
  if (code != nullptr) return pcre2_code_free(code);
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(error, text, sizeof(text));
  violations->push_back(
      {field, absl::StrCat("is '", pattern, "'; it does not compile at offset ", offset,
                                      ": ", reinterpret_cast<const char*>(text))});
}

// A model that scores responses, or that is asked about them.
void CheckOracleModel(const std::string& field, const std::string& path, Violations* violations) {
  if (path.empty()) return;  // job_spec.cc demands it
  CheckModel(field, path,
             {{"config.json"},
              {"model.safetensors", "model.safetensors.index.json"},
              {"tokenizer.json"}},
             violations);
}

void CheckCalibrationFile(const std::string& path, Violations* violations) {
  if (path.empty()) return;
  const absl::StatusOr<Dataset> labelled = LoadDataset(path);
  const absl::Status status = labelled.ok() ? CheckCalibration(*labelled) : labelled.status();
  if (status.ok()) return;
  violations->push_back(
      {"oracle.calibration", absl::StrCat("is ", path, "; it ", status.message())});
}

// `prefix` is "oracle." or that of an auxiliary one, or of a part.
void CheckOracleInputs(const std::string& prefix, const v1::OracleSpec& oracle,
                       Violations* violations) {
  const std::string path = absl::StrCat(prefix, "path");
  switch (oracle.kind()) {
    case v1::ORACLE_KIND_LEXICON:
    case v1::ORACLE_KIND_TABLE:
      CheckNotEmpty(path, oracle.path(), violations);
      break;
    case v1::ORACLE_KIND_REGEX:
      CheckPattern(absl::StrCat(prefix, "pattern"), oracle.pattern(), violations);
      break;
    case v1::ORACLE_KIND_IMPLICIT_REWARD:
      CheckOracleModel(absl::StrCat(prefix, "reference_path"), oracle.reference_path(), violations);
      [[fallthrough]];
    case v1::ORACLE_KIND_REWARD_MODEL:
    case v1::ORACLE_KIND_R3:
    case v1::ORACLE_KIND_LLM_JUDGE:
      CheckOracleModel(path, oracle.path(), violations);
      break;
    default:
      break;
  }
  for (int k = 0; k < oracle.parts_size(); ++k) {
    CheckOracleInputs(absl::StrCat(prefix, "parts[", k, "].oracle."), oracle.parts(k).oracle(),
                      violations);
  }
}

}  // namespace

std::vector<FieldViolation> CheckJobInputs(const v1::JobSpec& spec) {
  const std::vector<std::vector<std::string>> weights = {
      {"config.json"}, {"model.safetensors", "model.safetensors.index.json"}};
  Violations violations;
  if (spec.model().path().empty()) {
    violations.push_back({"model.path", "is required: the directory of a Hugging Face model"});
  } else {
    CheckModel("model.path", spec.model().path(), {weights[0], weights[1], {"tokenizer.json"}},
               &violations);
  }
  if (!spec.objective().reference_model().empty()) {
    CheckModel("objective.reference_model", spec.objective().reference_model(), weights,
               &violations);
  }
  CheckDataset(spec, &violations);
  CheckOracleInputs("oracle.", spec.oracle(), &violations);
  CheckCalibrationFile(spec.oracle().calibration(), &violations);
  for (int k = 0; k < spec.auxiliary_oracles_size(); ++k) {
    CheckOracleInputs(absl::StrCat("auxiliary_oracles[", k, "].oracle."),
                      spec.auxiliary_oracles(k).oracle(), &violations);
  }
  return violations;
}

}  // namespace attune
