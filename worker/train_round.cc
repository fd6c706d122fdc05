#include "worker/train_round.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include <ATen/ATen.h>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/status_macros.h"
#include "model/tensor_type.h"
#include "model/weights.h"
#include "worker/agreement.h"
#include "worker/differentiable_model.h"
#include "worker/domain_combination.h"
#include "worker/objectives/multi_term_losses.h"
#include "worker/pair_probe.h"
#include "worker/pieces.h"
#include "worker/schedule.h"
#include "worker/sharded_optimizer.h"
#include "worker/train_step.h"
#include "worker/trained_policy.h"
#include "worker/training_objective.h"

namespace attune {
namespace {

uint32_t PairsPerUpdate(const v1::TrainingSpec& spec) {
  return spec.per_device_train_batch_size() * spec.gradient_accumulation_steps();
}

uint32_t UpdatesPerEpoch(const v1::TrainRoundRequest& request) {
  const uint32_t batch = PairsPerUpdate(request.training());
  return (request.pairs() + batch - 1) / batch;
}

Optimizer OptimizerOf(const v1::TrainingSpec& spec) {
  switch (spec.optim()) {
    case v1::OPTIMIZER_RMSPROP:
      return Optimizer::kRmsprop;
    case v1::OPTIMIZER_SGD:
      return Optimizer::kSgd;
    default:
      return Optimizer::kAdamW;
  }
}

OptimizerOptions OptionsOf(const v1::TrainingSpec& spec) {
  return {.optimizer = OptimizerOf(spec),
          .beta1 = spec.adam_beta1(),
          .beta2 = spec.adam_beta2(),
          .epsilon = spec.adam_epsilon(),
          .weight_decay = spec.weight_decay(),
          .max_grad_norm = spec.max_grad_norm(),
          .zero_stage = spec.zero_stage()};
}

TensorType PrecisionOf(const v1::TrainingSpec& spec) {
  return spec.precision() == v1::PRECISION_BF16 ? TensorType::kBf16 : TensorType::kF32;
}

// Sums over ranks, largest over ranks where that is meant; an error on every rank if one failed.
absl::StatusOr<UpdateSums> OverAllRanks(Collective& ranks, const absl::StatusOr<UpdateSums>& mine,
                                        bool stop) {
  UpdateSums sums = mine.ok() ? *mine : UpdateSums();
  double* const fields[] = {&sums.pairs,         &sums.tokens,          &sums.loss,
                            &sums.chosen_reward, &sums.rejected_reward, &sums.correct,
                            &sums.chosen_logp,   &sums.rejected_logp,   &sums.chosen_change,
                            &sums.rejected_change, &sums.dpo_loss};
  std::vector<double> values;
  for (const double* field : fields) values.push_back(*field);
  const size_t gaps = values.size();
  values.resize(gaps + ranks.size());
  values[gaps + ranks.rank()] = sums.largest_change;
  ATTUNE_RETURN_IF_ERROR(SumIfAllWell(ranks, mine.status(), stop, absl::MakeSpan(values)));
  for (size_t i = 0; i < gaps; ++i) *fields[i] = values[i];
  sums.largest_change = *std::max_element(values.begin() + gaps, values.end());
  return sums;
}

std::unique_ptr<const DifferentiableModel> MakeReference(PolicyWeights* reference,
                                                         TensorType precision) {
  if (reference == nullptr) return nullptr;
  return std::make_unique<const DifferentiableModel>(
      reference->config, absl::MakeSpan(reference->weights), absl::Span<double>(), precision);
}

// Where the time of an update went on this rank, in seconds.
struct UpdateTime {
  double compute = 0;    // forward and backward passes, and losses
  double agreement = 0;  // sums over ranks, and waiting for the slowest of them
  double optimizer = 0;  // reduction of gradients, update, gathering of weights
};

// A policy that the round trains, and what for.
struct Trainee {
  TrainingObjective objective;
  double learning_rate_ratio;  // to that of the job
  std::unique_ptr<TrainedPolicy> policy;
  TrainingModels models;
  double dpo_loss = 0;  // of the round so far
};

class RoundTrainer {
 public:
  // `base` are the weights, or those that `adapters` (null: none) are of.
  RoundTrainer(const v1::TrainRoundRequest& request, const TrainingObjective& objective,
               const ModelConfig& config, std::vector<float> base, Adapters* adapters,
               PolicyWeights* reference, Collective& ranks, const TrainRoundHooks& hooks)
      : request_(request),
        config_(config),
        ranks_(ranks),
        hooks_(hooks),
        base_(std::move(base)),
        adapters_(adapters),
        reference_(MakeReference(reference, PrecisionOf(request.training()))) {
    const TrainedPolicyOptions options = {OptionsOf(request.training()),
                                          PrecisionOf(request.training()),
                                          request.training().gradient_checkpointing()};
    if (adapters == nullptr) {
      AddTrainee(objective, 1, std::make_unique<TrainedPolicy>(config, options, ranks,
                                                               std::move(base_)));
      return;
    }
    const auto adapter = [&](const std::vector<float>& values) {
      return std::make_unique<TrainedPolicy>(config, options, ranks, adapters->layout, base_,
                                             values);
    };
    const double slow_ratio = request.objective().slow_lr_ratio();
    AddTrainee(objective, adapters->swapped ? slow_ratio : 1, adapter(adapters->fast));
    if (!objective.needs.other_adapter) return;
    TrainingObjective chasing = objective;
    chasing.objective.options.slow_adapter = true;
    AddTrainee(chasing, adapters->swapped ? 1 : slow_ratio, adapter(adapters->slow));
    trainees_[0].models.other = &trainees_[1].policy->model();
    trainees_[1].models.other = &trainees_[0].policy->model();
  }

