// The recorded pairs and runs (reference_runs.h) as the trainer service gets them.
#ifndef ATTUNE_TESTS_UNIT_WORKER_REFERENCE_DATA_H_
#define ATTUNE_TESTS_UNIT_WORKER_REFERENCE_DATA_H_

#include <vector>

#include "attune/v1/trainer.pb.h"
#include "nlohmann/json.hpp"
#include "tests/unit/worker/reference_runs.h"

namespace attune {

inline void CopyIds(const nlohmann::json& from, google::protobuf::RepeatedField<uint32_t>* to) {
  for (uint32_t id : from) to->Add(id);
}

inline void SetResponse(const nlohmann::json& ids, double logp, v1::TrainingResponse* response) {
  CopyIds(ids, response->mutable_token_ids());
  response->set_rollout_logp(logp);
  // Only their sum counts; a second float holds what the first one rounds off.
  for (size_t t = 0; t < ids.size(); ++t) response->add_reference_logps(0);
  const auto sum = static_cast<float>(logp);
  response->set_reference_logps(0, sum);
  if (ids.size() > 1) response->set_reference_logps(1, static_cast<float>(logp - sum));
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
    SetResponse(recorded["chosen_ids"], logps[0], pair.mutable_chosen());
    SetResponse(recorded["rejected_ids"], logps[1], pair.mutable_rejected());
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
  request.mutable_objective()->add_loss_type(v1::LOSS_TYPE_SIGMOID);
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
