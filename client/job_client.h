// JobService as a C++ caller wants it: absl::Status, deadlines, retries, and a watch that survives
// lost connections.
//
//   JobClient client("127.0.0.1:7070");
//   ATTUNE_ASSIGN_OR_RETURN(v1::Job job, client.CreateJob(request));
//   ATTUNE_RETURN_IF_ERROR(client.WatchJob(job.name(), 0, [](const v1::JobEvent& event) { ... }));
#ifndef ATTUNE_CLIENT_JOB_CLIENT_H_
#define ATTUNE_CLIENT_JOB_CLIENT_H_

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "attune/v1/job_service.grpc.pb.h"
#include "attune/v1/job_service.pb.h"
#include "grpcpp/channel.h"

namespace attune {

struct JobClientOptions {
  // How long one call may go on asking a coordinator that is away, starting or overloaded.
  absl::Duration retry_budget = absl::Seconds(3);
  // How long a watch goes on while nothing comes from the coordinator's side.
  absl::Duration watch_budget = absl::Minutes(2);
};

// Thread-safe. A stop request cancels the calls in flight and those to come: CANCELLED.
class JobClient {
 public:
  explicit JobClient(const std::string& coordinator, std::stop_token stop = {},
                     const JobClientOptions& options = {});

  // Without a request_id it gets one of its own, so that a retry cannot create a second job.
  [[nodiscard]] absl::StatusOr<v1::Job> CreateJob(v1::CreateJobRequest request);
  // Names are jobs/{job}; see JobName().
  [[nodiscard]] absl::StatusOr<v1::Job> GetJob(const std::string& name);
  [[nodiscard]] absl::StatusOr<std::vector<v1::Job>> ListJobs();  // newest first, all pages
  [[nodiscard]] absl::StatusOr<v1::Job> CancelJob(const std::string& name);
  [[nodiscard]] absl::StatusOr<v1::Job> RetryQuarantined(const std::string& name);
  [[nodiscard]] absl::StatusOr<std::vector<v1::RoundRecord>> ListRounds(const std::string& job);
  [[nodiscard]] absl::StatusOr<std::vector<v1::Checkpoint>> ListCheckpoints(
      const std::string& job);
  [[nodiscard]] absl::StatusOr<std::vector<v1::WorkerInfo>> ListWorkers();

  // Calls `on_event` for every event until the job has ended; takes up again after a lost
  // connection where it was. Events without progress come once each, in order.
  absl::Status WatchJob(const std::string& name, uint64_t after_sequence,
                        const std::function<void(const v1::JobEvent&)>& on_event);

  // `parent` is jobs/{job} or jobs/{job}/rounds/{round}. An error of `on_pair` ends it.
  absl::Status ListPairs(const std::string& parent,
                         const std::function<absl::Status(const v1::Pair&)>& on_pair);
  // `name` is jobs/{job} or jobs/{job}/checkpoints/{round}.
  absl::Status DownloadCheckpoint(
      const std::string& name,
      const std::function<absl::Status(const v1::FileChunk&)>& on_chunk);

 private:
  // One unary call with retries inside the budget.
  template <typename Request, typename Response>
  absl::Status Call(grpc::Status (v1::JobService::Stub::*method)(grpc::ClientContext*,
                                                                 const Request&, Response*),
                    const Request& request, Response& response, absl::Duration timeout);
  // How far a watch has come.
  struct WatchPosition {
    uint64_t sequence;  // of the newest stored event that was told
    v1::JobState state = v1::JOB_STATE_UNSPECIFIED;
  };
  // One connection of a watch; `position` is advanced.
  absl::Status WatchOnce(const std::string& name, WatchPosition& position,
                         const std::function<void(const v1::JobEvent&)>& on_event);
  // Before retry `attempt`: waits out the backoff, then for a connection. False when stopped, or
  // when that would go beyond `give_up`, a MonotonicTime.
  bool AwaitRetry(uint32_t attempt, absl::Duration give_up);
  // Says which coordinator could not be reached, and what to do.
  absl::Status Explain(const absl::Status& status) const;

  const std::string coordinator_;
  const std::stop_token stop_;
  const JobClientOptions options_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::JobService::Stub> stub_;
};

// "x" and "jobs/x" both name jobs/x.
std::string JobName(const std::string& job);

// SUCCEEDED, FAILED or CANCELLED.
bool IsFinished(v1::JobState state);

}  // namespace attune

#endif  // ATTUNE_CLIENT_JOB_CLIENT_H_
