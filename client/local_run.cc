#include "client/local_run.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "client/checkpoint_download.h"
#include "client/follow.h"
#include "client/report.h"
#include "client/stop_wait.h"
#include "client/submission.h"
#include "common/clock.h"
#include "common/digest.h"
#include "common/files.h"
#include "common/status_macros.h"
#include "google/protobuf/util/message_differencer.h"

namespace attune {
namespace {

constexpr absl::Duration kWorkersTimeout = absl::Seconds(60);
constexpr absl::Duration kCancelTimeout = absl::Seconds(5);
constexpr absl::Duration kCancelPoll = absl::Milliseconds(100);
// The coordinator may have to be started again within a call.
constexpr JobClientOptions kPatient = {.retry_budget = absl::Seconds(30),
                                       .watch_budget = absl::Minutes(5)};

}  // namespace

LocalRun::LocalRun(const std::string& directory, const LocalClusterOptions& cluster,
                   Terminal& terminal, std::stop_token user_stop)
    : directory_(AbsolutePath(directory)),
      cluster_options_(cluster),
      terminal_(terminal),
      user_stop_(std::move(user_stop)) {
  cluster_options_.data_directory = JoinPath(directory_, "cluster");
}

LocalRun::~LocalRun() { StopCluster(); }

std::string LocalRun::report_path() const { return JoinPath(directory_, "report.json"); }

std::string LocalRun::model_path() const { return JoinPath(directory_, "model"); }

absl::StatusOr<LocalRunResult> LocalRun::Execute(const JobFile& file) {
  const std::stop_callback forward(user_stop_, [this] { stop_.request_stop(); });
  ATTUNE_RETURN_IF_ERROR(CheckDirectory());
  absl::StatusOr<LocalRunResult> result = ExecuteInCluster(file);
  const absl::Status cluster = cluster_ == nullptr ? absl::OkStatus() : cluster_->status();
  const bool stopped = user_stop_.stop_requested() && !result.ok();
  if (stopped && !job_.empty()) CancelJob();
  terminal_.ShowLive("");
  StopCluster();
  if (job_.empty() && (stopped || absl::IsInvalidArgument(result.status()))) {
    RemoveWhatWasCreated();
  }
  // What befell the cluster explains more than the call that failed because of it.
  if (!result.ok() && !stopped && !cluster.ok()) return cluster;
  return result;
}

absl::StatusOr<LocalRunResult> LocalRun::ExecuteInCluster(const JobFile& file) {
  ATTUNE_RETURN_IF_ERROR(StartCluster());
  ATTUNE_ASSIGN_OR_RETURN(const std::optional<v1::Job> earlier, EarlierJob());
  const bool unfinished = earlier.has_value() && !IsFinished(earlier->state()) &&
                          earlier->state() != v1::JOB_STATE_CANCELLING;
  if (unfinished && file.violations.empty()) {
    if (!google::protobuf::util::MessageDifferencer::Equals(earlier->spec(), file.spec)) {
      return absl::FailedPreconditionError(
          absl::StrCat(directory_, " holds the unfinished ", earlier->name(),
                       " of another job file; finish it with that file, name another --out, or "
                       "remove the directory"));
    }
    terminal_.Print(absl::StrCat("continuing ", earlier->name()));
    job_ = earlier->name();
    cluster_->StartRolloutsAndOracle();
    cluster_->StartTrainers();
    ATTUNE_RETURN_IF_ERROR(WaitForWorkers(cluster_options_.trainer_ranks));
    return Collect(*earlier);
  }
  ATTUNE_ASSIGN_OR_RETURN(const v1::Job job, CreateJob(file, /*make_room=*/earlier.has_value()));
  return Collect(job);
}

absl::Status LocalRun::CheckDirectory() {
  // Whatever else lies in a directory of the user's is not ours to replace.
  const bool is_ours = FileExists(JoinPath(cluster_path(), "logs/coordinator.log"));
  for (const std::string& path : {cluster_path(), model_path()}) {
    if (!is_ours && (DirectoryExists(path) || FileExists(path))) {
      return absl::FailedPreconditionError(
          absl::StrCat(path, " exists and is not from an earlier run; name another --out"));
    }
  }
  for (std::string path = cluster_path(); !DirectoryExists(path); path = ParentPath(path)) {
    new_directories_.insert(new_directories_.begin(), path);
  }
  return absl::OkStatus();
}

absl::Status LocalRun::StartCluster() {
  terminal_.Print(absl::StrCat("starting a local cluster in ", cluster_path()));
  cluster_ = std::make_unique<LocalCluster>(
      cluster_options_, [this](const std::string& line) { terminal_.Print(line); },
      [this] { stop_.request_stop(); });
  return cluster_->StartCoordinator(stop_.get_token());
}

void LocalRun::StopCluster() {
  if (cluster_ != nullptr) cluster_->Stop();
  cluster_.reset();
}

absl::Status LocalRun::WaitForWorkers(uint32_t trainer_ranks) {
  const auto show = [this](const std::string& line) {
    if (terminal_.is_live()) {
      terminal_.ShowLive(line);
    } else {
      terminal_.Print(line);
    }
  };
  return cluster_->WaitForWorkers(trainer_ranks, kWorkersTimeout, stop_.get_token(), show);
}

JobClient LocalRun::MakeClient() const {
  return JobClient(cluster_->coordinator(), stop_.get_token(), kPatient);
}

absl::StatusOr<std::optional<v1::Job>> LocalRun::EarlierJob() {
  ATTUNE_ASSIGN_OR_RETURN(std::vector<v1::Job> jobs, MakeClient().ListJobs());
  if (jobs.empty()) return std::optional<v1::Job>();
  return std::optional<v1::Job>(std::move(jobs.front()));
}

absl::StatusOr<v1::Job> LocalRun::CreateJob(const JobFile& file, bool make_room) {
  // Rollout workers and the oracle have a say in what is wrong with a job; trainers have not, and
  // take longer to start.
  cluster_->StartRolloutsAndOracle();
  ATTUNE_RETURN_IF_ERROR(WaitForWorkers(/*trainer_ranks=*/0));
  const std::string request_id = absl::StrCat("run-", Sha256Hex(directory_).substr(0, 32));
  JobClient client = MakeClient();
  ATTUNE_RETURN_IF_ERROR(SubmitJob(client, file, "", /*validate_only=*/true).status());
  if (make_room) {
    StopCluster();
    for (const std::string& path : {cluster_path(), model_path(), report_path()}) {
      ATTUNE_RETURN_IF_ERROR(RemoveAll(path));
    }
    ATTUNE_RETURN_IF_ERROR(StartCluster());
    cluster_->StartRolloutsAndOracle();
  }
  cluster_->StartTrainers();
  ATTUNE_RETURN_IF_ERROR(WaitForWorkers(cluster_options_.trainer_ranks));
  JobClient creator = MakeClient();
  ATTUNE_ASSIGN_OR_RETURN(
      const v1::Job job, SubmitJob(creator, file, request_id, /*validate_only=*/false));
  job_ = job.name();
  return job;
}

absl::StatusOr<LocalRunResult> LocalRun::Collect(const v1::Job& job) {
  JobClient client = MakeClient();
  LocalRunResult result;
  ATTUNE_ASSIGN_OR_RETURN(result.job, FollowJob(client, job, terminal_));
  ATTUNE_ASSIGN_OR_RETURN(result.rounds, client.ListRounds(job.name()));
  ATTUNE_RETURN_IF_ERROR(WriteFileAtomically(
      report_path(), absl::StrCat(ReportJson(result.job, result.rounds, /*indent=*/2), "\n")));
  if (result.job.state() == v1::JOB_STATE_SUCCEEDED) {
    ATTUNE_RETURN_IF_ERROR(RemoveAll(model_path()));
    ATTUNE_RETURN_IF_ERROR(DownloadCheckpoint(client, job.name(), model_path()).status());
  }
  return result;
}

void LocalRun::CancelJob() {
  terminal_.Print(absl::StrCat("stopping: cancelling ", job_));
  JobClient client(cluster_->coordinator());  // the stop that ends all other calls is requested
  const absl::Duration give_up = MonotonicTime() + kCancelTimeout;
  absl::StatusOr<v1::Job> job = client.CancelJob(job_);
  while (job.ok() && !IsFinished(job->state()) && MonotonicTime() < give_up) {
    WaitUnlessStopped({}, kCancelPoll);
    job = client.GetJob(job_);
  }
  terminal_.Print(job.ok() ? DescribeEnd(*job) : std::string(job.status().message()));
  terminal_.Print(absl::StrCat("data and logs stay in ", cluster_path()));
}

void LocalRun::RemoveWhatWasCreated() {
  if (new_directories_.empty()) return;
  absl::Status removed = RemoveAll(new_directories_.back());
  new_directories_.pop_back();
  // The directories above it only if nothing else was put there meanwhile.
  while (removed.ok() && !new_directories_.empty()) {
    const auto names = ListDirectory(new_directories_.back());
    if (!names.ok() || !names->empty()) return;
    removed = RemoveAll(new_directories_.back());
    new_directories_.pop_back();
  }
  if (!removed.ok()) terminal_.Print(std::string(removed.message()));
}

}  // namespace attune
