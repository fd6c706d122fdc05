// gRPC face of the coordinator: unpacks, calls the book, the store or the validator, packs.
#ifndef ATTUNE_COORDINATOR_JOB_SERVICE_H_
#define ATTUNE_COORDINATOR_JOB_SERVICE_H_

#include <atomic>
#include <string>
#include <vector>

#include "attune/v1/job_service.grpc.pb.h"
#include "coordinator/job_book.h"
#include "coordinator/membership.h"
#include "coordinator/workers.h"
#include "rpc/grpc_status.h"
#include "storage/store.h"

namespace attune {

class JobServiceImpl final : public v1::JobService::Service {
 public:
  // All must outlive the service. Relative paths of a job are taken from `model_root`.
  JobServiceImpl(JobBook* book, const Store* store, const Membership* membership, Workers* workers,
                 std::string model_root);

  grpc::Status CreateJob(grpc::ServerContext* context, const v1::CreateJobRequest* request,
                         v1::Job* response) override;
  grpc::Status GetJob(grpc::ServerContext* context, const v1::GetJobRequest* request,
                      v1::Job* response) override;
  grpc::Status ListJobs(grpc::ServerContext* context, const v1::ListJobsRequest* request,
                        v1::ListJobsResponse* response) override;
  grpc::Status WatchJob(grpc::ServerContext* context, const v1::WatchJobRequest* request,
                        grpc::ServerWriter<v1::JobEvent>* writer) override;
  grpc::Status CancelJob(grpc::ServerContext* context, const v1::CancelJobRequest* request,
                         v1::Job* response) override;
  grpc::Status RetryQuarantined(grpc::ServerContext* context,
                                const v1::RetryQuarantinedRequest* request,
                                v1::Job* response) override;
  grpc::Status ListRounds(grpc::ServerContext* context, const v1::ListRoundsRequest* request,
                          v1::ListRoundsResponse* response) override;
  grpc::Status ListPairs(grpc::ServerContext* context, const v1::ListPairsRequest* request,
                         grpc::ServerWriter<v1::Pair>* writer) override;
  grpc::Status ListCheckpoints(grpc::ServerContext* context,
                               const v1::ListCheckpointsRequest* request,
                               v1::ListCheckpointsResponse* response) override;
  grpc::Status DownloadCheckpoint(grpc::ServerContext* context,
                                  const v1::DownloadCheckpointRequest* request,
                                  grpc::ServerWriter<v1::FileChunk>* writer) override;
  grpc::Status ListWorkers(grpc::ServerContext* context, const v1::ListWorkersRequest* request,
                           v1::ListWorkersResponse* response) override;

 private:
  [[nodiscard]] absl::StatusOr<v1::Job> Validate(const v1::CreateJobRequest& request);
  // What only workers can say: whether the model loads, whether the oracle understands its spec.
  void AskWorkers(const v1::JobSpec& spec, std::vector<FieldViolation>* violations);
  absl::Status Watch(grpc::ServerContext* context, const v1::WatchJobRequest& request,
                     grpc::ServerWriter<v1::JobEvent>* writer);

  JobBook* const book_;
  const Store* const store_;
  const Membership* const membership_;
  Workers* const workers_;
  const std::string model_root_;
  std::atomic<uint64_t> created_ = 0;
  std::atomic<int> watchers_ = 0;
};

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_JOB_SERVICE_H_
