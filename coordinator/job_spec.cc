#include "coordinator/job_spec.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/files.h"
#include "coordinator/job_inputs.h"
#include "coordinator/objective_spec.h"
#include "coordinator/pairing_spec.h"
#include "coordinator/presets.h"
#include "spec/oracle_spec.h"
#include "spec/spec_checks.h"

namespace attune {
namespace {

constexpr size_t kNameMax = 63;
constexpr int kAuxiliaryOraclesMax = 8;
constexpr int kStopTextsMax = 16;
constexpr size_t kStopTextBytesMax = 256;
constexpr int kTargetModulesMax = 64;

bool IsJobName(absl::string_view name) {
  return !name.empty() && name.size() <= kNameMax && absl::ascii_islower(name[0]) &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-';
         });
}

void CheckTop(const v1::JobSpec& spec, Violations* violations) {
  Block block("", violations);
  if (!IsJobName(spec.name())) {
    block.Add("name", absl::StrCat("is '", spec.name(), "'; must have 1 to ", kNameMax,
                                   " characters of a-z, 0-9 and '-', the first one a letter"));
  }
  CheckEnum("algorithm", spec.algorithm(), &block);
  block.Range("rounds", spec.rounds(), {1, 1000});
  block.Range("prompts_per_round", spec.prompts_per_round(), {1, 1e7});
}

void CheckStopTexts(const v1::SamplingSpec& sampling, Block* block) {
  if (sampling.stop_size() > kStopTextsMax) {
    block->Add("stop",
               absl::StrCat("has ", sampling.stop_size(), " texts; at most ", kStopTextsMax));
  }
  for (int k = 0; k < sampling.stop_size(); ++k) {
    const size_t bytes = sampling.stop(k).size();
    if (bytes >= 1 && bytes <= kStopTextBytesMax) continue;
    block->Add(absl::StrCat("stop[", k, "]"),
               absl::StrCat("has ", bytes, " bytes; must have 1 to ", kStopTextBytesMax));
  }
}

void CheckSampling(const v1::SamplingSpec& sampling, Violations* violations) {
  Block block("sampling.", violations);
  if (sampling.num_generations() != 0) {  // 0: responses of the dataset alone
    block.Range("num_generations", sampling.num_generations(), {2, 64});
  } else {
    constexpr char kWhy[] = "must be none with sampling.num_generations 0, which samples nothing";
    if (sampling.opponent() != v1::OPPONENT_NONE) block.Add("opponent", kWhy);
    if (sampling.quantization() == v1::QUANTIZATION_INT8) block.Add("quantization", kWhy);
  }
  if (sampling.temperature() != 0) {  // 0 is greedy; what is nearly 0 would overflow
    block.Range("temperature", sampling.temperature(), {1e-4, 10});
  }
  block.Range("top_p", sampling.top_p(), {0, 1, End::kExcluded});
  block.Range("top_k", sampling.top_k(), {0, 1e6});
  block.Range("max_new_tokens", sampling.max_new_tokens(), {1, 32768});
  CheckEnum("opponent", sampling.opponent(), &block);
  block.Range("mixture_coef", sampling.mixture_coef(), {0, 1});
  block.Range("min_p", sampling.min_p(), {0, 1});
  block.Range("repetition_penalty", sampling.repetition_penalty(), {0.01, 100});
  if (sampling.min_new_tokens() > sampling.max_new_tokens()) {
    block.Add("min_new_tokens", absl::StrCat("is ", sampling.min_new_tokens(),
                                             "; must be at most sampling.max_new_tokens, ",
                                             sampling.max_new_tokens()));
  }
  CheckStopTexts(sampling, &block);
  CheckEnum("quantization", sampling.quantization(), &block);
}

// Labels are those of the dataset's own responses.
void CheckDatasetOracle(const std::string& field, const v1::JobSpec& spec,
                        const v1::OracleSpec& oracle, Violations* violations) {
  if (oracle.kind() != v1::ORACLE_KIND_DATASET) return;
  Block block("", violations);
  constexpr char kWhy[] = "; oracle kind dataset knows the responses that the dataset gives alone";
  if (spec.sampling().num_generations() > 0) {
    block.Add(field, absl::StrCat("is dataset, but sampling.num_generations is ",
                                  spec.sampling().num_generations(), "; must be 0", kWhy));
  }
  if (spec.pairing().include_gold()) {
    block.Add(field,
              absl::StrCat("is dataset, but pairing.include_gold is true; must be false", kWhy));
  }
}

