#include "coordinator/job_runner.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/digest.h"
#include "common/files.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "coordinator/alarms.h"
#include "coordinator/curriculum.h"
#include "coordinator/dataset.h"
#include "coordinator/gate.h"
#include "coordinator/job_failure.h"
#include "coordinator/objective_spec.h"
#include "coordinator/phase_requests.h"
#include "coordinator/round_order.h"
#include "coordinator/timestamps.h"
#include "coordinator/train_request.h"

namespace attune {
namespace {

constexpr char kCutMessage[] =
    " responses of the dataset are longer than the model's context and were cut off there";

// Of responses that the dataset gives, those that are longer than the model's context.
size_t CutResponses(const std::vector<v1::Response>& responses) {
  return static_cast<size_t>(
      std::count_if(responses.begin(), responses.end(), [](const v1::Response& response) {
        return response.provenance() == v1::PROVENANCE_GIVEN &&
               response.finish_reason() == v1::FINISH_REASON_LENGTH;
      }));
}

std::string PhaseMessage(const RoundStep& step) {
  const v1::RoundRecord& record = step.record;
  switch (record.phase()) {
    case v1::ROUND_PHASE_PROMPTS:
      return absl::StrCat(record.prompt_indices_size(), " prompts chosen");
    case v1::ROUND_PHASE_SAMPLED: {
      const size_t cut = CutResponses(step.responses);
      return absl::StrCat(record.responses(), " responses sampled, ", record.response_tokens(),
                          " tokens", cut == 0 ? "" : absl::StrCat("; ", cut, kCutMessage));
    }
    case v1::ROUND_PHASE_JUDGED:
      return absl::StrCat(
          absl::StrFormat("%d responses judged, mean score %.3f", record.responses(),
                          record.mean_score()),
          record.quarantined().empty()
              ? ""
              : absl::StrCat("; ", record.quarantined_size(), " prompts quarantined"));
    case v1::ROUND_PHASE_PAIRED:
      return absl::StrCat(record.pairs().kept(), " pairs kept");
    case v1::ROUND_PHASE_TRAINED:
      return absl::StrCat("trained in ", record.steps_size(), " updates");
    default:
      if (record.evaluation().pairs() > 0) {
        return absl::StrFormat("policy %d published; accuracy %.3f on %d held-out pairs",
                               record.round(), record.evaluation().accuracy(),
                               record.evaluation().pairs());
      }
      return absl::StrFormat("policy %d published; win rate %.3f, score %.3f, KL %.2f",
                             record.round(), record.evaluation().win_rate(),
                             record.evaluation().mean_score(), record.evaluation().kl());
  }
}

// Of the alarms of a phase, for the event that tells of it.
std::string AlarmText(const std::vector<v1::Alarm>& alarms) {
  std::string text;
  for (const v1::Alarm& alarm : alarms) {
    absl::StrAppend(&text, "; ALARM ", AlarmLabel(alarm.kind()), ": ", alarm.message());
  }
  return text;
}

}  // namespace

JobRunner::JobRunner(JobBook* book, Store* store, Workers* workers, Metrics* metrics,
                     std::string checkpoint_root)
    : book_(book), store_(store), workers_(workers), metrics_(metrics),
      checkpoint_root_(std::move(checkpoint_root)) {}

void JobRunner::Run() {
  while (std::optional<JobLease> lease = book_->WaitForWork()) {
    Context context{.job = std::move(lease->job), .stop = lease->stop};
    const absl::Status status = RunJob(context);
    if (book_->ShuttingDown()) return;  // the next process goes on from the last record
    if (!status.ok()) End(context, status);
  }
}

absl::Status JobRunner::RunJob(Context& context) {
  ATTUNE_RETURN_IF_ERROR(Begin(context));
  for (uint32_t round = 0; round <= context.job.resolved_spec().rounds(); ++round) {
    ATTUNE_RETURN_IF_ERROR(LoadRound(context, round));
    ATTUNE_RETURN_IF_ERROR(RunRound(context));
    if (context.record.gate_stopped()) break;
  }
  return Finish(context);
}

absl::Status JobRunner::Begin(Context& context) {
  const v1::JobSpec& spec = context.job.resolved_spec();
  if (context.stop.stop_requested()) return absl::CancelledError("stopped");
  if (context.job.state() == v1::JOB_STATE_QUEUED) {
    context.job.set_state(v1::JOB_STATE_RUNNING);
    if (!context.job.has_start_time()) {
      *context.job.mutable_start_time() = ToTimestamp(WallTime());
    }
    ATTUNE_RETURN_IF_ERROR(book_->Write({.job = &context.job}, "started"));
  }
  absl::StatusOr<Dataset> dataset = LoadDataset(spec.dataset().path());
  if (!dataset.ok()) return JobFailure(v1::FAILURE_REASON_DATASET_UNUSABLE, dataset.status());
  if (dataset->digest != context.job.dataset_digest()) {
    return JobFailure(v1::FAILURE_REASON_DATASET_UNUSABLE,
                      absl::FailedPreconditionError(absl::StrCat(
                          spec.dataset().path(), " has changed since the job was accepted")));
  }
  context.dataset = *std::move(dataset);
  if (!spec.oracle().calibration().empty()) {
    absl::StatusOr<Dataset> labelled = LoadDataset(spec.oracle().calibration());
    if (!labelled.ok()) return JobFailure(v1::FAILURE_REASON_DATASET_UNUSABLE, labelled.status());
    context.labelled = *std::move(labelled);
  }
  context.holdout = HoldoutPrompts(static_cast<uint32_t>(context.dataset.prompts.size()),
                                   spec.seed(), spec.evaluation().holdout_prompts());
  return absl::OkStatus();
}

absl::Status JobRunner::LoadRound(Context& context, uint32_t round) {
  ATTUNE_ASSIGN_OR_RETURN(std::optional<v1::RoundRecord> stored,
                          store_->GetRound(context.job.ordinal(), round));
  if (stored.has_value()) {
    context.record = *std::move(stored);
    return absl::OkStatus();
  }
  v1::PolicyVersion policy;
  if (round == 0) {
    absl::StatusOr<v1::DescribeModelResponse> model =
        workers_->DescribeModel(context.job.resolved_spec().model().path(), context.stop);
    if (absl::IsInvalidArgument(model.status())) {
      return JobFailure(v1::FAILURE_REASON_MODEL_UNUSABLE, model.status());
    }
    ATTUNE_RETURN_IF_ERROR(model.status());
    policy.set_digest(model->weights_digest());
  } else {
    policy = PolicyOfNextRound(context.record);  // of the round before
  }
  context.record = NewRound(context.job.name(), round, policy);
  *context.record.mutable_start_time() = ToTimestamp(WallTime());
  context.job.set_round(round);
  return absl::OkStatus();
}

absl::Status JobRunner::RunRound(Context& context) {
  while (context.record.phase() != v1::ROUND_PHASE_PUBLISHED) {
    if (context.stop.stop_requested()) return absl::CancelledError("stopped");
    ProgressOf(context, "", false)(0, 0);
    const Stopwatch watch;
    ATTUNE_ASSIGN_OR_RETURN(PhaseResult result, RunPhase(context));
    absl::StatusOr<RoundStep> step = AdvanceRound(context.job.resolved_spec(), context.record,
                                                  std::move(result));
    if (absl::IsNotFound(step.status())) {
      return JobFailure(v1::FAILURE_REASON_NO_PAIRS, step.status());
    }
    if (absl::IsFailedPrecondition(step.status())) {
      return JobFailure(v1::FAILURE_REASON_ORACLE_FAILED, step.status());
    }
    ATTUNE_RETURN_IF_ERROR(step.status());
    ATTUNE_RETURN_IF_ERROR(CompareWithEarlierRounds(context, &*step));
    ATTUNE_RETURN_IF_ERROR(Commit(context, *std::move(step), watch.Seconds()));
  }
  return absl::OkStatus();
}

absl::StatusOr<PhaseResult> JobRunner::RunPhase(const Context& context) {
  switch (NextPhase(context.record)) {
    case v1::ROUND_PHASE_PROMPTS:
      return ChoosePrompts(context);
    case v1::ROUND_PHASE_SAMPLED:
      return Sample(context);
    case v1::ROUND_PHASE_JUDGED:
      return Judge(context);
    case v1::ROUND_PHASE_PAIRED:
      return Pair(context);
    case v1::ROUND_PHASE_TRAINED:
      return Train(context);
    default:
      return Publish(context);
  }
}

absl::StatusOr<PhaseResult> JobRunner::Sample(const Context& context) {
  const v1::RoundRecord& record = context.record;
  const v1::JobSpec& spec = context.job.resolved_spec();
  Policies policies = PoliciesFor(context, record.policy());
  // A reward model writes nothing; the initial model reads the dataset's responses for it.
  if (NeedsOf(spec.objective()).rewards) policies.current = policies.initial;
  const v1::SampleRequest request =
      RoundSampleRequest(spec, context.dataset, record.prompt_indices(), record.round(),
                         policies.current.version());
  absl::StatusOr<std::vector<v1::Response>> responses = workers_->Sample(
      request, policies, context.stop, ProgressOf(context, "responses", false));
  if (absl::IsInvalidArgument(responses.status())) {  // a prompt that the model cannot take
    return JobFailure(v1::FAILURE_REASON_DATASET_UNUSABLE, responses.status());
  }
  ATTUNE_RETURN_IF_ERROR(responses.status());
  ResponsesSampled sampled{*std::move(responses), {}};
  for (const v1::Prompt& prompt : request.prompts()) {
    sampled.given.push_back(static_cast<uint32_t>(prompt.given_size()));
  }
  return sampled;
}

absl::StatusOr<PhaseResult> JobRunner::Pair(const Context& context) {
  const v1::RoundRecord& record = context.record;
  const uint64_t job = context.job.ordinal();
  ATTUNE_ASSIGN_OR_RETURN(std::vector<v1::Response> responses,
                          store_->ListResponses(job, record.round()));
  ATTUNE_ASSIGN_OR_RETURN(std::vector<v1::Judgment> judgments,
                          store_->ListJudgments(job, record.round()));
  responses = InRoundOrder(record, std::move(responses));
  judgments = InRoundOrder(record, std::move(judgments));
  std::vector<v1::Prompt> prompts;
  for (uint32_t index : record.prompt_indices()) prompts.push_back(context.dataset.prompts[index]);
  const v1::JobSpec& spec = context.job.resolved_spec();
  PairingOutput output = BuildPairs({.job = context.job.name(),
                                     .round = record.round(),
                                     .seed = spec.seed(),
                                     .spec = &spec,
                                     .prompts = prompts,
                                     .responses = responses,
                                     .judgments = judgments});
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<v1::RoundRecord> rounds, store_->ListRounds(job));
  v1::RoundRecord paired = record;
  *paired.mutable_pairs() = output.counts;
  output.counts.set_replayed(static_cast<uint32_t>(ReplayOf(spec, paired, rounds).size()));
  return PairsBuilt{std::move(output)};
}

