#include "worker/trainer_service.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "model/weights.h"
#include "rpc/grpc_status.h"
#include "worker/agreement.h"
#include "worker/gang.h"
#include "worker/pair_client.h"
#include "worker/policy_files.h"
#include "worker/train_round.h"
#include "worker/training_objective.h"

namespace attune {
namespace {

constexpr absl::Duration kStaleAttemptPatience = absl::Seconds(30);

absl::Status CheckRequest(const v1::TrainRoundRequest& request) {
  const v1::TrainingSpec& spec = request.training();
  std::vector<FieldViolation> violations;
  const auto require = [&](bool fine, const char* field, const char* description) {
    if (!fine) violations.push_back({field, description});
  };
  require(request.pairs() > 0, "pairs", "must be positive");
  require(spec.per_device_train_batch_size() > 0 && spec.gradient_accumulation_steps() > 0 &&
              spec.num_train_epochs() > 0,
          "training", "batch size, accumulation steps and epochs must be positive");
  require(!request.output_path().empty() &&
              request.output_path() != request.input().checkpoint_path() &&
              request.output_path() != request.input().model_path(),
          "output_path", "must be set and must not be the input, which it would overwrite");
  const v1::LoraSpec& lora = spec.lora();
  require(!spec.has_lora() ||
              (lora.r() > 0 && lora.lora_alpha() > 0 && lora.target_modules_size() > 0),
          "training.lora", "r and lora_alpha must be positive, target_modules not empty");
  require(request.reference_output_path().empty() || request.has_reference(),
          "reference_output_path", "is set, but there is no reference to mix");
  return BadRequestError(violations);
}

// What a round begins with.
struct Inputs {
  PolicyWeights policy;  // with adapters, the weights that they are of
  std::optional<Adapters> adapters;
  std::optional<PolicyWeights> reference;
};

absl::StatusOr<Inputs> LoadInputs(const v1::TrainRoundRequest& request) {
  ATTUNE_RETURN_IF_ERROR(CheckRequest(request));
  ATTUNE_ASSIGN_OR_RETURN(const TrainingObjective objective, TrainingObjectiveOf(request));
  Inputs inputs;
  if (request.training().has_lora()) {
    ATTUNE_ASSIGN_OR_RETURN(AdaptedPolicy adapted, LoadAdaptedPolicy(request));
    inputs.policy = std::move(adapted.base);
    inputs.adapters = std::move(adapted.adapters);
  } else {
    ATTUNE_ASSIGN_OR_RETURN(inputs.policy, objective.needs.rewards
                                               ? LoadRewardModel(request.input(), request.seed())
                                               : LoadPolicyWeights(request.input()));
  }
  if (!request.has_reference()) return inputs;
  ATTUNE_ASSIGN_OR_RETURN(inputs.reference, LoadPolicyWeights(request.reference()));
  const int64_t vocabulary = inputs.policy.config.vocab_size;
  if (inputs.reference->config.vocab_size != vocabulary) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot compare with the reference ", DirectoryOf(request.reference()),
                     ": it has a vocabulary of ", inputs.reference->config.vocab_size,
                     ", the policy one of ", vocabulary));
  }
  return inputs;
}

}  // namespace

grpc::Status TrainerServiceImpl::TrainRound(grpc::ServerContext* context,
                                            const v1::TrainRoundRequest* request,
                                            grpc::ServerWriter<v1::TrainRoundEvent>* writer) {
  const auto turn = gate_.Enter(kStaleAttemptPatience);
  if (!turn.ok()) return ToGrpcStatus(turn.status());
  if (!healthy_) return ToGrpcStatus(absl::UnavailableError("this gang is being restarted"));
  const Stop stop = [&] { return context->IsCancelled() || (*turn)->stale(); };
  const Emit emit = [&](const v1::StepMetrics& step) {
    if (ranks_->rank() != 0) return;
    v1::TrainRoundEvent event;
    *event.mutable_step() = step;
    writer->Write(event);  // a caller that left is noticed by `stop`
  };
  const std::string name = absl::StrCat(request->job(), " round ", request->round());
  absl::StatusOr<v1::TrainRoundResult> result = Train(*request, stop, emit);
  healthy_ = ranks_->healthy();
  if (!result.ok()) {
    LogWarning(name, ": training failed: ", result.status().ToString());
    return ToGrpcStatus(result.status());
  }
  LogInfo(name, ": ", result->steps(), " updates in ", result->seconds(), " s");
  v1::TrainRoundEvent event;
  *event.mutable_result() = *std::move(result);
  writer->Write(event);
  return grpc::Status::OK;
}

