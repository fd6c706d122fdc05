#include "worker/train_round.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "model/tensor_type.h"
#include "model/weights.h"
#include "worker/agreement.h"
#include "worker/differentiable_model.h"
#include "worker/pair_probe.h"
#include "worker/pieces.h"
#include "worker/schedule.h"
#include "worker/sharded_adamw.h"
#include "worker/train_step.h"
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

AdamWOptions OptionsOf(const v1::TrainingSpec& spec) {
  return {.beta1 = spec.adam_beta1(),
          .beta2 = spec.adam_beta2(),
          .epsilon = spec.adam_epsilon(),
          .weight_decay = spec.weight_decay(),
          .max_grad_norm = spec.max_grad_norm(),
          .zero_stage = spec.zero_stage()};
}

TensorType PrecisionOf(const v1::TrainingSpec& spec) {
  return spec.precision() == v1::PRECISION_BF16 ? TensorType::kBf16 : TensorType::kF32;
}

std::vector<float> Padded(std::vector<float> weights, int ranks) {
  weights.resize(SliceSize(static_cast<int64_t>(weights.size()), ranks) * ranks);
  return weights;
}

// Sums over ranks, largest over ranks where that is meant; an error on every rank if one failed.
absl::StatusOr<UpdateSums> OverAllRanks(Collective& ranks, const absl::StatusOr<UpdateSums>& mine,
                                        bool stop) {
  UpdateSums sums = mine.ok() ? *mine : UpdateSums();
  double* const fields[] = {&sums.pairs,         &sums.tokens,          &sums.loss,
                            &sums.chosen_reward, &sums.rejected_reward, &sums.correct,
                            &sums.chosen_logp,   &sums.rejected_logp,   &sums.chosen_change,
                            &sums.rejected_change};
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
      reference->config, absl::MakeSpan(reference->weights), absl::Span<float>(), precision);
}

class RoundTrainer {
 public:
  RoundTrainer(const v1::TrainRoundRequest& request, TrainingObjective objective,
               const ModelConfig& config, std::vector<float> weights, PolicyWeights* reference,
               Collective& ranks, const TrainRoundHooks& hooks)
      : request_(request),
        ranks_(ranks),
        hooks_(hooks),
        objective_(std::move(objective)),
        count_(weights.size()),
        parameters_(Padded(std::move(weights), ranks.size())),
        pair_gradient_(parameters_.size()),
        gradients_(parameters_.size()),
        model_(config, absl::MakeSpan(parameters_), absl::MakeSpan(pair_gradient_),
               PrecisionOf(request.training())),
        reference_(MakeReference(reference, PrecisionOf(request.training()))),
        models_{.config = &config, .policy = &model_, .reference = reference_.get()},
        optimizer_(WeightLayout(config), OptionsOf(request.training()), ranks) {}

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

  // After all epochs.
  absl::StatusOr<v1::PairProbe> Probe() {
    return ProbePairs(models_, objective_.needs.rewards, to_probe_,
                      PairsPerUpdate(request_.training()), std::min(kProbePairs, request_.pairs()),
                      ranks_, hooks_.stop());
  }

  std::vector<float> TakeWeights() {
    parameters_.resize(count_);
    return std::move(parameters_);
  }

 private:
  // Update number `done` of the round, from 0, with this rank's pairs.
  absl::Status RunUpdate(uint32_t done, absl::Span<const v1::TrainingPair> pairs) {
    const v1::TrainingSpec& spec = request_.training();
    const uint32_t update_pairs = PairsOfUpdate(request_, done);
    const std::string name = absl::StrCat("update ", done + 1, " of ", UpdatesOfRound(request_));
    ATTUNE_ASSIGN_OR_RETURN(const CoupledLosses coupled,
                            EvaluateTogether(objective_, models_, pairs, update_pairs, ranks_,
                                             hooks_.stop(), &rewards_));
    ATTUNE_ASSIGN_OR_RETURN(
        const UpdateSums sums,
        OverAllRanks(ranks_,
                     AccumulateGradients(objective_, models_, coupled, pairs, update_pairs,
                                         absl::MakeSpan(pair_gradient_),
                                         absl::MakeSpan(gradients_)),
                     hooks_.stop()));
    if (sums.pairs != update_pairs) {
      return absl::InternalError(absl::StrCat(name, " got ", sums.pairs, " pairs instead of ",
                                              update_pairs));
    }
    if (!std::isfinite(sums.loss)) {
      return absl::FailedPreconditionError(
          absl::StrCat(name, ": the loss is ", sums.loss / update_pairs));
    }
    const double learning_rate = LearningRate(spec, done, UpdatesOfRound(request_));
    const absl::StatusOr<double> norm = optimizer_.Step(
        ranks_, learning_rate, absl::MakeSpan(parameters_), absl::MakeSpan(gradients_));
    ATTUNE_RETURN_IF_ERROR(Annotate(norm.status(), name));
    model_.ParametersChanged();
    tokens_ += sums.tokens;
    Report(done, learning_rate, *norm, sums);
    return absl::OkStatus();
  }

  void Report(uint32_t done, double learning_rate, double norm, const UpdateSums& sums) {
    v1::StepMetrics step;
    step.set_step(done + 1);
    step.set_steps(UpdatesOfRound(request_));
    auto& values = *step.mutable_values();
    values["loss"] = sums.loss / sums.pairs;
    values["rewards/chosen"] = sums.chosen_reward / sums.pairs;
    values["rewards/rejected"] = sums.rejected_reward / sums.pairs;
    values["rewards/margins"] = (sums.chosen_reward - sums.rejected_reward) / sums.pairs;
    values["rewards/accuracies"] = sums.correct / sums.pairs;
    if (objective_.needs.rewards) {
      values["mean_reward"] = (sums.chosen_reward + sums.rejected_reward) / (2 * sums.pairs);
    } else {
      AddLogps(done, sums, values);
    }
    values["grad_norm"] = norm;
    values["learning_rate"] = learning_rate;
    values["epoch"] = static_cast<double>(done + 1) / UpdatesPerEpoch(request_);
    values["num_tokens"] = tokens_;
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
  Collective& ranks_;
  const TrainRoundHooks& hooks_;
  const TrainingObjective objective_;
  const size_t count_;  // parameters without padding
  std::vector<float> parameters_;
  std::vector<float> pair_gradient_;
  std::vector<double> gradients_;  // of the update, this rank's part
  DifferentiableModel model_;
  const std::unique_ptr<const DifferentiableModel> reference_;  // null: none
  const TrainingModels models_;
  RunningMean rewards_;
  std::vector<v1::TrainingPair> to_probe_;
  ShardedAdamW optimizer_;
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
                                        PolicyWeights* reference, Collective& ranks, int threads,
                                        const TrainRoundHooks& hooks) {
  SetPieceThreads(threads);
  ATTUNE_ASSIGN_OR_RETURN(TrainingObjective objective, TrainingObjectiveOf(request));
  RoundTrainer trainer(request, std::move(objective), config, std::move(weights), reference, ranks,
                       hooks);
  for (uint32_t epoch = 0; epoch < request.training().num_train_epochs(); ++epoch) {
    ATTUNE_RETURN_IF_ERROR(trainer.RunEpoch(epoch));
  }
  TrainedRound round;
  ATTUNE_ASSIGN_OR_RETURN(round.probe, trainer.Probe());
  round.weights = trainer.TakeWeights();
  return round;
}

}  // namespace attune
