// The part of JobRunner that chooses prompts and asks oracles about their responses.
#include <iterator>
#include <utility>

#include "absl/status/status.h"
#include "common/status_macros.h"
#include "coordinator/curriculum.h"
#include "coordinator/dataset_oracle.h"
#include "coordinator/job_failure.h"
#include "coordinator/job_runner.h"
#include "coordinator/judging.h"
#include "coordinator/phase_requests.h"
#include "coordinator/round_order.h"

namespace attune {
namespace {

// Of responses grouped by prompt, those of the prompts at the given positions.
std::vector<v1::Response> ResponsesAt(std::vector<v1::Response> responses,
                                      const std::vector<size_t>& positions) {
  std::vector<v1::Response> chosen;
  auto next = positions.begin();
  auto end = responses.begin();
  for (size_t position = 0; next != positions.end() && end != responses.end(); ++position) {
    const auto begin = end;
    const uint32_t prompt = begin->prompt_index();
    while (end != responses.end() && end->prompt_index() == prompt) ++end;
    if (position != *next) continue;
    chosen.insert(chosen.end(), std::make_move_iterator(begin), std::make_move_iterator(end));
    ++next;
  }
  return chosen;
}

// One for each prompt of the round: those not asked about have neither scores nor failure.
std::vector<v1::Judgment> ForAllPrompts(const v1::RoundRecord& record,
                                        const std::vector<size_t>& positions,
                                        std::vector<v1::Judgment> judgments) {
  std::vector<v1::Judgment> all(static_cast<size_t>(record.prompt_indices_size()));
  for (size_t i = 0; i < all.size(); ++i) {
    all[i].set_prompt_index(record.prompt_indices(static_cast<int>(i)));
  }
  for (size_t k = 0; k < positions.size(); ++k) all[positions[k]] = std::move(judgments[k]);
  return all;
}

}  // namespace

absl::StatusOr<PhaseResult> JobRunner::ChoosePrompts(const Context& context) {
  const v1::JobSpec& spec = context.job.resolved_spec();
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<v1::RoundRecord> earlier,
                          store_->ListRounds(context.job.ordinal()));
  // As stored: people may have asked for more since the job was taken up.
  ATTUNE_ASSIGN_OR_RETURN(const v1::Job job, store_->GetJob(context.job.name()));
  const std::vector<uint32_t> retry(job.retry_prompts().begin(), job.retry_prompts().end());
  return PromptsChosen{
      DrawPrompts(spec, context.dataset, context.record.round(), earlier, retry)};
}

absl::StatusOr<std::vector<v1::Judgment>> JobRunner::AskOracle(
    const Context& context, const v1::OracleSpec& oracle,
    const std::vector<v1::Response>& responses) {
  if (oracle.kind() == v1::ORACLE_KIND_DATASET) return JudgeByDataset(context.dataset, responses);
  const bool evaluating = NextPhase(context.record) == v1::ROUND_PHASE_PUBLISHED;
  auto judgments = JudgePatiently(*workers_, MakeJudgeRequest(oracle, context.dataset, responses),
                                  {}, context.stop, ProgressOf(context, "judgments", evaluating));
  if (!absl::IsInvalidArgument(judgments.status())) return judgments;
  return JobFailure(v1::FAILURE_REASON_ORACLE_FAILED, judgments.status());
}

absl::StatusOr<PhaseResult> JobRunner::Judge(const Context& context) {
  const v1::RoundRecord& record = context.record;
  const v1::JobSpec& spec = context.job.resolved_spec();
  ATTUNE_ASSIGN_OR_RETURN(std::vector<v1::Response> responses,
                          store_->ListResponses(context.job.ordinal(), record.round()));
  responses = InRoundOrder(record, std::move(responses));
  const std::vector<size_t> positions =
      PromptsToJudge(responses, spec.curriculum().judged_share());
  responses = ResponsesAt(std::move(responses), positions);
  ATTUNE_ASSIGN_OR_RETURN(std::vector<v1::Judgment> judgments,
                          AskOracle(context, spec.oracle(), responses));
  for (const v1::AuxiliaryOracleSpec& auxiliary : spec.auxiliary_oracles()) {
    ATTUNE_ASSIGN_OR_RETURN(const std::vector<v1::Judgment> others,
                            AskOracle(context, auxiliary.oracle(), responses));
    AddAuxiliary(others, &judgments);
  }
  return ResponsesJudged{ForAllPrompts(record, positions, std::move(judgments)),
                         std::move(responses)};
}

}  // namespace attune
