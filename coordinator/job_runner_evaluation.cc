// The part of JobRunner that looks at a round beside the rounds before it: the policy is published
// and evaluated against theirs, alarms are raised, the gate decides.
#include <algorithm>
#include <iterator>
#include <utility>

#include "common/rng.h"
#include "common/status_macros.h"
#include "coordinator/alarms.h"
#include "coordinator/calibration.h"
#include "coordinator/evaluation.h"
#include "coordinator/gate.h"
#include "coordinator/job_failure.h"
#include "coordinator/job_runner.h"
#include "coordinator/judging.h"
#include "coordinator/label_evaluation.h"
#include "coordinator/objective_spec.h"
#include "coordinator/phase_requests.h"

namespace attune {
namespace {

constexpr uint64_t kBootstrapDraw = 0x626f6f74737472;  // "bootstr": which of a job's draws it is

}  // namespace

absl::StatusOr<std::vector<EarlierRound>> JobRunner::HoldoutsBefore(const Context& context) {
  std::vector<EarlierRound> earlier;
  const uint32_t round = context.record.round();
  if (round == 0) return earlier;
  ATTUNE_ASSIGN_OR_RETURN(const std::optional<v1::RoundRecord> before,
                          store_->GetRound(context.job.ordinal(), round - 1));
  for (uint32_t other : ComparedRounds(round - 1, before->best_round())) {
    ATTUNE_ASSIGN_OR_RETURN(std::vector<v1::Response> responses,
                            store_->ListHoldoutResponses(context.job.ordinal(), other));
    // A store of an older version kept none.
    if (responses.empty()) continue;
    earlier.push_back({other, std::move(responses)});
  }
  return earlier;
}

absl::StatusOr<PhaseResult> JobRunner::Publish(const Context& context) {
  const v1::RoundRecord& record = context.record;
  const v1::JobSpec& spec = context.job.resolved_spec();
  const Policies policies = PoliciesFor(context, PolicyAfter(record));
  if (!NeedsOf(spec.objective()).rewards) {  // which no rollout worker could use
    ATTUNE_RETURN_IF_ERROR(
        workers_->Publish(policies, context.stop, ProgressOf(context, "workers", false)));
  }
  PolicyPublished published;
  if (EvaluatesByLabels(spec) && !context.holdout.empty()) {
    ATTUNE_ASSIGN_OR_RETURN(published.evaluation, EvaluateLabels(context));
  } else if (!context.holdout.empty()) {
    ATTUNE_ASSIGN_OR_RETURN(published, EvaluateSamples(context, policies));
  }
  ATTUNE_ASSIGN_OR_RETURN(published.calibration, CalibrateOracle(context));
  return published;
}

absl::StatusOr<v1::Calibration> JobRunner::CalibrateOracle(const Context& context) {
  if (context.labelled.prompts.empty()) return v1::Calibration();
  const v1::OracleSpec& oracle = context.job.resolved_spec().oracle();
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<v1::Judgment> judgments,
                          JudgePatiently(*workers_, CalibrationRequest(oracle, context.labelled),
                                         {}, context.stop,
                                         ProgressOf(context, "judgments", true)));
  ATTUNE_ASSIGN_OR_RETURN(const std::optional<v1::RoundRecord> first,
                          store_->GetRound(context.job.ordinal(), 0));
  const bool is_first = context.record.round() == 0 || !first.has_value();
  return Calibrate(context.labelled, judgments,
                   is_first ? nullptr : &first->diagnosis().calibration());
}

absl::StatusOr<PolicyPublished> JobRunner::EvaluateSamples(const Context& context,
                                                           const Policies& policies) {
  const v1::RoundRecord& record = context.record;
  const v1::JobSpec& spec = context.job.resolved_spec();
  const v1::SampleRequest request = HoldoutSampleRequest(spec, context.dataset, context.holdout,
                                                         record.round(), PolicyAfter(record));
  ATTUNE_ASSIGN_OR_RETURN(
      const std::vector<v1::Response> responses,
      workers_->Sample(request, policies, context.stop, ProgressOf(context, "responses", true)));
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<EarlierRound> earlier, HoldoutsBefore(context));
  EvaluationInput input{.prompts = context.dataset.prompts,
                        .responses = responses,
                        .earlier = earlier,
                        .seed = CounterRng({spec.seed(), kBootstrapDraw, record.round()}).key()};
  ATTUNE_ASSIGN_OR_RETURN(std::vector<v1::Judgment> judgments,
                          AskOracle(context, spec.oracle(), SideBySide(input)));
  input.judgments = judgments;
  PolicyPublished published{.evaluation = Evaluate(input)};
  std::transform(responses.begin(), responses.end(),
                 std::back_inserter(published.holdout_responses), ForComparison);
  published.holdout_judgments = std::move(judgments);
  return published;
}

absl::StatusOr<v1::Evaluation> JobRunner::EvaluateLabels(const Context& context) {
  const uint32_t round = context.record.round();
  if (round == 0) return v1::Evaluation();  // which has no rewards yet
  const v1::JudgeRequest request =
      LabelJudgeRequest(context.job.resolved_spec(), CheckpointPath(context.job, round),
                        context.dataset, context.holdout);
  if (request.items().empty()) return v1::Evaluation();
  const absl::StatusOr<std::vector<v1::Judgment>> judgments =
      workers_->Judge(request, context.stop, ProgressOf(context, "judgments", true));
  if (absl::IsInvalidArgument(judgments.status())) {
    return JobFailure(v1::FAILURE_REASON_ORACLE_FAILED, judgments.status());
  }
  ATTUNE_RETURN_IF_ERROR(judgments.status());
  return EvaluateByLabels(context.dataset, *judgments);
}

absl::Status JobRunner::CompareWithEarlierRounds(const Context& context, RoundStep* step) {
  const v1::JobSpec& spec = context.job.resolved_spec();
  v1::RoundRecord& record = step->record;
  ATTUNE_ASSIGN_OR_RETURN(std::vector<v1::RoundRecord> before,
                          store_->ListRounds(context.job.ordinal()));
  before.resize(std::min<size_t>(before.size(), record.round()));
  const bool measured = spec.objective().reference() == v1::REFERENCE_INITIAL;
  if (record.phase() == v1::ROUND_PHASE_SAMPLED && !measured) {  // on held-out prompts instead
    record.mutable_diagnosis()->set_kl(before[record.policy().round()].evaluation().kl());
  }
  if (record.phase() == v1::ROUND_PHASE_PUBLISHED) {
    ApplyGate(spec.evaluation(), before, &record);
    if (!before.empty()) {
      const auto kept = ComparedRounds(record.round(), record.best_round());
      const auto had = ComparedRounds(record.round() - 1, before.back().best_round());
      std::set_difference(had.begin(), had.end(), kept.begin(), kept.end(),
                          std::back_inserter(step->drop_holdout_responses));
    }
  }
  step->alarms = AlarmsOf(spec, before, record);
  for (const v1::Alarm& alarm : step->alarms) *record.mutable_diagnosis()->add_alarms() = alarm;
  return absl::OkStatus();
}

}  // namespace attune