absl::StatusOr<PhaseResult> JobRunner::Train(const Context& context) {
  const v1::RoundRecord& record = context.record;
  ATTUNE_ASSIGN_OR_RETURN(const std::optional<v1::RoundRecord> before,
                          store_->GetRound(context.job.ordinal(), record.round() - 1));
  ATTUNE_CHECK(before.has_value());
  v1::TrainRoundRequest request = MakeTrainRequest(
      context.job, record, *before, PoliciesFor(context, record.policy()),
      {.checkpoint = CheckpointPath(context.job, record.round()),
       .reference = record.round() > 1 ? ReferencePath(context.job, record.round()) : "",
       .next_reference = ReferencePath(context.job, record.round() + 1)});
  // A domain is remembered once its last round is over.
  if (request.objective().domain_memory() > 0 &&
      !DomainOfRound(context.job.resolved_spec(), context.dataset, record.round()).last) {
    request.mutable_objective()->set_domain_memory(0);
  }
  ATTUNE_RETURN_IF_ERROR(CreateDirectories(ParentPath(request.output_path())));
  PolicyTrained trained{.checkpoint_path = request.output_path()};
  const StepCall on_step = [&](const v1::StepMetrics& step) {
    // A repeated attempt begins with step 1 again. Only rank 0 reports steps.
    trained.steps.resize(std::min<size_t>(trained.steps.size(), step.step() - 1));
    trained.steps.push_back(step);
    v1::Progress progress;
    progress.set_phase(NextPhase(record));
    progress.set_round(record.round());
    progress.set_done(step.step());
    progress.set_total(step.steps());
    progress.set_unit("updates");
    *progress.mutable_step() = step;
    book_->SetProgress(context.job, progress);
  };
  absl::StatusOr<v1::TrainRoundResult> result =
      workers_->Train(std::move(request), context.stop, on_step);
  if (absl::IsFailedPrecondition(result.status()) || absl::IsOutOfRange(result.status())) {
    return JobFailure(v1::FAILURE_REASON_DIVERGED, result.status());
  }
  ATTUNE_RETURN_IF_ERROR(result.status());
  trained.policy = result->policy();
  trained.reference_digest = result->reference_digest();
  trained.probe = result->probe();
  return trained;
}

