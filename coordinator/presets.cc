#include "coordinator/presets.h"

#include <algorithm>
#include <string>

#include "common/check.h"
#include "coordinator/objective_spec.h"
#include "google/protobuf/text_format.h"
#include "spec/oracle_spec.h"

namespace attune {
namespace {

// job.proto; the algorithm-dependent fields without a default there come from every preset.
constexpr char kDefaults[] = R"(
  name: "job"
  algorithm: ALGORITHM_DNO_PRCT
  rounds: 3
  prompts_per_round: 256
  seed: 42
  sampling {
    num_generations: 5 temperature: 0.7 top_p: 0.95 top_k: 0 max_new_tokens: 128
    opponent: OPPONENT_NONE mixture_coef: 0.5
    min_p: 0 repetition_penalty: 1 min_new_tokens: 0 quantization: QUANTIZATION_NONE
  }
  pairing {
    min_margin: 0 include_gold: false length_penalty: 0 tie_policy: TIE_POLICY_DROP
    max_length_ratio: 0 drop_same_text: false ches_percentile: 100
    defects { repeated_ngram: 0 max_repeats: 3 over_length: false }
  }
  objective {
    beta: 0.1 label_smoothing: 0 f_divergence_type: F_DIVERGENCE_TYPE_REVERSE_KL
    ld_alpha: 1 sampo: false use_weighting: false
  }
  training {
    learning_rate: 5e-7
    per_device_train_batch_size: 8
    gradient_accumulation_steps: 1
    num_train_epochs: 1
    max_grad_norm: 1
    lr_scheduler_type: LR_SCHEDULER_TYPE_COSINE
    warmup_ratio: 0.1
    weight_decay: 0
    adam_beta1: 0.9
    adam_beta2: 0.999
    adam_epsilon: 1e-8
    zero_stage: 1
    precision: PRECISION_FP32
    optim: OPTIMIZER_ADAMW_TORCH
    gradient_checkpointing: false
    lr_scheduler_span: LR_SCHEDULER_SPAN_ROUND
  }
  evaluation { holdout_prompts: 64 gate: GATE_CONTINUE gate_win_rate: 0.5 }
  checkpoint { save_total_limit: 3 }
  pipeline { max_staleness: 0 }
)";

// Rosset et al. 2024, Algorithm 1: soft targets from win rates.
constexpr char kDno[] = R"(
  sampling { num_generations: 5 temperature: 0.7 top_p: 0.95 }
  pairing { strategy: PAIRING_STRATEGY_ALL_PAIRS }
  objective { loss_type: LOSS_TYPE_DNO beta: 0.1 reference: REFERENCE_PREVIOUS_ROUND }
  training {
    learning_rate: 5e-7 per_device_train_batch_size: 8 gradient_accumulation_steps: 8
    num_train_epochs: 1 lr_scheduler_type: LR_SCHEDULER_TYPE_COSINE warmup_ratio: 0.1
  }
)";

// Rosset et al. 2024, Algorithm 2: contrast of pairs with a large margin.
constexpr char kDnoPrct[] = R"(
  sampling { num_generations: 5 temperature: 0.7 top_p: 0.95 }
  pairing { strategy: PAIRING_STRATEGY_LARGE_MARGIN min_margin: 1 }
  objective { loss_type: LOSS_TYPE_SIGMOID beta: 0.1 reference: REFERENCE_PREVIOUS_ROUND }
  training {
    learning_rate: 5e-7 per_device_train_batch_size: 8 gradient_accumulation_steps: 8
    num_train_epochs: 1 lr_scheduler_type: LR_SCHEDULER_TYPE_COSINE warmup_ratio: 0.1
  }
)";

// RLHFlow's Online-RLHF (Dong et al. 2024): best against worst of eight.
constexpr char kIterativeDpo[] = R"(
  sampling { num_generations: 8 temperature: 1 top_p: 1 }
  pairing { strategy: PAIRING_STRATEGY_BEST_WORST }
  objective { loss_type: LOSS_TYPE_SIGMOID beta: 0.1 reference: REFERENCE_PREVIOUS_ROUND }
  training {
    learning_rate: 5e-7 per_device_train_batch_size: 8 gradient_accumulation_steps: 16
    num_train_epochs: 2 lr_scheduler_type: LR_SCHEDULER_TYPE_COSINE warmup_ratio: 0.1
  }
)";

// TRL's OnlineDPOTrainer.
constexpr char kOnlineDpo[] = R"(
  sampling { num_generations: 2 temperature: 0.9 top_p: 1 max_new_tokens: 64 }
  pairing { strategy: PAIRING_STRATEGY_ONLINE }
  objective { loss_type: LOSS_TYPE_SIGMOID beta: 0.1 reference: REFERENCE_INITIAL }
  training {
    learning_rate: 5e-7 per_device_train_batch_size: 8 gradient_accumulation_steps: 1
    num_train_epochs: 1 lr_scheduler_type: LR_SCHEDULER_TYPE_LINEAR warmup_ratio: 0
  }
)";

// TRL's DPOTrainer on the pairs of the dataset: one round on all that is not held out.
constexpr char kOfflineDpo[] = R"(
  rounds: 1
  prompts_per_round: 10000000
  sampling { num_generations: 0 }
  oracle { kind: ORACLE_KIND_DATASET }
  pairing { strategy: PAIRING_STRATEGY_BEST_WORST }
  objective { loss_type: LOSS_TYPE_SIGMOID beta: 0.1 reference: REFERENCE_INITIAL }
  training {
    learning_rate: 1e-6 per_device_train_batch_size: 8 gradient_accumulation_steps: 1
    num_train_epochs: 1 lr_scheduler_type: LR_SCHEDULER_TYPE_LINEAR warmup_ratio: 0
  }
)";

