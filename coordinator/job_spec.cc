#include "coordinator/job_spec.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "common/files.h"
#include "coordinator/job_inputs.h"
#include "coordinator/presets.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/generated_enum_reflection.h"

namespace attune {
namespace {

using Violations = std::vector<FieldViolation>;

constexpr size_t kNameMax = 63;

enum class End { kIncluded, kExcluded };

struct Limits {
  double low;
  double high;
  End low_end = End::kIncluded;
  End high_end = End::kIncluded;
};

std::string Number(double value) { return absl::StrFormat("%.12g", value); }

std::string Describe(const Limits& limits) {
  const std::string low = Number(limits.low);
  const std::string high = Number(limits.high);
  if (limits.low_end == End::kIncluded && limits.high_end == End::kIncluded) {
    return absl::StrCat("between ", low, " and ", high);
  }
  return absl::StrCat(limits.low_end == End::kIncluded ? "at least " : "above ", low, " and ",
                      limits.high_end == End::kIncluded ? "at most " : "below ", high);
}

// Written so that NaN fails.
bool IsWithin(double value, const Limits& limits) {
  const bool low = limits.low_end == End::kIncluded ? value >= limits.low : value > limits.low;
  const bool high = limits.high_end == End::kIncluded ? value <= limits.high : value < limits.high;
  return low && high;
}

// Collects problems of the fields of one block: "training." and a field's name.
class Block {
 public:
  Block(std::string prefix, Violations* violations)
      : prefix_(std::move(prefix)), violations_(violations) {}

  void Add(absl::string_view field, std::string description) {
    violations_->push_back({absl::StrCat(prefix_, field), std::move(description)});
  }

  void Range(absl::string_view field, double value, const Limits& limits) {
    if (IsWithin(value, limits)) return;
    Add(field, absl::StrCat("is ", Number(value), "; must be ", Describe(limits)));
  }

