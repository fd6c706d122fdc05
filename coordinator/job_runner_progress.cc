// The part of JobRunner that tells others how far it is: progress for watchers, metrics.
#include <algorithm>

#include "common/clock.h"
#include "common/log.h"
#include "coordinator/alarms.h"
#include "coordinator/job_runner.h"

namespace attune {

ProgressCall JobRunner::ProgressOf(const Context& context, const std::string& unit,
                                   bool evaluating) {
  v1::Progress progress;
  progress.set_phase(NextPhase(context.record));
  progress.set_round(context.record.round());
  progress.set_unit(unit);
  progress.set_evaluating(evaluating);
  return [this, job = context.job, progress, watch = Stopwatch()](uint64_t done, uint64_t total) {
    v1::Progress now = progress;
    now.set_done(done);
    now.set_total(total);
    now.set_per_second(static_cast<double>(done) / std::max(watch.Seconds(), 1e-3));
    book_->SetProgress(job, now);
  };
}

void JobRunner::TellAlarms(const Context& context, const std::vector<v1::Alarm>& alarms) {
  for (const v1::Alarm& alarm : alarms) {
    LogWarning(context.record.name(), ": ", AlarmLabel(alarm.kind()), ": ", alarm.message());
    metrics_->Add("attune_alarms_total", "Alarms about a round's diagnosis, by kind.", 1,
                  {{"job", context.job.name()}, {"kind", AlarmLabel(alarm.kind())}});
  }
}

void JobRunner::CountPhase(const Context& context, const v1::RoundRecord& record, double seconds) {
  const MetricLabels job = {{"job", context.job.name()}};
  metrics_->Set("attune_round_current", "Round a job is in.", record.round(), job);
  metrics_->Set("attune_round_phase", "Last phase done of the current round, 1 to 6.",
                record.phase(), job);
  metrics_->Observe("attune_round_duration_seconds", "Wall time of a phase.", seconds,
                    {{"phase", PhaseLabel(record.phase())}});
  const auto pairs = [&](const char* outcome, uint32_t count) {
    metrics_->Add("attune_pairs_total", "Candidate pairs by what became of them.", count,
                  {{"outcome", outcome}});
  };
  switch (record.phase()) {
    case v1::ROUND_PHASE_SAMPLED:
      metrics_->Add("attune_responses_total", "Responses stored.", record.responses());
      metrics_->Add("attune_response_tokens_total", "Tokens of stored responses.",
                    static_cast<double>(record.response_tokens()));
      return;
    case v1::ROUND_PHASE_JUDGED:
      metrics_->Add("attune_quarantined_prompts_total", "Prompts whose judgement failed for good.",
                    record.quarantined_size());
      return;
    case v1::ROUND_PHASE_PAIRED:
      pairs("kept", record.pairs().kept());
      pairs("tie", record.pairs().tie());
      pairs("low_score", record.pairs().low_score());
      pairs("low_margin", record.pairs().low_margin());
      pairs("duplicate", record.pairs().duplicate());
      pairs("over_limit", record.pairs().over_limit());
      pairs("empty", record.pairs().empty());
      return;
    case v1::ROUND_PHASE_PUBLISHED:
      metrics_->Set("attune_eval_win_rate_ratio", "Held-out win rate against the initial policy.",
                    record.evaluation().win_rate(), job);
      metrics_->Set("attune_eval_kl_nats", "KL to the initial policy per response.",
                    record.evaluation().kl(), job);
      metrics_->Set("attune_eval_score", "Mean oracle score on held-out prompts.",
                    record.evaluation().mean_score(), job);
      return;
    default:
      return;
  }
}

}  // namespace attune
