#include "coordinator/job_service.h"

#include <algorithm>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/digest.h"
#include "common/process.h"
#include "common/status_macros.h"
#include "coordinator/checkpoint_files.h"
#include "coordinator/gate.h"
#include "coordinator/job_spec.h"
#include "coordinator/resource_name.h"
#include "coordinator/timestamps.h"

namespace attune {
namespace {

constexpr uint32_t kPageSizeDefault = 100;
constexpr uint32_t kPageSizeMax = 1000;
constexpr size_t kRequestIdMax = 64;
constexpr int kWatchersMax = 128;  // each holds a thread of the server
constexpr absl::Duration kWatchPoll = absl::Milliseconds(500);

bool HasViolation(const std::vector<FieldViolation>& violations, absl::string_view prefix) {
  return std::any_of(violations.begin(), violations.end(), [&](const FieldViolation& violation) {
    return absl::string_view(violation.field).substr(0, prefix.size()) == prefix;
  });
}

// Runs `call` and turns its status; `Response` is assigned on success.
template <typename Value, typename Response>
grpc::Status Answer(absl::StatusOr<Value> value, Response* response) {
  if (!value.ok()) return ToGrpcStatus(value.status());
  *response = *std::move(value);
  return grpc::Status::OK;
}

absl::StatusOr<v1::Job> JobOf(const Store& store, const std::string& name) {
  ATTUNE_ASSIGN_OR_RETURN(const ResourceName resource, ParseResourceName(name));
  return store.GetJob(resource.job);
}

}  // namespace

JobServiceImpl::JobServiceImpl(JobBook* book, const Store* store, const Membership* membership,
                               Workers* workers, std::string model_root)
    : book_(book), store_(store), membership_(membership), workers_(workers),
      model_root_(std::move(model_root)) {}

grpc::Status JobServiceImpl::CreateJob(grpc::ServerContext*, const v1::CreateJobRequest* request,
                                       v1::Job* response) {
  absl::StatusOr<v1::Job> job = Validate(*request);
  if (!job.ok() || request->validate_only()) return Answer(std::move(job), response);
  return Answer(book_->Create(*std::move(job), request->request_id()), response);
}

absl::StatusOr<v1::Job> JobServiceImpl::Validate(const v1::CreateJobRequest& request) {
  ResolvedJobSpec resolved = ResolveJobSpec(request.spec(), model_root_);
  if (request.request_id().size() > kRequestIdMax) {
    resolved.violations.push_back(
        {"request_id", absl::StrCat("has ", request.request_id().size(), " characters; at most ",
                                    kRequestIdMax, " are allowed")});
  }
  AskWorkers(resolved.spec, &resolved.violations);
  ATTUNE_RETURN_IF_ERROR(BadRequestError(resolved.violations));
  ATTUNE_ASSIGN_OR_RETURN(const std::string digest,
                          Sha256OfFile(resolved.spec.dataset().path()));
  v1::Job job;
  const std::string unique = Sha256Hex(absl::StrCat(
      request.request_id(), "/", UniqueProcessId(), "/", ++created_));
  job.set_name(absl::StrCat("jobs/", resolved.spec.name(), "-", unique.substr(0, 8)));
  *job.mutable_spec() = request.spec();
  *job.mutable_resolved_spec() = std::move(resolved.spec);
  job.set_state(v1::JOB_STATE_QUEUED);
  *job.mutable_create_time() = ToTimestamp(WallTime());
  job.set_dataset_digest(digest);
  return job;
}

void JobServiceImpl::AskWorkers(const v1::JobSpec& spec, std::vector<FieldViolation>* violations) {
  const bool rollout = !membership_->Live(v1::WORKER_ROLE_ROLLOUT).empty();
  const bool oracle = !membership_->Live(v1::WORKER_ROLE_ORACLE).empty();
  if (rollout && !HasViolation(*violations, "model")) {
    const absl::Status status = workers_->DescribeModel(spec.model().path(), {}).status();
    if (absl::IsInvalidArgument(status)) {
      violations->push_back({"model.path", std::string(status.message())});
    }
  }
  const auto check_oracle = [&](const std::string& field, const v1::OracleSpec& spec) {
    if (!oracle || HasViolation(*violations, field)) return;
    if (spec.kind() == v1::ORACLE_KIND_DATASET) return;  // no oracle process is asked
    const absl::Status status = workers_->DescribeOracle(spec, {}).status();
    if (absl::IsInvalidArgument(status)) {
      violations->push_back({field, std::string(status.message())});
    }
  };
  check_oracle("oracle", spec.oracle());
  for (int k = 0; k < spec.auxiliary_oracles_size(); ++k) {
    check_oracle(absl::StrCat("auxiliary_oracles[", k, "].oracle"),
                 spec.auxiliary_oracles(k).oracle());
  }
}

grpc::Status JobServiceImpl::GetJob(grpc::ServerContext*, const v1::GetJobRequest* request,
                                    v1::Job* response) {
  return Answer(JobOf(*store_, request->name()), response);
}

grpc::Status JobServiceImpl::ListJobs(grpc::ServerContext*, const v1::ListJobsRequest* request,
                                      v1::ListJobsResponse* response) {
  uint64_t before = 0;
  if (!request->page_token().empty() && !absl::SimpleAtoi(request->page_token(), &before)) {
    return ToGrpcStatus(BadRequestError({{"page_token", "is not a token of an earlier page"}}));
  }
  if (request->page_size() > kPageSizeMax) {
    return ToGrpcStatus(BadRequestError(
        {{"page_size", absl::StrCat("is ", request->page_size(), "; at most ", kPageSizeMax)}}));
  }
  const uint32_t size = request->page_size() == 0 ? kPageSizeDefault : request->page_size();
  absl::StatusOr<std::vector<v1::Job>> jobs = store_->ListJobs(before, size + 1);
  if (!jobs.ok()) return ToGrpcStatus(jobs.status());
  if (jobs->size() > size) {
    jobs->pop_back();
    response->set_next_page_token(absl::StrCat(jobs->back().ordinal()));
  }
  response->mutable_jobs()->Assign(jobs->begin(), jobs->end());
  return grpc::Status::OK;
}

grpc::Status JobServiceImpl::WatchJob(grpc::ServerContext* context,
                                      const v1::WatchJobRequest* request,
                                      grpc::ServerWriter<v1::JobEvent>* writer) {
  const absl::Cleanup leave = [this] { --watchers_; };
  if (++watchers_ > kWatchersMax) {
    return ToGrpcStatus(OverloadedError(absl::StrCat("there are ", kWatchersMax, " watchers"),
                                        absl::Seconds(10)));
  }
  return ToGrpcStatus(Watch(context, *request, writer));
}

absl::Status JobServiceImpl::Watch(grpc::ServerContext* context, const v1::WatchJobRequest& request,
                                   grpc::ServerWriter<v1::JobEvent>* writer) {
  ATTUNE_ASSIGN_OR_RETURN(const v1::Job job, JobOf(*store_, request.name()));
  uint64_t sequence = request.after_sequence();
  uint64_t progress_seen = 0;
  while (!context->IsCancelled() && !book_->ShuttingDown()) {
    ATTUNE_ASSIGN_OR_RETURN(const JobBook::News news,
                            book_->WaitForNews(job, sequence, progress_seen, kWatchPoll));
    for (const v1::JobEvent& event : news.events) {
      if (!writer->Write(event)) return absl::CancelledError("the watcher left");
      sequence = event.sequence();
    }
    progress_seen = news.progress_seen;
    if (news.ended) return absl::OkStatus();
  }
  return absl::UnavailableError("the coordinator is stopping; watch again");
}

grpc::Status JobServiceImpl::CancelJob(grpc::ServerContext*, const v1::CancelJobRequest* request,
                                       v1::Job* response) {
  const absl::StatusOr<ResourceName> name = ParseResourceName(request->name());
  if (!name.ok()) return ToGrpcStatus(name.status());
  return Answer(book_->Cancel(name->job), response);
}

grpc::Status JobServiceImpl::RetryQuarantined(grpc::ServerContext*,
                                              const v1::RetryQuarantinedRequest* request,
                                              v1::Job* response) {
  const absl::StatusOr<ResourceName> name = ParseResourceName(request->name());
  if (!name.ok()) return ToGrpcStatus(name.status());
  return Answer(book_->RetryQuarantined(name->job), response);
}

grpc::Status JobServiceImpl::ListRounds(grpc::ServerContext*, const v1::ListRoundsRequest* request,
                                        v1::ListRoundsResponse* response) {
  const absl::StatusOr<v1::Job> job = JobOf(*store_, request->parent());
  if (!job.ok()) return ToGrpcStatus(job.status());
  const absl::StatusOr<std::vector<v1::RoundRecord>> rounds = store_->ListRounds(job->ordinal());
  if (!rounds.ok()) return ToGrpcStatus(rounds.status());
  for (const v1::RoundRecord& round : *rounds) {
    if (round.round() > 0) *response->add_rounds() = round;
  }
  return grpc::Status::OK;
}

grpc::Status JobServiceImpl::ListPairs(grpc::ServerContext*, const v1::ListPairsRequest* request,
                                       grpc::ServerWriter<v1::Pair>* writer) {
  const absl::StatusOr<ResourceName> name = ParseResourceName(request->parent());
  if (!name.ok()) return ToGrpcStatus(name.status());
  const absl::StatusOr<v1::Job> job = store_->GetJob(name->job);
  if (!job.ok()) return ToGrpcStatus(job.status());
  const uint32_t first = name->round.value_or(1);
  const uint32_t last = name->round.value_or(job->resolved_spec().rounds());
  for (uint32_t round = first; round <= last; ++round) {
    bool open = true;
    const absl::Status status =
        store_->VisitPairs(job->ordinal(), round, [&](const v1::Pair& pair) {
          open = writer->Write(pair);
          return open;
        });
    if (!status.ok()) return ToGrpcStatus(status);
    if (!open) return grpc::Status::CANCELLED;
  }
  return grpc::Status::OK;
}

grpc::Status JobServiceImpl::ListCheckpoints(grpc::ServerContext*,
                                             const v1::ListCheckpointsRequest* request,
                                             v1::ListCheckpointsResponse* response) {
  const absl::StatusOr<v1::Job> job = JobOf(*store_, request->parent());
  if (!job.ok()) return ToGrpcStatus(job.status());
  const auto checkpoints = attune::ListCheckpoints(*store_, *job);
  if (!checkpoints.ok()) return ToGrpcStatus(checkpoints.status());
  response->mutable_checkpoints()->Assign(checkpoints->begin(), checkpoints->end());
  return grpc::Status::OK;
}

grpc::Status JobServiceImpl::DownloadCheckpoint(grpc::ServerContext*,
                                                const v1::DownloadCheckpointRequest* request,
                                                grpc::ServerWriter<v1::FileChunk>* writer) {
  const absl::StatusOr<ResourceName> name = ParseResourceName(request->name());
  if (!name.ok()) return ToGrpcStatus(name.status());
  const absl::StatusOr<v1::Job> job = store_->GetJob(name->job);
  if (!job.ok()) return ToGrpcStatus(job.status());
  const auto checkpoints = attune::ListCheckpoints(*store_, *job);
  if (!checkpoints.ok()) return ToGrpcStatus(checkpoints.status());
  std::optional<uint32_t> round = name->round;
  const auto last = store_->GetRound(job->ordinal(), job->round());
  if (!round.has_value() && last.ok() && last->has_value() && (*last)->gate_stopped()) {
    round = ResultRound(**last);
  }
  const auto wanted = std::find_if(
      checkpoints->rbegin(), checkpoints->rend(), [&](const v1::Checkpoint& checkpoint) {
        return !round.has_value() || checkpoint.round() == *round;
      });
  if (wanted == checkpoints->rend()) {
    return ToGrpcStatus(ResourceNotFoundError("checkpoint", request->name()));
  }
  return ToGrpcStatus(StreamCheckpoint(
      *wanted, [&](const v1::FileChunk& chunk) { return writer->Write(chunk); }));
}

grpc::Status JobServiceImpl::ListWorkers(grpc::ServerContext*, const v1::ListWorkersRequest*,
                                         v1::ListWorkersResponse* response) {
  for (v1::WorkerInfo& worker : membership_->Live()) {
    *response->add_workers() = std::move(worker);
  }
  return grpc::Status::OK;
}

}  // namespace attune
