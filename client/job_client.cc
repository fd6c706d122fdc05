#include "client/job_client.h"

#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/stop_wait.h"
#include "common/clock.h"
#include "common/digest.h"
#include "common/process.h"
#include "common/retry.h"
#include "common/status_macros.h"
#include "rpc/channel.h"
#include "rpc/grpc_status.h"

namespace attune {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(10);
constexpr absl::Duration kCreateTimeout = absl::Minutes(2);  // reads and digests the dataset
constexpr absl::Duration kListTimeout = absl::Minutes(1);
constexpr absl::Duration kStreamTimeout = absl::Hours(12);
constexpr absl::Duration kConnectSlice = absl::Milliseconds(200);  // between looks at the stop
constexpr uint32_t kJobsPerPage = 1000;

// Whether asking again can help: the peer was away or busy. A call that took too long is not asked
// again, the next would take as long.
bool IsAway(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsResourceExhausted(status);
}

// Whether a broken watch is worth taking up again.
bool IsLostConnection(const absl::Status& status) {
  return IsRetryable(status) || absl::IsCancelled(status) || absl::IsUnknown(status);
}

absl::Status Stopped() { return absl::CancelledError("stopped"); }

}  // namespace

JobClient::JobClient(const std::string& coordinator, std::stop_token stop,
                     const JobClientOptions& options)
    : coordinator_(coordinator),
      stop_(std::move(stop)),
      options_(options),
      channel_(MakeChannel(coordinator)),
      stub_(v1::JobService::NewStub(channel_)) {}

template <typename Request, typename Response>
absl::Status JobClient::Call(grpc::Status (v1::JobService::Stub::*method)(grpc::ClientContext*,
                                                                          const Request&,
                                                                          Response*),
                             const Request& request, Response& response, absl::Duration timeout) {
  const absl::Duration give_up = MonotonicTime() + options_.retry_budget;
  for (uint32_t attempt = 1;; ++attempt) {
    if (stop_.stop_requested()) return Stopped();
    grpc::ClientContext context;
    SetDeadline(context, timeout);
    const std::stop_callback cancel(stop_, [&context] { context.TryCancel(); });
    response.Clear();
    const absl::Status status =
        FromGrpcStatus(((*stub_).*method)(&context, request, &response));
    if (stop_.stop_requested()) return Stopped();
    if (!IsAway(status) || !AwaitRetry(attempt, give_up)) return Explain(status);
  }
}

bool JobClient::AwaitRetry(uint32_t attempt, absl::Duration give_up) {
  const absl::Duration pause = Backoff().Delay(attempt, /*key=*/0);
  if (MonotonicTime() + pause > give_up || !WaitUnlessStopped(stop_, pause)) return false;
  // Without someone who waits for it the channel would not connect again by itself for seconds.
  while (!channel_->WaitForConnected(absl::ToChronoTime(WallTime() + kConnectSlice))) {
    if (stop_.stop_requested() || MonotonicTime() > give_up) return false;
  }
  return true;
}

absl::Status JobClient::Explain(const absl::Status& status) const {
  if (absl::IsUnavailable(status)) {
    return absl::UnavailableError(absl::StrCat(
        "cannot reach the coordinator at ", coordinator_, ": ", status.message(),
        "; is it running? `attune up` starts one here, --coordinator names another"));
  }
  return status;
}

absl::StatusOr<v1::Job> JobClient::CreateJob(v1::CreateJobRequest request) {
  if (request.request_id().empty()) {
    request.set_request_id(
        Sha256Hex(absl::StrCat(UniqueProcessId(), absl::ToUnixNanos(WallTime()))).substr(0, 32));
  }
  v1::Job job;
  ATTUNE_RETURN_IF_ERROR(Call(&v1::JobService::Stub::CreateJob, request, job, kCreateTimeout));
  return job;
}

absl::StatusOr<v1::Job> JobClient::GetJob(const std::string& name) {
  v1::GetJobRequest request;
  request.set_name(name);
  v1::Job job;
  ATTUNE_RETURN_IF_ERROR(Call(&v1::JobService::Stub::GetJob, request, job, kCallTimeout));
  return job;
}

