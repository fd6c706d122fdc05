// The wire side of the oracles: unpacks, asks a judge, packs, counts.
#ifndef ATTUNE_ORACLE_ORACLE_SERVICE_H_
#define ATTUNE_ORACLE_ORACLE_SERVICE_H_

#include "absl/status/status.h"
#include "attune/v1/oracle.grpc.pb.h"
#include "common/metrics.h"
#include "oracle/judge.h"
#include "oracle/lexicon.h"

namespace attune {

// Thread-safe. Judge: INVALID_ARGUMENT beyond kItemsMax items, when responses and response_tokens
// of an item differ in number, or when the oracle cannot score a response (named by prompt and
// sample); CANCELLED between two responses once the caller has gone.
class OracleServiceImpl final : public v1::OracleService::Service {
 public:
  explicit OracleServiceImpl(Metrics& metrics) : metrics_(metrics) {}

  grpc::Status Describe(grpc::ServerContext* context, const v1::DescribeRequest* request,
                        v1::DescribeResponse* response) override;
  grpc::Status Judge(grpc::ServerContext* context, const v1::JudgeRequest* request,
                     v1::JudgeResponse* response) override;

  static constexpr int kItemsMax = 1024;

 private:
  absl::Status JudgeItems(grpc::ServerContext& context, const v1::JudgeRequest& request,
                          v1::JudgeResponse& response);
  void CountRequest(const v1::OracleSpec& spec, const absl::Status& status);

  Metrics& metrics_;
  LexiconCache lexicons_;
};

}  // namespace attune

#endif  // ATTUNE_ORACLE_ORACLE_SERVICE_H_
