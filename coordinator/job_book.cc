#include "coordinator/job_book.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "coordinator/judging.h"
#include "coordinator/timestamps.h"

namespace attune {
namespace {

constexpr uint32_t kJobsPerPage = 500;
constexpr uint32_t kEventsPerPage = 1000;

// "running"
std::string StateLabel(v1::JobState state) {
  constexpr absl::string_view kPrefix = "JOB_STATE_";
  return absl::AsciiStrToLower(v1::JobState_Name(state).substr(kPrefix.size()));
}

v1::JobEvent MakeEvent(const v1::Job& job, uint64_t sequence, const std::string& message) {
  v1::JobEvent event;
  event.set_sequence(sequence);
  *event.mutable_time() = ToTimestamp(WallTime());
  event.set_state(job.state());
  event.set_round(job.round());
  event.set_message(message);
  return event;
}

// Whether the commit is of the phase in which a round chose its prompts, this one among them.
bool HasDrawn(const Commit& commit, uint32_t prompt) {
  if (commit.round == nullptr || commit.round->phase() != v1::ROUND_PHASE_PROMPTS) return false;
  const auto& drawn = commit.round->prompt_indices();
  return std::find(drawn.begin(), drawn.end(), prompt) != drawn.end();
}

}  // namespace

bool IsFinished(v1::JobState state) {
  return state == v1::JOB_STATE_SUCCEEDED || state == v1::JOB_STATE_FAILED ||
         state == v1::JOB_STATE_CANCELLED;
}

absl::StatusOr<std::unique_ptr<JobBook>> JobBook::Open(Store* store, Metrics* metrics) {
  std::unique_ptr<JobBook> book(new JobBook(store, metrics));
  absl::MutexLock lock(&book->mu_);
  uint64_t before = 0;
  while (true) {
    ATTUNE_ASSIGN_OR_RETURN(const std::vector<v1::Job> jobs, store->ListJobs(before, kJobsPerPage));
    for (const v1::Job& job : jobs) {
      if (IsFinished(job.state())) continue;
      LogInfo("taking up ", job.name(), " again");
      book->TrackLocked(job);
      Live& live = book->live_[job.ordinal()];
      live.cancelled = job.state() == v1::JOB_STATE_CANCELLING;
      if (live.cancelled) live.stop.request_stop();
    }
    if (jobs.size() < kJobsPerPage) return book;
    before = jobs.back().ordinal();
  }
}

absl::StatusOr<v1::Job> JobBook::Create(v1::Job job, const std::string& request_id) {
  absl::MutexLock lock(&mu_);
  ATTUNE_ASSIGN_OR_RETURN(job, store_->CreateJob(std::move(job), request_id));
  if (!IsFinished(job.state())) TrackLocked(job);  // finished: an old job of the same request_id
  changed_.SignalAll();
  return job;
}

absl::StatusOr<v1::Job> JobBook::Cancel(const std::string& name) {
  absl::MutexLock lock(&mu_);
  ATTUNE_ASSIGN_OR_RETURN(v1::Job job, store_->GetJob(name));
  if (IsFinished(job.state()) || job.state() == v1::JOB_STATE_CANCELLING) return job;
  const bool queued = job.state() == v1::JOB_STATE_QUEUED;
  job.set_state(queued ? v1::JOB_STATE_CANCELLED : v1::JOB_STATE_CANCELLING);
  job.set_message(queued ? "cancelled before it began" : "");
  if (queued) *job.mutable_end_time() = ToTimestamp(WallTime());
  Live& live = live_[job.ordinal()];
  live.cancelled = true;
  live.stop.request_stop();
  ATTUNE_RETURN_IF_ERROR(
      WriteLocked({.job = &job}, queued ? job.message() : "cancellation requested"));
  return job;
}

absl::StatusOr<v1::Job> JobBook::RetryQuarantined(const std::string& name) {
  absl::MutexLock lock(&mu_);
  ATTUNE_ASSIGN_OR_RETURN(v1::Job job, store_->GetJob(name));
  if (job.state() == v1::JOB_STATE_FAILED &&
      job.failure_reason() == v1::FAILURE_REASON_ORACLE_FAILED) {
    job.set_state(v1::JOB_STATE_QUEUED);
    job.clear_failure_reason();
    job.clear_message();
    job.clear_end_time();
    ATTUNE_RETURN_IF_ERROR(WriteLocked({.job = &job}, "queued again after its oracle had failed"));
    return job;
  }
  if (IsFinished(job.state()) || job.round() >= job.resolved_spec().rounds()) {
    return absl::FailedPreconditionError(absl::StrCat(
        name, " is ", StateLabel(job.state()), " in round ", job.round(), " of ",
        job.resolved_spec().rounds(), ": no round will draw its quarantined prompts again"));
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<v1::RoundRecord> rounds,
                          store_->ListRounds(job.ordinal()));
  const std::vector<uint32_t> prompts = OutstandingQuarantine(rounds);
  if (prompts.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(name, " has no quarantined prompts"));
  }
  job.mutable_retry_prompts()->Assign(prompts.begin(), prompts.end());
  ATTUNE_RETURN_IF_ERROR(store_->Write(job.ordinal(), {.job = &job}));
  ATTUNE_RETURN_IF_ERROR(WriteLocked(
      {.job = &job}, absl::StrCat(prompts.size(), " quarantined prompts will be drawn again")));
  return job;
}