  absl::Status RunEpoch(uint32_t epoch) {
    const absl::StatusOr<std::vector<v1::TrainingPair>> pairs = hooks_.pairs_of_epoch(epoch);
    double total = pairs.ok() ? static_cast<double>(pairs->size()) : 0;
    ATTUNE_RETURN_IF_ERROR(
        SumIfAllWell(ranks_, pairs.status(), hooks_.stop(), absl::MakeSpan(&total, 1)));
    if (total != request_.pairs()) {
      return absl::InternalError(absl::StrCat("epoch ", epoch, ": ", total,
                                              " pairs came to all ranks together; the round has ",
                                              request_.pairs()));
    }
    if (epoch == 0) to_probe_ = PairsToProbe(*pairs, PairsPerUpdate(request_.training()));
    absl::Span<const v1::TrainingPair> left = *pairs;
    for (uint32_t update = 0; update < UpdatesPerEpoch(request_); ++update) {
      size_t mine = 0;
      while (mine < left.size() && left[mine].update() == update) ++mine;
      ATTUNE_RETURN_IF_ERROR(
          RunUpdate(epoch * UpdatesPerEpoch(request_) + update, left.subspan(0, mine)));
      left.remove_prefix(mine);
    }
    return absl::OkStatus();
  }

  // After all epochs. Of two adapters, that with the lower DPO loss over the round is the policy.
  absl::StatusOr<TrainedRound> Finish() {
    if (trainees_.size() > 1 && ShouldSwapRoles(at::tensor({trainees_[0].dpo_loss}),
                                                at::tensor({trainees_[1].dpo_loss}))) {
      std::swap(trainees_[0], trainees_[1]);
      adapters_->swapped = !adapters_->swapped;
    }
    if (adapters_ != nullptr) adapters_->fast = trainees_[0].policy->Adapter();
    if (trainees_.size() > 1) adapters_->slow = trainees_[1].policy->Adapter();
    if (trainees_.size() > 1) ATTUNE_RETURN_IF_ERROR(CombineWithLearnedDomains());
    TrainedRound round;
    ATTUNE_ASSIGN_OR_RETURN(
        round.probe,
        ProbePairs(trainees_[0].models, trainees_[0].objective.needs.rewards, to_probe_,
                   PairsPerUpdate(request_.training()), std::min(kProbePairs, request_.pairs()),
                   ranks_, hooks_.stop()));
    round.weights = trainees_[0].policy->TakeWeights();
    return round;
  }

