// The shipped model and the recorded DPO runs on it (torch, float64), for tests of the trainer.
#ifndef ATTUNE_TESTS_UNIT_WORKER_REFERENCE_DATA_H_
#define ATTUNE_TESTS_UNIT_WORKER_REFERENCE_DATA_H_

#include <fstream>
#include <string>
#include <vector>

#include "attune/v1/trainer.pb.h"
#include "common/check.h"
#include "model/model_config.h"
#include "model/weights.h"
#include "nlohmann/json.hpp"

namespace attune {

inline const std::string kModelPath = ATTUNE_SOURCE_DIR "/models/stories260k";

inline nlohmann::json ReadTestData(const std::string& name) {
  std::ifstream in(std::string(ATTUNE_SOURCE_DIR "/tests/data/") + name);
  ATTUNE_CHECK(in.good());
  return nlohmann::json::parse(in);
}

inline const nlohmann::json& ReferenceRuns() {
  static const auto& runs = *new nlohmann::json(ReadTestData("dpo_stories260k.json"));
  return runs;
}

inline ModelConfig TestConfig() { return LoadModelConfig(kModelPath).value(); }

inline std::vector<float> TestWeights() { return LoadWeights(kModelPath, TestConfig()).value(); }

inline void CopyIds(const nlohmann::json& from, google::protobuf::RepeatedField<uint32_t>* to) {
  for (uint32_t id : from) to->Add(id);
}

// The recorded pairs; reference and rollout log-probabilities are those of the initial policy.
inline std::vector<v1::TrainingPair> ReferencePairs() {
  const nlohmann::json& runs = ReferenceRuns();
  std::vector<v1::TrainingPair> pairs;
  for (const nlohmann::json& recorded : runs["pairs"]) {
    const nlohmann::json& logps = runs["reference_logps"][pairs.size()];
    v1::TrainingPair pair;
    pair.set_index(static_cast<uint32_t>(pairs.size()));
    CopyIds(recorded["prompt_ids"], pair.mutable_prompt_token_ids());
    CopyIds(recorded["chosen_ids"], pair.mutable_chosen_token_ids());
    CopyIds(recorded["rejected_ids"], pair.mutable_rejected_token_ids());
    pair.set_chosen_reference_logp(logps[0]);
    pair.set_rejected_reference_logp(logps[1]);
    pair.set_chosen_rollout_logp(logps[0]);
    pair.set_rejected_rollout_logp(logps[1]);
    pair.set_target(1);
    pairs.push_back(pair);
  }
  return pairs;
}

// DPO with beta 0.1 as recorded: AdamW with betas 0.9 and 0.95, all pairs in each update.
inline v1::TrainRoundRequest ReferenceRequest() {
  v1::TrainRoundRequest request;
  request.set_job("jobs/reference");
  request.set_round(1);
  request.set_pairs(4);
  request.mutable_objective()->set_loss_type(v1::LOSS_TYPE_SIGMOID);
  request.mutable_objective()->set_beta(0.1);
  request.mutable_objective()->set_label_smoothing(0);
  v1::TrainingSpec* training = request.mutable_training();
  training->set_learning_rate(1e-4);
  training->set_per_device_train_batch_size(4);
  training->set_gradient_accumulation_steps(1);
  training->set_num_train_epochs(1);
  training->set_max_grad_norm(0);
  training->set_lr_scheduler_type(v1::LR_SCHEDULER_TYPE_CONSTANT);
  training->set_warmup_ratio(0);
  training->set_weight_decay(0);
  training->set_adam_beta1(0.9);
  training->set_adam_beta2(0.95);
  training->set_adam_epsilon(1e-8);
  training->set_zero_stage(1);
  return request;
}

}  // namespace attune

#endif  // ATTUNE_TESTS_UNIT_WORKER_REFERENCE_DATA_H_