 private:
  const std::string prefix_;
  Violations* const violations_;
};

// The values of an enum as they are written in job files: LOSS_TYPE_DNO of LossType is "dno".
template <typename Enum>
std::vector<std::string> EnumNames() {
  const auto* descriptor = google::protobuf::GetEnumDescriptor<Enum>();
  const size_t prefix = descriptor->FindValueByNumber(0)->name().size() - sizeof("UNSPECIFIED") + 1;
  std::vector<std::string> names;
  for (int i = 1; i < descriptor->value_count(); ++i) {
    names.push_back(absl::AsciiStrToLower(descriptor->value(i)->name().substr(prefix)));
  }
  return names;
}

// Refuses "unspecified" (left out, and no default) and numbers that the enum does not have.
template <typename Enum>
void CheckEnum(absl::string_view field, Enum value, Block* block) {
  const auto* known = google::protobuf::GetEnumDescriptor<Enum>()->FindValueByNumber(value);
  if (value != 0 && known != nullptr) return;
  block->Add(field, absl::StrCat(value == 0 ? "is required" : absl::StrCat("is ", int{value}),
                                 "; must be one of ", absl::StrJoin(EnumNames<Enum>(), ", ")));
}

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
  block.Range("prompts_per_round", spec.prompts_per_round(), {1, 1e6});
}

void CheckSampling(const v1::SamplingSpec& sampling, Violations* violations) {
  Block block("sampling.", violations);
  block.Range("num_generations", sampling.num_generations(), {2, 64});
  if (sampling.temperature() != 0) {  // 0 is greedy; what is nearly 0 would overflow
    block.Range("temperature", sampling.temperature(), {1e-4, 10});
  }
  block.Range("top_p", sampling.top_p(), {0, 1, End::kExcluded});
  block.Range("top_k", sampling.top_k(), {0, 1e6});
  block.Range("max_new_tokens", sampling.max_new_tokens(), {1, 32768});
}

// Each kind of oracle has one field of its own; whether files are there is told by job_inputs.h.
void CheckOracle(const v1::OracleSpec& oracle, Violations* violations) {
  Block block("oracle.", violations);
  CheckEnum("kind", oracle.kind(), &block);
  const auto own = [&](const char* field, bool given, v1::OracleKind kind, const char* kind_name) {
    if (given && oracle.kind() != 0 && oracle.kind() != kind) {
      block.Add(field, absl::StrCat("is given, but only kind ", kind_name, " has it"));
    }
  };
  own("path", !oracle.path().empty(), v1::ORACLE_KIND_LEXICON, "lexicon");
  own("pattern", !oracle.pattern().empty(), v1::ORACLE_KIND_REGEX, "regex");
  own("target_length", oracle.has_target_length(), v1::ORACLE_KIND_LENGTH, "length");
  if (oracle.kind() == v1::ORACLE_KIND_LEXICON && oracle.path().empty()) {
    block.Add("path", "is required for kind lexicon: a file of words and valences");
  }
  if (oracle.kind() == v1::ORACLE_KIND_REGEX && oracle.pattern().empty()) {
    block.Add("pattern", "is required for kind regex: a PCRE2 pattern");
  }
  block.Range("target_length", oracle.target_length(), {0, 32768});
}

// Strategies that look for the best, or for the worst, by score.
bool LooksForExtremes(v1::PairingStrategy strategy) {
  return strategy == v1::PAIRING_STRATEGY_BEST_WORST || strategy == v1::PAIRING_STRATEGY_MAX_MAX ||
         strategy == v1::PAIRING_STRATEGY_MAX_RANDOM || strategy == v1::PAIRING_STRATEGY_BEST_FIRST;
}

void CheckPairing(const v1::JobSpec& spec, Violations* violations) {
  Block block("", violations);
  const v1::PairingSpec& pairing = spec.pairing();
  CheckEnum("pairing.strategy", pairing.strategy(), &block);
  CheckEnum("pairing.tie_policy", pairing.tie_policy(), &block);
  block.Range("pairing.min_margin", pairing.min_margin(), {0, 1e9});
  block.Range("pairing.min_margin_student", pairing.min_margin_student(), {0, 1e9});
  block.Range("pairing.min_chosen_score", pairing.min_chosen_score(), {-1e9, 1e9});
  block.Range("pairing.max_pairs_per_prompt", pairing.max_pairs_per_prompt(), {1, 4096});
  if (pairing.length_penalty() > 0 && !LooksForExtremes(pairing.strategy())) {
    block.Add("pairing.length_penalty",
              absl::StrCat("is ", Number(pairing.length_penalty()),
                           "; must be 0 unless pairing.strategy is best_worst, max_max, "
                           "max_random or best_first"));
  } else {
    block.Range("pairing.length_penalty", pairing.length_penalty(), {0, 1e6});
  }
  if (pairing.strategy() == v1::PAIRING_STRATEGY_ONLINE && spec.sampling().num_generations() != 2) {
    block.Add("sampling.num_generations", absl::StrCat("is ", spec.sampling().num_generations(),
                                                       "; must be 2 for pairing.strategy online"));
  }
}

void CheckObjective(const v1::ObjectiveSpec& objective, Violations* violations) {
  Block block("objective.", violations);
  CheckEnum("loss_type", objective.loss_type(), &block);
  CheckEnum("reference", objective.reference(), &block);
  block.Range("beta", objective.beta(), {0, 1000, End::kExcluded});
  block.Range("label_smoothing", objective.label_smoothing(),
              {0, 0.5, End::kIncluded, End::kExcluded});
  if (objective.loss_type() != v1::LOSS_TYPE_SIGMOID && objective.label_smoothing() > 0) {
    block.Add("label_smoothing", absl::StrCat("is ", Number(objective.label_smoothing()),
                                              "; must be 0 unless objective.loss_type is sigmoid"));
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
}

void CheckRest(const v1::JobSpec& spec, Violations* violations) {
  Block block("", violations);
  block.Range("evaluation.holdout_prompts", spec.evaluation().holdout_prompts(), {0, 100000});
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
  if (spec.has_oracle()) MakeAbsolute(spec.mutable_oracle()->mutable_path(), model_root);
  CheckTop(spec, &resolved.violations);
  CheckSampling(spec.sampling(), &resolved.violations);
  CheckOracle(spec.oracle(), &resolved.violations);
  CheckPairing(spec, &resolved.violations);
  CheckObjective(spec.objective(), &resolved.violations);
  CheckTraining(spec.training(), &resolved.violations);
  CheckRest(spec, &resolved.violations);
  const Violations inputs = CheckJobInputs(spec);
  resolved.violations.insert(resolved.violations.end(), inputs.begin(), inputs.end());
  return resolved;
}

}  // namespace attune