 private:
  // The adapter of the policy becomes a combination of those of the domains that have been learned
  // and the one that is being learned; with domain_memory, this was its last round.
  absl::Status CombineWithLearnedDomains() {
    Domains domains = adapters_->domains;
    const uint32_t memory = request_.objective().domain_memory();
    if (memory == 0 && domains.empty()) return absl::OkStatus();
    absl::StatusOr<std::vector<v1::TrainingPair>> pairs = hooks_.first_pairs(
        memory > 0 ? memory : static_cast<uint32_t>(domains.back().pairs.size()));
    ATTUNE_RETURN_IF_ERROR(SumIfAllWell(ranks_, pairs.status(), hooks_.stop(), {}));
    domains.push_back({adapters_->fast, *std::move(pairs)});
    Trainee& policy = trainees_[0];
    ATTUNE_ASSIGN_OR_RETURN(
        adapters_->domain_weights,
        WeighDomains(request_, domains, policy.models, *policy.policy, ranks_, hooks_.stop));
    adapters_->fast = CombinedAdapter(domains, adapters_->domain_weights);
    policy.policy->SetAdapter(adapters_->fast);
    if (memory > 0) adapters_->domains = std::move(domains);
    return absl::OkStatus();
  }

  void AddTrainee(const TrainingObjective& objective, double learning_rate_ratio,
                  std::unique_ptr<TrainedPolicy> policy) {
    const TrainingModels models = {
        .config = &config_, .policy = &policy->model(), .reference = reference_.get()};
    trainees_.push_back({objective, learning_rate_ratio, std::move(policy), models});
  }

  // Update number `done` of the round, from 0, with this rank's pairs. Both policies of two see
  // each other as they were before it.
  absl::Status RunUpdate(uint32_t done, absl::Span<const v1::TrainingPair> pairs) {
    const std::string name = absl::StrCat("update ", done + 1, " of ", UpdatesOfRound(request_));
    const Stopwatch whole;
    time_ = UpdateTime();
    std::vector<UpdateSums> sums;
    for (Trainee& trainee : trainees_) {
      ATTUNE_ASSIGN_OR_RETURN(sums.emplace_back(),
                              Accumulate(trainee, PairsOfUpdate(request_, done), pairs, name));
      trainee.dpo_loss += sums.back().dpo_loss;
    }
    const double learning_rate =
        LearningRate(request_.training(), {.update = done,
                                           .updates = UpdatesOfRound(request_),
                                           .round = request_.round(),
                                           .rounds = request_.rounds()});
    const Stopwatch stepping;
    std::vector<double> norms;
    for (Trainee& trainee : trainees_) {
      const absl::StatusOr<double> norm =
          trainee.policy->Step(ranks_, learning_rate * trainee.learning_rate_ratio);
      ATTUNE_RETURN_IF_ERROR(Annotate(norm.status(), name));
      norms.push_back(*norm);
    }
    time_.optimizer = stepping.Seconds();
    tokens_ += sums[0].tokens;
    Report(done, learning_rate * trainees_[0].learning_rate_ratio, norms[0], sums, whole.Seconds());
    return absl::OkStatus();
  }

  // The gradient of an update of `update_pairs` pairs; what it sums up of all ranks.
  absl::StatusOr<UpdateSums> Accumulate(Trainee& trainee, uint32_t update_pairs,
                                        absl::Span<const v1::TrainingPair> pairs,
                                        const std::string& name) {
    const Stopwatch computing;
    ATTUNE_ASSIGN_OR_RETURN(const CoupledLosses coupled,
                            EvaluateTogether(trainee.objective, trainee.models, pairs,
                                             update_pairs, ranks_, hooks_.stop(), &rewards_));
    const absl::StatusOr<UpdateSums> mine =
        AccumulateGradients(trainee.objective, trainee.models, coupled, pairs,
                            request_.training().per_device_train_batch_size(), update_pairs);
    time_.compute += computing.Seconds();
    const Stopwatch agreeing;
    ATTUNE_ASSIGN_OR_RETURN(const UpdateSums sums, OverAllRanks(ranks_, mine, hooks_.stop()));
    time_.agreement += agreeing.Seconds();
    if (sums.pairs != update_pairs) {
      return absl::InternalError(absl::StrCat(name, " got ", sums.pairs, " pairs instead of ",
                                              update_pairs));
    }
    if (!std::isfinite(sums.loss)) {
      return absl::FailedPreconditionError(
          absl::StrCat(name, ": the loss is ", sums.loss / update_pairs));
    }
    return sums;
  }

