#include "coordinator/presets.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"

namespace attune {
namespace {

std::string Text(const google::protobuf::Message& message) {
  std::string text;
  google::protobuf::TextFormat::Printer printer;
  printer.SetSingleLineMode(true);
  printer.PrintToString(message, &text);
  return text;
}

v1::JobSpec Resolve(const std::string& text) {
  v1::JobSpec spec;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &spec));
  return WithPresetAndDefaults(spec);
}

void ExpectBlocks(const v1::JobSpec& spec, const std::string& sampling, const std::string& pairing,
                  const std::string& objective, const std::string& training,
                  const std::string& target = "PAIR_TARGET_HARD") {
  const std::string optimiser =
      "weight_decay: 0 adam_beta1: 0.9 adam_beta2: 0.999 adam_epsilon: 1e-08 zero_stage: 1 "
      "precision: PRECISION_FP32 optim: OPTIMIZER_ADAMW_TORCH "
      "gradient_checkpointing: false lr_scheduler_span: LR_SCHEDULER_SPAN_ROUND ";
  EXPECT_EQ(Text(spec.sampling()),
            sampling +
                "opponent: OPPONENT_NONE mixture_coef: 0.5 min_p: 0 repetition_penalty: 1 "
                "min_new_tokens: 0 quantization: QUANTIZATION_NONE ");
  EXPECT_EQ(Text(spec.pairing()),
            pairing + "tie_policy: TIE_POLICY_DROP target: " + target +
                " win_rate: WIN_RATE_OTHERS max_length_ratio: 0 drop_same_text: false "
                "defects { repeated_ngram: 0 max_repeats: 3 over_length: false } "
                "ches_percentile: 100 ");
  EXPECT_EQ(Text(spec.objective()),
            objective +
                "loss_weights: 1 f_divergence_type: F_DIVERGENCE_TYPE_REVERSE_KL "
                "ld_alpha: 1 sampo: false use_weighting: false ");
  EXPECT_EQ(Text(spec.training()), training + optimiser);
}

TEST(PresetsTest, Dno) {
  ExpectBlocks(
      Resolve("algorithm: ALGORITHM_DNO"),
      "num_generations: 5 temperature: 0.7 top_p: 0.95 top_k: 0 max_new_tokens: 128 ",
      "strategy: PAIRING_STRATEGY_ALL_PAIRS min_margin: 0 include_gold: false "
      "max_pairs_per_prompt: 4096 length_penalty: 0 ",
      "loss_type: LOSS_TYPE_DNO beta: 0.1 label_smoothing: 0 reference: REFERENCE_PREVIOUS_ROUND ",
      "learning_rate: 5e-07 per_device_train_batch_size: 8 gradient_accumulation_steps: 8 "
      "num_train_epochs: 1 max_grad_norm: 1 lr_scheduler_type: LR_SCHEDULER_TYPE_COSINE "
      "warmup_ratio: 0.1 ",
      "PAIR_TARGET_WIN_RATE");
}

TEST(PresetsTest, DnoPrct) {
  ExpectBlocks(Resolve("algorithm: ALGORITHM_DNO_PRCT"),
               "num_generations: 5 temperature: 0.7 top_p: 0.95 top_k: 0 max_new_tokens: 128 ",
               "strategy: PAIRING_STRATEGY_LARGE_MARGIN min_margin: 1 include_gold: false "
               "max_pairs_per_prompt: 1 length_penalty: 0 ",
               "loss_type: LOSS_TYPE_SIGMOID beta: 0.1 label_smoothing: 0 "
               "reference: REFERENCE_PREVIOUS_ROUND ",
               "learning_rate: 5e-07 per_device_train_batch_size: 8 gradient_accumulation_steps: 8 "
               "num_train_epochs: 1 max_grad_norm: 1 lr_scheduler_type: LR_SCHEDULER_TYPE_COSINE "
               "warmup_ratio: 0.1 ");
}

TEST(PresetsTest, IterativeDpo) {
  ExpectBlocks(
      Resolve("algorithm: ALGORITHM_ITERATIVE_DPO"),
      "num_generations: 8 temperature: 1 top_p: 1 top_k: 0 max_new_tokens: 128 ",
      "strategy: PAIRING_STRATEGY_BEST_WORST min_margin: 0 include_gold: false "
      "max_pairs_per_prompt: 4096 length_penalty: 0 ",
      "loss_type: LOSS_TYPE_SIGMOID beta: 0.1 label_smoothing: 0 "
      "reference: REFERENCE_PREVIOUS_ROUND ",
      "learning_rate: 5e-07 per_device_train_batch_size: 8 gradient_accumulation_steps: 16 "
      "num_train_epochs: 2 max_grad_norm: 1 lr_scheduler_type: LR_SCHEDULER_TYPE_COSINE "
      "warmup_ratio: 0.1 ");
}