absl::StatusOr<std::vector<v1::Job>> JobClient::ListJobs() {
  std::vector<v1::Job> jobs;
  v1::ListJobsRequest request;
  request.set_page_size(kJobsPerPage);
  do {
    v1::ListJobsResponse page;
    ATTUNE_RETURN_IF_ERROR(Call(&v1::JobService::Stub::ListJobs, request, page, kListTimeout));
    std::move(page.mutable_jobs()->begin(), page.mutable_jobs()->end(), std::back_inserter(jobs));
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return jobs;
}

absl::StatusOr<v1::Job> JobClient::CancelJob(const std::string& name) {
  v1::CancelJobRequest request;
  request.set_name(name);
  v1::Job job;
  ATTUNE_RETURN_IF_ERROR(Call(&v1::JobService::Stub::CancelJob, request, job, kCallTimeout));
  return job;
}

absl::StatusOr<v1::Job> JobClient::RetryQuarantined(const std::string& name) {
  v1::RetryQuarantinedRequest request;
  request.set_name(name);
  v1::Job job;
  ATTUNE_RETURN_IF_ERROR(Call(&v1::JobService::Stub::RetryQuarantined, request, job, kCallTimeout));
  return job;
}

absl::StatusOr<std::vector<v1::RoundRecord>> JobClient::ListRounds(const std::string& job) {
  v1::ListRoundsRequest request;
  request.set_parent(job);
  v1::ListRoundsResponse response;
  ATTUNE_RETURN_IF_ERROR(Call(&v1::JobService::Stub::ListRounds, request, response, kListTimeout));
  return std::vector<v1::RoundRecord>(response.rounds().begin(), response.rounds().end());
}

absl::StatusOr<std::vector<v1::Checkpoint>> JobClient::ListCheckpoints(const std::string& job) {
  v1::ListCheckpointsRequest request;
  request.set_parent(job);
  v1::ListCheckpointsResponse response;
  ATTUNE_RETURN_IF_ERROR(
      Call(&v1::JobService::Stub::ListCheckpoints, request, response, kCallTimeout));
  return std::vector<v1::Checkpoint>(response.checkpoints().begin(), response.checkpoints().end());
}

absl::StatusOr<std::vector<v1::WorkerInfo>> JobClient::ListWorkers() {
  v1::ListWorkersResponse response;
  ATTUNE_RETURN_IF_ERROR(
      Call(&v1::JobService::Stub::ListWorkers, v1::ListWorkersRequest(), response, kCallTimeout));
  return std::vector<v1::WorkerInfo>(response.workers().begin(), response.workers().end());
}

absl::Status JobClient::WatchOnce(const std::string& name, WatchPosition& position,
                                  const std::function<void(const v1::JobEvent&)>& on_event) {
  v1::WatchJobRequest request;
  request.set_name(name);
  request.set_after_sequence(position.sequence);
  // No deadline: a job may take weeks. Keepalive notices a peer that is gone.
  grpc::ClientContext context;
  const std::stop_callback cancel(stop_, [&context] { context.TryCancel(); });
  const auto stream = stub_->WatchJob(&context, request);
  v1::JobEvent event;
  while (stream->Read(&event)) {
    if (!event.has_progress()) {
      if (event.sequence() <= position.sequence) continue;  // told before
      position.sequence = event.sequence();
    }
    position.state = event.state();
    on_event(event);
  }
  return FromGrpcStatus(stream->Finish());
}

absl::Status JobClient::WatchJob(const std::string& name, uint64_t after_sequence,
                                 const std::function<void(const v1::JobEvent&)>& on_event) {
  WatchPosition position{after_sequence};
  absl::Duration give_up = MonotonicTime() + options_.watch_budget;
  uint32_t attempt = 1;
  const auto heard = [&](const v1::JobEvent& event) {
    attempt = 1;
    on_event(event);
  };
  while (true) {
    const absl::Status status = WatchOnce(name, position, heard);
    if (IsFinished(position.state)) return absl::OkStatus();
    if (stop_.stop_requested()) return Stopped();
    if (!status.ok() && !IsLostConnection(status)) return status;
    if (status.ok()) {  // closed in good order: the job has ended, or the coordinator stops
      absl::StatusOr<v1::Job> job = GetJob(name);
      if (job.ok() && IsFinished(job->state())) return absl::OkStatus();
      if (!job.ok() && !IsLostConnection(job.status())) return job.status();
    }
    // The budget runs from the moment the connection was lost.
    if (attempt == 1) give_up = MonotonicTime() + options_.watch_budget;
    if (!AwaitRetry(attempt++, give_up)) {
      return stop_.stop_requested() ? Stopped() : Explain(absl::UnavailableError(
          status.ok() ? "it closes every watch at once" : std::string(status.message())));
    }
  }
}

absl::Status JobClient::ListPairs(const std::string& parent,
                                  const std::function<absl::Status(const v1::Pair&)>& on_pair) {
  v1::ListPairsRequest request;
  request.set_parent(parent);
  grpc::ClientContext context;
  SetDeadline(context, kStreamTimeout);
  const std::stop_callback cancel(stop_, [&context] { context.TryCancel(); });
  const auto stream = stub_->ListPairs(&context, request);
  absl::Status consumed;
  v1::Pair pair;
  while (consumed.ok() && stream->Read(&pair)) consumed = on_pair(pair);
  if (!consumed.ok()) context.TryCancel();
  const absl::Status status = FromGrpcStatus(stream->Finish());
  return consumed.ok() ? Explain(status) : consumed;
}

absl::Status JobClient::DownloadCheckpoint(
    const std::string& name, const std::function<absl::Status(const v1::FileChunk&)>& on_chunk) {
  v1::DownloadCheckpointRequest request;
  request.set_name(name);
  grpc::ClientContext context;
  SetDeadline(context, kStreamTimeout);
  const std::stop_callback cancel(stop_, [&context] { context.TryCancel(); });
  const auto stream = stub_->DownloadCheckpoint(&context, request);
  absl::Status consumed;
  v1::FileChunk chunk;
  while (consumed.ok() && stream->Read(&chunk)) consumed = on_chunk(chunk);
  if (!consumed.ok()) context.TryCancel();
  const absl::Status status = FromGrpcStatus(stream->Finish());
  return consumed.ok() ? Explain(status) : consumed;
}

std::string JobName(const std::string& job) {
  return absl::StartsWith(job, "jobs/") ? job : absl::StrCat("jobs/", job);
}

bool IsFinished(v1::JobState state) {
  return state == v1::JOB_STATE_SUCCEEDED || state == v1::JOB_STATE_FAILED ||
         state == v1::JOB_STATE_CANCELLED;
}

}  // namespace attune