// TRL's RewardTrainer, likewise.
constexpr char kRewardModel[] = R"(
  rounds: 1
  prompts_per_round: 10000000
  sampling { num_generations: 0 }
  oracle { kind: ORACLE_KIND_DATASET }
  pairing { strategy: PAIRING_STRATEGY_BEST_WORST }
  objective { loss_type: LOSS_TYPE_REWARD_MODEL reference: REFERENCE_NONE }
  training {
    learning_rate: 1e-4 per_device_train_batch_size: 8 gradient_accumulation_steps: 1
    num_train_epochs: 1 lr_scheduler_type: LR_SCHEDULER_TYPE_LINEAR warmup_ratio: 0
  }
)";

v1::JobSpec Parse(const char* text) {
  v1::JobSpec spec;
  ATTUNE_CHECK(google::protobuf::TextFormat::ParseFromString(text, &spec));
  return spec;
}

const char* PresetOf(v1::Algorithm algorithm) {
  switch (algorithm) {
    case v1::ALGORITHM_DNO:
      return kDno;
    case v1::ALGORITHM_ITERATIVE_DPO:
      return kIterativeDpo;
    case v1::ALGORITHM_ONLINE_DPO:
      return kOnlineDpo;
    case v1::ALGORITHM_OFFLINE_DPO:
      return kOfflineDpo;
    case v1::ALGORITHM_REWARD_MODEL:
      return kRewardModel;
    default:
      return kDnoPrct;
  }
}

bool HasLoss(const v1::JobSpec& spec, v1::LossType loss) {
  const auto& losses = spec.objective().loss_type();
  return std::find(losses.begin(), losses.end(), loss) != losses.end();
}

void FillPairingDefaults(v1::JobSpec* spec) {
  v1::PairingSpec& pairing = *spec->mutable_pairing();
  if (!pairing.has_max_pairs_per_prompt()) {
    pairing.set_max_pairs_per_prompt(
        pairing.strategy() == v1::PAIRING_STRATEGY_LARGE_MARGIN ? 1 : 4096);
  }
  if (pairing.win_rate() == v1::WIN_RATE_UNSPECIFIED) {
    pairing.set_win_rate(HasLoss(*spec, v1::LOSS_TYPE_SPPO) ? v1::WIN_RATE_BRADLEY_TERRY
                                                            : v1::WIN_RATE_OTHERS);
  }
  if (pairing.target() == v1::PAIR_TARGET_UNSPECIFIED) {
    const bool by_score = HasLoss(*spec, v1::LOSS_TYPE_SPPO_SINGLE) ||
                          HasLoss(*spec, v1::LOSS_TYPE_NASH_MD) ||
                          HasLoss(*spec, v1::LOSS_TYPE_ADPO_PAIRWISE);
    pairing.set_target(HasLoss(*spec, v1::LOSS_TYPE_DNO) ? v1::PAIR_TARGET_WIN_RATE
                       : by_score                        ? v1::PAIR_TARGET_SCORE
                                                         : v1::PAIR_TARGET_HARD);
  }
}

void FillMainOracleDefaults(v1::OracleSpec* oracle) {
  FillOracleDefaults(oracle);
  if (!oracle->has_flip_rate()) oracle->set_flip_rate(0);
  if (!oracle->has_max_quarantined()) oracle->set_max_quarantined(0.2);
}

void FillLoraDefaults(v1::LoraSpec* lora) {
  if (!lora->has_r()) lora->set_r(16);
  if (!lora->has_lora_alpha()) lora->set_lora_alpha(32);
  if (!lora->target_modules().empty()) return;
  for (const char* module :
       {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}) {
    lora->add_target_modules(module);
  }
}

void FillCurriculumDefaults(v1::CurriculumSpec* curriculum) {
  if (curriculum->mixing() == v1::DOMAIN_MIXING_UNSPECIFIED) {
    curriculum->set_mixing(v1::DOMAIN_MIXING_DATASET);
  }
  for (v1::DomainWeightSpec& entry : *curriculum->mutable_domain_weights()) {
    if (!entry.has_weight()) entry.set_weight(1);
  }
  if (!curriculum->has_band_low()) curriculum->set_band_low(0);
  if (!curriculum->has_judged_share()) curriculum->set_judged_share(1);
}

}  // namespace

v1::JobSpec WithPresetAndDefaults(const v1::JobSpec& submitted) {
  // Merging keeps what is set on the left unless the right sets it too.
  v1::JobSpec spec = Parse(kDefaults);
  spec.MergeFrom(Parse(PresetOf(submitted.algorithm())));
  // Lists would grow instead.
  if (submitted.objective().loss_type_size() > 0) spec.mutable_objective()->clear_loss_type();
  spec.MergeFrom(submitted);
  FillPairingDefaults(&spec);
  FillObjectiveDefaults(submitted.objective().reference() != v1::REFERENCE_UNSPECIFIED,
                        spec.mutable_objective());
  for (v1::AuxiliaryOracleSpec& auxiliary : *spec.mutable_auxiliary_oracles()) {
    if (!auxiliary.has_weight()) auxiliary.set_weight(0.5);
    FillOracleDefaults(auxiliary.mutable_oracle());
  }
  FillCurriculumDefaults(spec.mutable_curriculum());
  if (spec.training().has_lora()) FillLoraDefaults(spec.mutable_training()->mutable_lora());
  if (spec.has_oracle()) FillMainOracleDefaults(spec.mutable_oracle());
  return spec;
}

}  // namespace attune