void CheckAuxiliaryOracles(const v1::JobSpec& spec, Violations* violations) {
  Block block("", violations);
  if (spec.auxiliary_oracles_size() > kAuxiliaryOraclesMax) {
    block.Add("auxiliary_oracles", absl::StrCat("has ", spec.auxiliary_oracles_size(),
                                                " oracles; at most ", kAuxiliaryOraclesMax));
  }
  for (int k = 0; k < spec.auxiliary_oracles_size(); ++k) {
    const v1::AuxiliaryOracleSpec& auxiliary = spec.auxiliary_oracles(k);
    const std::string name = absl::StrCat("auxiliary_oracles[", k, "].");
    CheckInnerOracle(absl::StrCat(name, "oracle."), auxiliary.oracle(), violations);
    CheckDatasetOracle(absl::StrCat(name, "oracle.kind"), spec, auxiliary.oracle(), violations);
    block.Range(absl::StrCat(name, "weight"), auxiliary.weight(), {0, 1e6});
  }
}

void CheckCurriculum(const v1::JobSpec& spec, Violations* violations) {
  const v1::CurriculumSpec& curriculum = spec.curriculum();
  Block block("curriculum.", violations);
  CheckEnum("mixing", curriculum.mixing(), &block);
  const bool fixed = curriculum.mixing() == v1::DOMAIN_MIXING_FIXED;
  if (fixed != (curriculum.domain_weights_size() > 0)) {
    block.Add("domain_weights",
              fixed ? "is required with mixing fixed" : "is given, but only mixing fixed has it");
  }
  for (int k = 0; k < curriculum.domain_weights_size(); ++k) {
    block.Range(absl::StrCat("domain_weights[", k, "].weight"),
                curriculum.domain_weights(k).weight(), {0, 1e6, End::kExcluded});
  }
  if (curriculum.mixing() == v1::DOMAIN_MIXING_GAIN && spec.evaluation().holdout_prompts() == 0) {
    block.Add("mixing",
              "is gain, which is measured on held-out prompts, but "
              "evaluation.holdout_prompts is 0");
  }
  block.Range("band_low", curriculum.band_low(), {0, 1e9});
  if (curriculum.has_band_high()) {
    block.Range("band_high", curriculum.band_high(), {curriculum.band_low(), 1e9});
  }
  block.Range("judged_share", curriculum.judged_share(), {0, 1, End::kExcluded});
}

bool IsModuleName(absl::string_view name) {
  return !name.empty() && name.size() <= kNameMax &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return absl::ascii_isalnum(c) || c == '_'; });
}

// Whether the model has the modules is for the trainers to see.
void CheckLora(const v1::LoraSpec& lora, Violations* violations) {
  Block block("training.lora.", violations);
  block.Range("r", lora.r(), {1, 1024});
  block.Range("lora_alpha", lora.lora_alpha(), {0, 1e6, End::kExcluded});
  const auto& modules = lora.target_modules();
  if (modules.size() > kTargetModulesMax) {
    block.Add("target_modules", absl::StrCat("has ", modules.size(), " names; at most ",
                                             kTargetModulesMax));
  }
  for (auto name = modules.begin(); name != modules.end(); ++name) {
    if (!IsModuleName(*name)) {
      block.Add("target_modules", absl::StrCat("has '", *name, "'; must be the last part of a "
                                               "weight's name, such as q_proj"));
    } else if (std::find(modules.begin(), name, *name) != name) {
      block.Add("target_modules", absl::StrCat("has ", *name, " twice"));
    }
  }
}