TEST(PresetsTest, OnlineDpo) {
  ExpectBlocks(
      Resolve("algorithm: ALGORITHM_ONLINE_DPO"),
      "num_generations: 2 temperature: 0.9 top_p: 1 top_k: 0 max_new_tokens: 64 ",
      "strategy: PAIRING_STRATEGY_ONLINE min_margin: 0 include_gold: false "
      "max_pairs_per_prompt: 4096 length_penalty: 0 ",
      "loss_type: LOSS_TYPE_SIGMOID beta: 0.1 label_smoothing: 0 reference: REFERENCE_INITIAL ",
      "learning_rate: 5e-07 per_device_train_batch_size: 8 gradient_accumulation_steps: 1 "
      "num_train_epochs: 1 max_grad_norm: 1 lr_scheduler_type: LR_SCHEDULER_TYPE_LINEAR "
      "warmup_ratio: 0 ");
}

TEST(PresetsTest, NothingGivenIsDnoPrctWithTheDefaults) {
  const v1::JobSpec spec = Resolve("");
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(
      spec, Resolve("algorithm: ALGORITHM_DNO_PRCT")));
  EXPECT_EQ(spec.name(), "job");
  EXPECT_EQ(spec.rounds(), 3);
  EXPECT_EQ(spec.prompts_per_round(), 256);
  EXPECT_EQ(spec.seed(), 42);
  EXPECT_EQ(spec.evaluation().holdout_prompts(), 64);
  EXPECT_EQ(spec.evaluation().gate(), v1::GATE_CONTINUE);
  EXPECT_EQ(spec.evaluation().gate_win_rate(), 0.5);
  EXPECT_EQ(spec.checkpoint().save_total_limit(), 3);
  EXPECT_TRUE(spec.pipeline().has_max_staleness());
}

TEST(PresetsTest, WhatIsGivenStays) {
  const v1::JobSpec spec = Resolve(
      "name: 'x' algorithm: ALGORITHM_ITERATIVE_DPO seed: 0 sampling { temperature: 0 top_k: 5 "
      "repetition_penalty: 1.2 min_new_tokens: 4 stop: 'Q:' quantization: QUANTIZATION_INT8 } "
      "pairing { strategy: PAIRING_STRATEGY_LARGE_MARGIN } objective { reference: REFERENCE_NONE } "
      "training { warmup_ratio: 0 max_grad_norm: 0 } evaluation { holdout_prompts: 0 }");
  EXPECT_EQ(spec.name(), "x");
  EXPECT_EQ(spec.seed(), 0);
  EXPECT_EQ(spec.sampling().temperature(), 0);
  EXPECT_EQ(spec.sampling().top_k(), 5);
  EXPECT_EQ(spec.sampling().repetition_penalty(), 1.2);
  EXPECT_EQ(spec.sampling().min_new_tokens(), 4);
  EXPECT_EQ(spec.sampling().stop(0), "Q:");
  EXPECT_EQ(spec.sampling().quantization(), v1::QUANTIZATION_INT8);
  EXPECT_EQ(spec.sampling().num_generations(), 8);
  EXPECT_EQ(spec.objective().reference(), v1::REFERENCE_NONE);
  EXPECT_EQ(spec.training().warmup_ratio(), 0);
  EXPECT_EQ(spec.training().max_grad_norm(), 0);
  EXPECT_EQ(spec.evaluation().holdout_prompts(), 0);
  // The limit follows the strategy, wherever that came from.
  EXPECT_EQ(spec.pairing().max_pairs_per_prompt(), 1);
}

TEST(PresetsTest, TargetLengthIsOfTheLengthOracleAlone) {
  EXPECT_TRUE(Resolve("oracle { kind: ORACLE_KIND_LENGTH }").oracle().has_target_length());
  EXPECT_FALSE(Resolve("oracle { kind: ORACLE_KIND_REGEX }").oracle().has_target_length());
  EXPECT_FALSE(Resolve("").has_oracle());
}

TEST(PresetsTest, ResolvingTwiceChangesNothing) {
  for (int algorithm = 0; algorithm <= v1::ALGORITHM_ONLINE_DPO; ++algorithm) {
    const v1::JobSpec once =
        Resolve(absl::StrCat("algorithm: ", algorithm, " oracle { kind: ORACLE_KIND_LENGTH }"));
    EXPECT_TRUE(
        google::protobuf::util::MessageDifferencer::Equals(once, WithPresetAndDefaults(once)));
  }
}