absl::StatusOr<v1::TrainRoundResult> TrainerServiceImpl::Train(
    const v1::TrainRoundRequest& request, const Stop& stop, const Emit& emit) {
  const Stopwatch stopwatch;
  ATTUNE_RETURN_IF_ERROR(Meet(request, stop));
  absl::StatusOr<Inputs> inputs = LoadInputs(request);
  ATTUNE_RETURN_IF_ERROR(SumIfAllWell(*ranks_, inputs.status(), stop(), {}));
  PolicyWeights& policy = inputs->policy;
  PolicyWeights* const reference = inputs->reference ? &*inputs->reference : nullptr;
  Adapters* const adapters = inputs->adapters ? &*inputs->adapters : nullptr;

  Stopwatch step_time;
  double tokens = 0;
  TrainRoundHooks hooks;
  hooks.stop = stop;
  const auto fetch = [&](uint32_t epoch, int rank, int ranks) {
    v1::StreamPairsRequest pairs;
    pairs.set_job(request.job());
    pairs.set_round(request.round());
    pairs.set_epoch(epoch);
    pairs.set_batch_size(request.training().per_device_train_batch_size() *
                         request.training().gradient_accumulation_steps());
    pairs.set_rank(rank);
    pairs.set_world_size(ranks);
    return FetchPairs(request.coordinator(), pairs, stop);
  };
  hooks.pairs_of_epoch = [&](uint32_t epoch) {
    return fetch(epoch, ranks_->rank(), ranks_->size());
  };
  hooks.first_pairs = [&](uint32_t count) {
    absl::StatusOr<std::vector<v1::TrainingPair>> pairs = fetch(0, 0, 1);
    if (pairs.ok() && pairs->size() > count) pairs->resize(count);
    return pairs;
  };
  hooks.on_step = [&](const v1::StepMetrics& step) {
    const double total = step.values().at("num_tokens");
    Count(step, PairsOfUpdate(request, step.step() - 1), total - tokens, step_time.Seconds());
    tokens = total;
    step_time = Stopwatch();
    emit(step);
  };
  ATTUNE_ASSIGN_OR_RETURN(TrainedRound round,
                          attune::TrainRound(request, policy.config, std::move(policy.weights),
                                             adapters, reference, *ranks_, threads_, hooks));
  policy.weights = std::move(round.weights);

  v1::TrainRoundResult result;
  *result.mutable_probe() = std::move(round.probe);
  result.mutable_policy()->set_round(request.round());
  result.mutable_policy()->set_digest(WeightsDigest(WeightLayout(policy.config), policy.weights));
  result.set_steps(UpdatesOfRound(request));
  absl::Status saved;
  if (ranks_->rank() == 0) {
    saved = SavePolicy(request, policy, result.policy().digest(), adapters);
    if (saved.ok() && !request.reference_output_path().empty()) {
      saved = SaveMixedReference(request, policy, *reference, result.mutable_reference_digest());
    }
  }
  ATTUNE_RETURN_IF_ERROR(SumIfAllWell(*ranks_, saved, /*stop=*/false, {}));
  weights_->Publish(result.policy(), policy.weights);
  result.set_seconds(stopwatch.Seconds());
  return result;
}

// Calls reach the ranks at different times, and some ranks may still wait here with an attempt that
// its caller has given up, since a collective operation cannot be taken back. So all show what they
// work on; those with a stale attempt leave, the others meet again.
absl::Status TrainerServiceImpl::Meet(const v1::TrainRoundRequest& request, const Stop& stop) {
  const double key =
      ExactKey(absl::StrCat(request.job(), "\n", request.round(), "\n", request.attempt()));
  while (!stop()) {
    std::vector<double> shown(ranks_->size());
    shown[ranks_->rank()] = key;
    ATTUNE_RETURN_IF_ERROR(ranks_->AllReduceSum(absl::MakeSpan(shown)));
    const auto same = [key](double other) { return other == key; };
    if (std::all_of(shown.begin(), shown.end(), same)) return absl::OkStatus();
    PauseFor(absl::Milliseconds(20));
  }
  return absl::CancelledError("training was stopped before it began");
}

void TrainerServiceImpl::Count(const v1::StepMetrics& step, uint32_t pairs, double tokens,
                               double seconds) {
  if (ranks_->rank() != 0) return;  // the numbers are those of all ranks
  const auto& values = step.values();
  metrics_->Set("attune_train_loss", "Loss of the last update.", values.at("loss"));
  metrics_->Set("attune_train_reward_margin", "Mean reward margin of the last update.",
                values.at("rewards/margins"));
  metrics_->Set("attune_train_reward_accuracy_ratio",
                "Share of pairs of the last update whose chosen reward is the higher.",
                values.at("rewards/accuracies"));
  metrics_->Set("attune_train_grad_norm", "Gradient norm of the last update before clipping.",
                values.at("grad_norm"));
  metrics_->Add("attune_train_updates_total", "Updates of the weights.", 1);
  metrics_->Add("attune_train_pairs_total", "Pairs trained on, over all epochs.", pairs);
  metrics_->Add("attune_train_tokens_total", "Tokens trained on, prompts included.", tokens);
  metrics_->Observe("attune_train_step_duration_seconds", "Time of one update.", seconds);
}

}  // namespace attune