std::optional<JobLease> JobBook::WaitForWork() {
  while (true) {
    absl::MutexLock lock(&mu_);
    while (!HasWork()) changed_.Wait(&mu_);
    if (shutting_down_) return std::nullopt;
    const Live& first = live_.begin()->second;
    absl::StatusOr<v1::Job> job = store_->GetJob(first.name);
    if (job.ok()) return JobLease{*std::move(job), first.stop.get_token()};
    LogError("cannot read ", first.name, ": ", job.status().message());
    changed_.WaitWithTimeout(&mu_, absl::Seconds(1));
  }
}

absl::Status JobBook::Write(Commit commit, const std::string& message) {
  absl::MutexLock lock(&mu_);
  return WriteLocked(std::move(commit), message);
}

absl::Status JobBook::WriteLocked(Commit commit, const std::string& message) {
  ATTUNE_CHECK(commit.job != nullptr);
  v1::Job job = *commit.job;
  const auto live = live_.find(job.ordinal());
  if (live != live_.end() && live->second.cancelled && !IsFinished(job.state())) {
    job.set_state(v1::JOB_STATE_CANCELLING);
  }
  commit.job = &job;
  ATTUNE_ASSIGN_OR_RETURN(const v1::Job stored, store_->GetJob(job.name()));
  job.clear_retry_prompts();
  for (uint32_t prompt : stored.retry_prompts()) {
    if (!HasDrawn(commit, prompt)) job.add_retry_prompts(prompt);
  }
  ATTUNE_ASSIGN_OR_RETURN(const uint64_t last, store_->LastEventSequence(job.ordinal()));
  v1::JobEvent event = MakeEvent(job, last + 1, message);
  if (commit.round != nullptr) {
    *event.mutable_record() = *commit.round;
    event.mutable_record()->clear_steps();
    if (commit.round->phase() > v1::ROUND_PHASE_PROMPTS) {
      event.mutable_record()->clear_prompt_indices();  // told once, when they were chosen
    }
  }
  commit.events = {std::move(event)};
  ATTUNE_RETURN_IF_ERROR(store_->Write(job.ordinal(), commit));
  TrackLocked(job);
  changed_.SignalAll();
  return absl::OkStatus();
}

void JobBook::TrackLocked(const v1::Job& job) {
  if (IsFinished(job.state())) {
    live_.erase(job.ordinal());
    metrics_->Add("attune_jobs_finished_total", "Jobs by the state they ended in.", 1,
                  {{"state", StateLabel(job.state())}});
  } else {
    live_[job.ordinal()].name = job.name();
    live_[job.ordinal()].state = job.state();
  }
  for (v1::JobState state :
       {v1::JOB_STATE_QUEUED, v1::JOB_STATE_RUNNING, v1::JOB_STATE_CANCELLING}) {
    const auto count = std::count_if(live_.begin(), live_.end(), [&](const auto& entry) {
      return entry.second.state == state;
    });
    metrics_->Set("attune_jobs", "Unfinished jobs by state.", static_cast<double>(count),
                  {{"state", StateLabel(state)}});
  }
}

void JobBook::SetProgress(const v1::Job& job, const v1::Progress& progress) {
  absl::MutexLock lock(&mu_);
  const auto live = live_.find(job.ordinal());
  if (live == live_.end()) return;
  live->second.progress = progress;
  ++live->second.progress_version;
  changed_.SignalAll();
}

absl::StatusOr<JobBook::News> JobBook::WaitForNews(const v1::Job& job, uint64_t after_sequence,
                                                   uint64_t progress_seen,
                                                   absl::Duration timeout) {
  const absl::Duration deadline = MonotonicTime() + timeout;
  absl::MutexLock lock(&mu_);
  while (true) {
    News news{.progress_seen = progress_seen};
    ATTUNE_ASSIGN_OR_RETURN(news.events,
                            store_->ListEvents(job.ordinal(), after_sequence, kEventsPerPage));
    const uint64_t seen = news.events.empty() ? after_sequence : news.events.back().sequence();
    const auto live = live_.find(job.ordinal());
    news.ended = live == live_.end() && news.events.size() < kEventsPerPage;
    if (live != live_.end() && live->second.progress_version > progress_seen) {
      v1::JobEvent event = MakeEvent(job, seen, "");
      event.set_state(live->second.cancelled ? v1::JOB_STATE_CANCELLING : v1::JOB_STATE_RUNNING);
      event.set_round(live->second.progress.round());
      *event.mutable_progress() = live->second.progress;
      news.progress_seen = live->second.progress_version;
      news.events.push_back(std::move(event));
    }
    const absl::Duration left = deadline - MonotonicTime();
    if (!news.events.empty() || news.ended || left <= absl::ZeroDuration()) return news;
    changed_.WaitWithTimeout(&mu_, left);
  }
}

void JobBook::Shutdown() {
  absl::MutexLock lock(&mu_);
  shutting_down_ = true;
  for (auto& [ordinal, live] : live_) live.stop.request_stop();
  changed_.SignalAll();
}

bool JobBook::ShuttingDown() const {
  absl::MutexLock lock(&mu_);
  return shutting_down_;
}

}  // namespace attune