  // `of_policies`: of the one that is the policy first.
  void Report(uint32_t done, double learning_rate, double norm,
              const std::vector<UpdateSums>& of_policies, double seconds) {
    const UpdateSums& sums = of_policies[0];
    v1::StepMetrics step;
    step.set_step(done + 1);
    step.set_steps(UpdatesOfRound(request_));
    auto& values = *step.mutable_values();
    values["loss"] = sums.loss / sums.pairs;
    values["rewards/chosen"] = sums.chosen_reward / sums.pairs;
    values["rewards/rejected"] = sums.rejected_reward / sums.pairs;
    values["rewards/margins"] = (sums.chosen_reward - sums.rejected_reward) / sums.pairs;
    values["rewards/accuracies"] = sums.correct / sums.pairs;
    if (of_policies.size() > 1) {
      const UpdateSums& slow = of_policies[1];
      values["loss/dpo"] = sums.dpo_loss / sums.pairs;
      values["slow/loss/dpo"] = slow.dpo_loss / slow.pairs;
      values["slow/rewards/margins"] = (slow.chosen_reward - slow.rejected_reward) / slow.pairs;
    }
    if (trainees_[0].objective.needs.rewards) {
      values["mean_reward"] = (sums.chosen_reward + sums.rejected_reward) / (2 * sums.pairs);
    } else {
      AddLogps(done, sums, values);
    }
    values["grad_norm"] = norm;
    values["learning_rate"] = learning_rate;
    values["epoch"] = static_cast<double>(done + 1) / UpdatesPerEpoch(request_);
    values["num_tokens"] = tokens_;
    values["tokens_per_second"] = sums.tokens / seconds;
    values["time/step"] = seconds;
    values["time/compute"] = time_.compute;
    values["time/agreement"] = time_.agreement;
    values["time/optimizer"] = time_.optimizer;
    hooks_.on_step(step);
  }

  static void AddLogps(uint32_t done, const UpdateSums& sums,
                       google::protobuf::Map<std::string, double>& values) {
    values["logps/chosen"] = sums.chosen_logp / sums.pairs;
    values["logps/rejected"] = sums.rejected_logp / sums.pairs;
    // Below zero for the chosen ones: likelihood displacement.
    values["logps/chosen_change"] = sums.chosen_change / sums.pairs;
    values["logps/rejected_change"] = sums.rejected_change / sums.pairs;
    // The weights are those that sampled only before the first update.
    if (done == 0) values["sampling/sampling_logp_difference/max"] = sums.largest_change;
  }

  const v1::TrainRoundRequest& request_;
  const ModelConfig& config_;
  Collective& ranks_;
  const TrainRoundHooks& hooks_;
  std::vector<float> base_;  // of the adapters
  Adapters* const adapters_;
  const std::unique_ptr<const DifferentiableModel> reference_;  // null: none
  std::vector<Trainee> trainees_;                               // the policy first
  RunningMean rewards_;
  std::vector<v1::TrainingPair> to_probe_;
  UpdateTime time_;    // of the update
  double tokens_ = 0;  // of the round so far
};

}  // namespace

uint32_t UpdatesOfRound(const v1::TrainRoundRequest& request) {
  return request.training().num_train_epochs() * UpdatesPerEpoch(request);
}

uint32_t PairsOfUpdate(const v1::TrainRoundRequest& request, uint32_t update) {
  const uint32_t batch = PairsPerUpdate(request.training());
  const uint32_t first = update % UpdatesPerEpoch(request) * batch;
  return std::min(batch, request.pairs() - first);
}

absl::StatusOr<TrainedRound> TrainRound(const v1::TrainRoundRequest& request,
                                        const ModelConfig& config, std::vector<float> weights,
                                        Adapters* adapters, PolicyWeights* reference,
                                        Collective& ranks, int threads,
                                        const TrainRoundHooks& hooks) {
  SetPieceThreads(threads);
  ATTUNE_ASSIGN_OR_RETURN(const TrainingObjective objective, TrainingObjectiveOf(request));
  if (objective.needs.other_adapter && (adapters == nullptr || adapters->slow.empty())) {
    return absl::InvalidArgumentError("ofs_dpo trains two adapters, but training.lora is not set");
  }
  RoundTrainer trainer(request, objective, config, std::move(weights), adapters, reference, ranks,
                       hooks);
  for (uint32_t epoch = 0; epoch < request.training().num_train_epochs(); ++epoch) {
    ATTUNE_RETURN_IF_ERROR(trainer.RunEpoch(epoch));
  }
  return trainer.Finish();
}

}  // namespace attune