absl::Status JobRunner::Commit(Context& context, RoundStep step, double seconds) {
  v1::RoundRecord& record = step.record;
  v1::PhaseTiming* timing = record.add_timings();
  timing->set_phase(record.phase());
  timing->set_seconds(seconds);
  context.job.set_round(record.round());
  if (record.phase() == v1::ROUND_PHASE_PUBLISHED) {
    *record.mutable_end_time() = ToTimestamp(WallTime());
    if (record.round() == 0) *context.job.mutable_initial_evaluation() = record.evaluation();
    context.job.set_best_round(record.best_round());
  }
  const std::string message = PhaseMessage(step);
  const size_t cut = CutResponses(step.responses);
  attune::Commit commit{.job = &context.job, .round = &record};
  commit.responses = std::move(step.responses);
  commit.judgments = std::move(step.judgments);
  commit.pairs = std::move(step.pairs);
  commit.holdout_judgments = std::move(step.holdout_judgments);
  commit.holdout_responses = std::move(step.holdout_responses);
  commit.drop_holdout_responses = std::move(step.drop_holdout_responses);
  commit.drop_samples = step.drop_samples;
  ATTUNE_RETURN_IF_ERROR(
      book_->Write(std::move(commit), absl::StrCat(message, AlarmText(step.alarms))));
  LogInfo(record.name(), ": ", message, absl::StrFormat(" (%.1f s)", seconds));
  if (cut > 0) LogWarning(record.name(), ": ", cut, kCutMessage);
  CountPhase(context, record, seconds);
  TellAlarms(context, step.alarms);
  context.record = std::move(record);
  if (context.record.phase() == v1::ROUND_PHASE_PUBLISHED) RemoveOldCheckpoints(context);
  return absl::OkStatus();
}