void CheckTraining(const v1::TrainingSpec& training, Violations* violations) {
  Block block("training.", violations);
  const Limits share = {0, 1, End::kIncluded, End::kExcluded};
  block.Range("learning_rate", training.learning_rate(), {0, 1, End::kExcluded});
  block.Range("per_device_train_batch_size", training.per_device_train_batch_size(), {1, 4096});
  block.Range("gradient_accumulation_steps", training.gradient_accumulation_steps(), {1, 4096});
  block.Range("num_train_epochs", training.num_train_epochs(), {1, 100});
  block.Range("max_grad_norm", training.max_grad_norm(), {0, 1e6});
  CheckEnum("lr_scheduler_type", training.lr_scheduler_type(), &block);
  CheckEnum("lr_scheduler_span", training.lr_scheduler_span(), &block);
  block.Range("warmup_ratio", training.warmup_ratio(), share);
  block.Range("weight_decay", training.weight_decay(), {0, 1});
  block.Range("adam_beta1", training.adam_beta1(), share);
  block.Range("adam_beta2", training.adam_beta2(), share);
  block.Range("adam_epsilon", training.adam_epsilon(), {0, 1, End::kExcluded});
  if (training.zero_stage() > 1) {
    block.Add("zero_stage", absl::StrCat("is ", training.zero_stage(),
                                         "; not supported by this build; use 0 or 1"));
  }
  CheckEnum("precision", training.precision(), &block);
  CheckEnum("optim", training.optim(), &block);
  if (training.has_lora()) CheckLora(training.lora(), violations);
}

void CheckEvaluation(const v1::JobSpec& spec, Violations* violations) {
  const v1::EvaluationSpec& evaluation = spec.evaluation();
  Block block("evaluation.", violations);
  block.Range("holdout_prompts", evaluation.holdout_prompts(), {0, 100000});
  CheckEnum("gate", evaluation.gate(), &block);
  block.Range("gate_win_rate", evaluation.gate_win_rate(), {0, 1});
  if (evaluation.gate() != v1::GATE_CONTINUE && evaluation.holdout_prompts() == 0) {
    block.Add("gate", absl::StrCat("is ", EnumName(evaluation.gate()),
                                   ", which needs evaluation.holdout_prompts above 0"));
  }
  if (evaluation.gate() != v1::GATE_CONTINUE && spec.oracle().kind() == v1::ORACLE_KIND_DATASET) {
    block.Add("gate", absl::StrCat("is ", EnumName(evaluation.gate()),
                                   ", which compares responses that are sampled; the oracle "
                                   "dataset has labels for its own alone"));
  }
}

void CheckRest(const v1::JobSpec& spec, Violations* violations) {
  Block block("", violations);
  block.Range("checkpoint.save_total_limit", spec.checkpoint().save_total_limit(), {1, 1000});
  if (spec.pipeline().max_staleness() > 0) {
    block.Add("pipeline.max_staleness", absl::StrCat("is ", spec.pipeline().max_staleness(),
                                                     "; not supported by this build; use 0"));
  }
}

// Absolute and without a slash at the end; an empty path stays empty.
void MakeAbsolute(std::string* path, const std::string& model_root) {
  if (path->empty()) return;
  *path = AbsolutePath(*path, model_root);
  while (path->size() > 1 && path->back() == '/') path->pop_back();
}

}  // namespace

ResolvedJobSpec ResolveJobSpec(const v1::JobSpec& submitted, const std::string& model_root) {
  ResolvedJobSpec resolved{WithPresetAndDefaults(submitted), {}};
  v1::JobSpec& spec = resolved.spec;
  MakeAbsolute(spec.mutable_model()->mutable_path(), model_root);
  MakeAbsolute(spec.mutable_dataset()->mutable_path(), model_root);
  const auto make_absolute = [&](const std::string&, std::string* path) {
    MakeAbsolute(path, model_root);
  };
  if (spec.has_oracle()) VisitOraclePaths("", spec.mutable_oracle(), make_absolute);
  for (v1::AuxiliaryOracleSpec& auxiliary : *spec.mutable_auxiliary_oracles()) {
    VisitOraclePaths("", auxiliary.mutable_oracle(), make_absolute);
  }
  MakeAbsolute(spec.mutable_objective()->mutable_reference_model(), model_root);
  CheckTop(spec, &resolved.violations);
  CheckSampling(spec.sampling(), &resolved.violations);
  CheckOracle("oracle.", spec.oracle(), &resolved.violations);
  CheckDatasetOracle("oracle.kind", spec, spec.oracle(), &resolved.violations);
  CheckAuxiliaryOracles(spec, &resolved.violations);
  CheckCurriculum(spec, &resolved.violations);
  CheckPairing(spec, &resolved.violations);
  CheckObjective(spec, &resolved.violations);
  CheckTraining(spec.training(), &resolved.violations);
  CheckEvaluation(spec, &resolved.violations);
  CheckRest(spec, &resolved.violations);
  const Violations inputs = CheckJobInputs(spec);
  resolved.violations.insert(resolved.violations.end(), inputs.begin(), inputs.end());
  return resolved;
}

}  // namespace attune