TEST(PresetsTest, LossesBringTheirOptionsAndTargets) {
  const v1::JobSpec simpo = Resolve("objective { loss_type: [LOSS_TYPE_SIMPO, LOSS_TYPE_SFT] }");
  EXPECT_EQ(Text(simpo.objective()),
            "loss_type: LOSS_TYPE_SIMPO loss_type: LOSS_TYPE_SFT beta: 0.1 label_smoothing: 0 "
            "reference: REFERENCE_NONE loss_weights: 1 loss_weights: 1 "
            "f_divergence_type: F_DIVERGENCE_TYPE_REVERSE_KL ld_alpha: 1 sampo: false "
            "use_weighting: false simpo_gamma: 0.5 ");
  const v1::JobSpec sppo = Resolve("objective { loss_type: LOSS_TYPE_SPPO }");
  EXPECT_EQ(sppo.pairing().win_rate(), v1::WIN_RATE_BRADLEY_TERRY);
  EXPECT_EQ(sppo.objective().reference(), v1::REFERENCE_PREVIOUS_ROUND);
  const v1::JobSpec adpo = Resolve("objective { loss_type: LOSS_TYPE_ADPO_PAIRWISE }");
  EXPECT_EQ(adpo.pairing().target(), v1::PAIR_TARGET_SCORE);
  const v1::JobSpec mixed = Resolve("objective { reference: REFERENCE_MIXED }");
  EXPECT_EQ(mixed.objective().ref_model_mixup_alpha(), 0.6);
  EXPECT_EQ(mixed.objective().ref_model_sync_rounds(), 1u);
  const v1::JobSpec mcm = Resolve("objective { loss_type: LOSS_TYPE_MCM_DPO }");
  EXPECT_EQ(mcm.objective().view_weights_size(), 2);
}

TEST(PresetsTest, AdaptersAreTrainedOnlyWhereTheyAreAskedFor) {
  EXPECT_FALSE(Resolve("").training().has_lora());
  const v1::LoraSpec all = Resolve("training { lora {} }").training().lora();
  EXPECT_EQ(all.r(), 16u);
  EXPECT_EQ(all.lora_alpha(), 32);
  EXPECT_EQ(all.target_modules_size(), 7);
  const v1::JobSpec ofs =
      Resolve("objective { loss_type: LOSS_TYPE_OFS_DPO } training { lora { r: 4 "
              "target_modules: 'c_attn' } }");
  EXPECT_EQ(Text(ofs.training().lora()), "r: 4 lora_alpha: 32 target_modules: \"c_attn\" ");
  EXPECT_EQ(ofs.objective().fast_slow_alpha(), 0.1);
  EXPECT_EQ(ofs.objective().slow_lr_ratio(), 0.5);
  EXPECT_EQ(ofs.objective().domain_memory(), 0u);
}

TEST(PresetsTest, OfflineDpo) {
  const v1::JobSpec spec = Resolve("algorithm: ALGORITHM_OFFLINE_DPO");
  ExpectBlocks(
      spec, "num_generations: 0 temperature: 0.7 top_p: 0.95 top_k: 0 max_new_tokens: 128 ",
      "strategy: PAIRING_STRATEGY_BEST_WORST min_margin: 0 include_gold: false "
      "max_pairs_per_prompt: 4096 length_penalty: 0 ",
      "loss_type: LOSS_TYPE_SIGMOID beta: 0.1 label_smoothing: 0 reference: REFERENCE_INITIAL ",
      "learning_rate: 1e-06 per_device_train_batch_size: 8 gradient_accumulation_steps: 1 "
      "num_train_epochs: 1 max_grad_norm: 1 lr_scheduler_type: LR_SCHEDULER_TYPE_LINEAR "
      "warmup_ratio: 0 ");
  EXPECT_EQ(spec.oracle().kind(), v1::ORACLE_KIND_DATASET);
  EXPECT_EQ(spec.rounds(), 1u);
  EXPECT_EQ(spec.prompts_per_round(), 10'000'000u);  // all there are
}

TEST(PresetsTest, AnOfflineJobMayHaveAnotherOracle) {
  const v1::JobSpec spec = Resolve(
      "algorithm: ALGORITHM_OFFLINE_DPO oracle { kind: ORACLE_KIND_LENGTH target_length: 9 }");
  EXPECT_EQ(spec.oracle().kind(), v1::ORACLE_KIND_LENGTH);
  EXPECT_EQ(spec.oracle().target_length(), 9u);
}

}  // namespace
}  // namespace attune
