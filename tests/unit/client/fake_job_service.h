// A JobService in this process that answers as a test says.
#ifndef ATTUNE_TESTS_UNIT_CLIENT_FAKE_JOB_SERVICE_H_
#define ATTUNE_TESTS_UNIT_CLIENT_FAKE_JOB_SERVICE_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "attune/v1/job_service.grpc.pb.h"
#include "gtest/gtest.h"
#include "rpc/grpc_status.h"
#include "rpc/server.h"
#include "tests/testing/status_matchers.h"

namespace attune {

class FakeJobService final : public v1::JobService::Service {
 public:
  // Answers of the calls; replace them before the server is used. Called on server threads.
  std::function<absl::Status(const v1::CreateJobRequest&, v1::Job*)> create;
  std::function<absl::Status(const std::string&, v1::Job*)> get;
  std::function<absl::Status(const std::string&, v1::Job*)> cancel;
  std::function<absl::Status(const v1::ListJobsRequest&, v1::ListJobsResponse*)> list;
  using SendEvent = std::function<void(const v1::JobEvent&)>;
  std::function<absl::Status(grpc::ServerContext*, const v1::WatchJobRequest&, const SendEvent&)>
      watch;
  std::vector<v1::RoundRecord> rounds;
  std::vector<v1::Pair> pairs;
  std::vector<v1::WorkerInfo> workers;
  std::vector<v1::FileChunk> chunks;

  grpc::Status CreateJob(grpc::ServerContext*, const v1::CreateJobRequest* request,
                         v1::Job* response) override {
    return ToGrpcStatus(create(*request, response));
  }
  grpc::Status GetJob(grpc::ServerContext*, const v1::GetJobRequest* request,
                      v1::Job* response) override {
    return ToGrpcStatus(get(request->name(), response));
  }
  grpc::Status CancelJob(grpc::ServerContext*, const v1::CancelJobRequest* request,
                         v1::Job* response) override {
    return ToGrpcStatus(cancel(request->name(), response));
  }
  grpc::Status ListJobs(grpc::ServerContext*, const v1::ListJobsRequest* request,
                        v1::ListJobsResponse* response) override {
    return ToGrpcStatus(list(*request, response));
  }
  grpc::Status WatchJob(grpc::ServerContext* context, const v1::WatchJobRequest* request,
                        grpc::ServerWriter<v1::JobEvent>* writer) override {
    return ToGrpcStatus(watch(context, *request,
                              [writer](const v1::JobEvent& event) { writer->Write(event); }));
  }
  grpc::Status ListRounds(grpc::ServerContext*, const v1::ListRoundsRequest*,
                          v1::ListRoundsResponse* response) override {
    for (const v1::RoundRecord& record : rounds) *response->add_rounds() = record;
    return grpc::Status::OK;
  }
  grpc::Status ListPairs(grpc::ServerContext*, const v1::ListPairsRequest*,
                         grpc::ServerWriter<v1::Pair>* writer) override {
    for (const v1::Pair& pair : pairs) writer->Write(pair);
    return grpc::Status::OK;
  }
  grpc::Status DownloadCheckpoint(grpc::ServerContext*, const v1::DownloadCheckpointRequest*,
                                  grpc::ServerWriter<v1::FileChunk>* writer) override {
    for (const v1::FileChunk& chunk : chunks) writer->Write(chunk);
    return grpc::Status::OK;
  }
  grpc::Status ListWorkers(grpc::ServerContext*, const v1::ListWorkersRequest*,
                           v1::ListWorkersResponse* response) override {
    for (const v1::WorkerInfo& worker : workers) *response->add_workers() = worker;
    return grpc::Status::OK;
  }
};

inline v1::JobEvent MakeEvent(uint64_t sequence, v1::JobState state, const std::string& message) {
  v1::JobEvent event;
  event.set_sequence(sequence);
  event.set_state(state);
  event.set_message(message);
  return event;
}

inline v1::Job MakeJob(const std::string& name, v1::JobState state) {
  v1::Job job;
  job.set_name(name);
  job.set_state(state);
  job.mutable_resolved_spec()->set_rounds(1);
  return job;
}

inline v1::WorkerInfo MakeWorker(v1::WorkerRole role, uint32_t rank = 0,
                                 const std::string& gang = "") {
  v1::WorkerInfo worker;
  worker.set_role(role);
  worker.set_rank(rank);
  worker.set_gang_id(gang);
  return worker;
}

// Starts `service` on a free port of this machine.
inline std::unique_ptr<RpcServer> StartFake(FakeJobService& service,
                                            const std::string& address = "127.0.0.1:0") {
  absl::StatusOr<std::unique_ptr<RpcServer>> server = RpcServer::Start(address, {&service});
  EXPECT_OK(server);
  return *std::move(server);
}

}  // namespace attune

#endif  // ATTUNE_TESTS_UNIT_CLIENT_FAKE_JOB_SERVICE_H_
