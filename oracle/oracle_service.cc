#include "oracle/oracle_service.h"

#include <cmath>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/status_macros.h"
#include "rpc/grpc_status.h"

namespace attune {
namespace {

absl::Status JudgeItem(const grpc::ServerContext& context, const Judge& judge,
                       const v1::Candidates& item, v1::Judgment& judgment) {
  if (item.response_tokens_size() != item.responses_size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "prompt ", item.prompt_index(), " has ", item.responses_size(), " responses but ",
        item.response_tokens_size(), " response_tokens; send one length for each response"));
  }
  judgment.set_prompt_index(item.prompt_index());
  judgment.set_oracle(judge.oracle());
  judgment.set_oracle_digest(judge.digest());
  for (int sample = 0; sample < item.responses_size(); ++sample) {
    if (context.IsCancelled()) return absl::CancelledError("the caller has gone");
    const absl::StatusOr<double> score =
        judge.Score(item.responses(sample), item.response_tokens(sample));
    if (!score.ok()) {
      return Annotate(score.status(), absl::StrCat("while judging prompt ", item.prompt_index(),
                                                   " sample ", sample));
    }
    ATTUNE_CHECK(std::isfinite(*score));
    judgment.add_scores(*score);
  }
  return absl::OkStatus();
}

}  // namespace

grpc::Status OracleServiceImpl::Describe(grpc::ServerContext* context,
                                         const v1::DescribeRequest* request,
                                         v1::DescribeResponse* response) {
  const absl::StatusOr<std::unique_ptr<const attune::Judge>> judge =
      MakeJudge(request->spec(), lexicons_);
  if (judge.ok()) {
    response->set_oracle((*judge)->oracle());
    response->set_oracle_digest((*judge)->digest());
  }
  CountRequest(request->spec(), judge.status());
  return ToGrpcStatus(judge.status());
}

grpc::Status OracleServiceImpl::Judge(grpc::ServerContext* context, const v1::JudgeRequest* request,
                                      v1::JudgeResponse* response) {
  const Stopwatch watch;
  const absl::Status status = JudgeItems(*context, *request, *response);
  metrics_.Observe("attune_oracle_request_duration_seconds", "Time to answer a Judge call.",
                   watch.Seconds());
  CountRequest(request->spec(), status);
  return ToGrpcStatus(status);
}

absl::Status OracleServiceImpl::JudgeItems(grpc::ServerContext& context,
                                           const v1::JudgeRequest& request,
                                           v1::JudgeResponse& response) {
  if (request.items_size() > kItemsMax) {
    return absl::InvalidArgumentError(absl::StrCat("a Judge call has ", request.items_size(),
                                                   " items, the limit is ", kItemsMax));
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::unique_ptr<const attune::Judge> judge,
                          MakeJudge(request.spec(), lexicons_));
  for (const v1::Candidates& item : request.items()) {
    ATTUNE_RETURN_IF_ERROR(JudgeItem(context, *judge, item, *response.add_judgments()));
  }
  metrics_.Add("attune_oracle_judgments_total", "Prompts whose candidates were judged.",
               request.items_size(), {{"oracle", judge->oracle()}});
  return absl::OkStatus();
}

void OracleServiceImpl::CountRequest(const v1::OracleSpec& spec, const absl::Status& status) {
  metrics_.Add(
      "attune_oracle_requests_total", "Describe and Judge calls answered.", 1,
      {{"oracle", OracleName(spec.kind())}, {"code", absl::StatusCodeToString(status.code())}});
}

}  // namespace attune
