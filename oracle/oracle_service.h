// The wire side of the oracles: unpacks, asks a judge, packs, counts.
#ifndef ATTUNE_ORACLE_ORACLE_SERVICE_H_
#define ATTUNE_ORACLE_ORACLE_SERVICE_H_

#include "absl/status/status.h"
#include "attune/v1/oracle.grpc.pb.h"
#include "common/metrics.h"
#include "oracle/judge.h"
#include "oracle/judge_factory.h"

namespace attune {

// Thread-safe. Judge: INVALID_ARGUMENT beyond kItemsMax items, or when responses and
// response_tokens of an item differ in number; CANCELLED once the caller has gone. Items are judged
// side by side; one that the oracle cannot judge is answered with Judgment.failure.
class OracleServiceImpl final : public v1::OracleService::Service {
 public:
  // `threads` > 0: items of a call judged at once.
  OracleServiceImpl(Metrics& metrics, int threads)
      : metrics_(metrics), threads_(threads), judges_(metrics) {}

  grpc::Status Describe(grpc::ServerContext* context, const v1::DescribeRequest* request,
                        v1::DescribeResponse* response) override;
  grpc::Status Judge(grpc::ServerContext* context, const v1::JudgeRequest* request,
                     v1::JudgeResponse* response) override;

  static constexpr int kItemsMax = 1024;

 private:
  absl::Status JudgeItems(grpc::ServerContext& context, const v1::JudgeRequest& request,
                          v1::JudgeResponse& response);
  void JudgeItem(const attune::Judge& judge, const v1::Candidates& item, v1::Judgment& judgment);
  void CountRequest(const v1::OracleSpec& spec, const absl::Status& status);

  Metrics& metrics_;
  const int threads_;
  JudgeFactory judges_;
};

}  // namespace attune

#endif  // ATTUNE_ORACLE_ORACLE_SERVICE_H_