absl::Status JobRunner::Finish(Context& context) {
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<v1::RoundRecord> rounds,
                          store_->ListRounds(context.job.ordinal()));
  Sha256 pairs;
  for (const v1::RoundRecord& round : rounds) {
    if (round.round() > 0) pairs.UpdateField(round.pairs_digest());
  }
  context.job.set_pairs_digest(pairs.HexDigest());
  context.job.set_weights_digest(PolicyAfter(rounds[ResultRound(context.record)]).digest());
  context.job.set_state(v1::JOB_STATE_SUCCEEDED);
  context.job.set_message(GateMessage(context.record));
  *context.job.mutable_end_time() = ToTimestamp(WallTime());
  LogInfo(context.job.name(), " succeeded ", context.job.message());
  return book_->Write({.job = &context.job},
                      context.record.gate_stopped() ? context.job.message() : "succeeded");
}

void JobRunner::End(Context& context, const absl::Status& status) {
  const bool cancelled = context.stop.stop_requested();
  context.job.set_state(cancelled ? v1::JOB_STATE_CANCELLED : v1::JOB_STATE_FAILED);
  context.job.set_message(cancelled ? "cancelled" : std::string(status.message()));
  if (!cancelled) context.job.set_failure_reason(FailureReasonOf(status));
  *context.job.mutable_end_time() = ToTimestamp(WallTime());
  LogWarning(context.job.name(), " ended: ", context.job.message());
  const absl::Status written = book_->Write({.job = &context.job}, context.job.message());
  if (!written.ok()) {
    LogError("cannot store the end of ", context.job.name(), ": ", written.message());
    PauseFor(absl::Seconds(1));  // Run takes the job up again
  }
}

Policies JobRunner::PoliciesFor(const Context& context, const v1::PolicyVersion& version) const {
  Policies policies;
  const std::string& model = context.job.resolved_spec().model().path();
  policies.initial.set_model_path(model);
  policies.current.set_model_path(model);
  *policies.current.mutable_version() = version;
  if (version.round() > 0) {
    policies.current.set_checkpoint_path(CheckpointPath(context.job, version.round()));
    for (std::string& address : workers_->WeightAddresses()) {
      policies.current.add_weight_addresses(std::move(address));
    }
  }
  // The initial policy is known by its digest from round 0's record.
  const auto first = store_->GetRound(context.job.ordinal(), 0);
  const bool stored = first.ok() && first->has_value();
  *policies.initial.mutable_version() = stored ? (*first)->policy() : version;
  policies.precision = context.job.resolved_spec().training().precision();
  return policies;
}

std::string JobRunner::CheckpointPath(const v1::Job& job, uint32_t round) const {
  return absl::StrCat(checkpoint_root_, "/", absl::StripPrefix(job.name(), "jobs/"), "/round-",
                      round);
}

// The mixed reference of a round.
std::string JobRunner::ReferencePath(const v1::Job& job, uint32_t round) const {
  return absl::StrCat(ParentPath(CheckpointPath(job, round)), "/reference-", round);
}

void JobRunner::RemoveOldCheckpoints(const Context& context) const {
  const uint32_t keep = context.job.resolved_spec().checkpoint().save_total_limit();
  const std::string directory = ParentPath(CheckpointPath(context.job, 1));
  const absl::StatusOr<std::vector<std::string>> names = ListDirectory(directory);
  if (!names.ok()) return;  // round 0 has none
  for (const std::string& name : *names) {
    uint32_t round = 0;
    const uint32_t now = context.record.round();
    const bool old_checkpoint =
        absl::SimpleAtoi(absl::StripPrefix(name, "round-"), &round) && round + keep <= now &&
        round != context.record.best_round();
    const bool old_reference =
        absl::SimpleAtoi(absl::StripPrefix(name, "reference-"), &round) && round <= now;
    if (!old_checkpoint && !old_reference) continue;
    const absl::Status status = RemoveAll(JoinPath(directory, name));
    if (!status.ok()) LogWarning("old checkpoint stays: ", status.message());
  }
}

}  // namespace attune
