#include "oracle/oracle_service.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/status_macros.h"
#include "common/threads.h"
#include "rpc/grpc_status.h"
#include "spec/answer_check.h"
#include "spec/spec_checks.h"

namespace attune {
namespace {

absl::Status CheckRequest(const v1::JudgeRequest& request) {
  if (request.items_size() > OracleServiceImpl::kItemsMax) {
    return absl::InvalidArgumentError(absl::StrCat("a Judge call has ", request.items_size(),
                                                   " items, the limit is ",
                                                   OracleServiceImpl::kItemsMax));
  }
  for (const v1::Candidates& item : request.items()) {
    if (item.response_tokens_size() == item.responses_size()) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "prompt ", item.prompt_index(), " has ", item.responses_size(), " responses but ",
        item.response_tokens_size(), " response_tokens; send one length for each response"));
  }
  return absl::OkStatus();
}

}  // namespace

grpc::Status OracleServiceImpl::Describe(grpc::ServerContext* context,
                                         const v1::DescribeRequest* request,
                                         v1::DescribeResponse* response) {
  const auto judge = judges_.Make(request->spec());
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
  ATTUNE_RETURN_IF_ERROR(CheckRequest(request));
  ATTUNE_ASSIGN_OR_RETURN(const auto judge, judges_.Make(request.spec()));
  for (const v1::Candidates& item : request.items()) {
    v1::Judgment& judgment = *response.add_judgments();
    judgment.set_prompt_index(item.prompt_index());
    judgment.set_oracle(judge->oracle());
    judgment.set_oracle_digest(judge->digest());
  }
  RunInThreads(static_cast<size_t>(request.items_size()), threads_, [&](size_t item) {
    const int i = static_cast<int>(item);
    if (context.IsCancelled()) return;
    JudgeItem(*judge, request.items(i), *response.mutable_judgments(i));
  });
  return context.IsCancelled() ? absl::CancelledError("the caller has gone") : absl::OkStatus();
}

void OracleServiceImpl::JudgeItem(const attune::Judge& judge, const v1::Candidates& item,
                                  v1::Judgment& judgment) {
  absl::StatusOr<Verdict> verdict = judge.Decide(item);
  absl::Status status = verdict.status();
  if (status.ok()) {
    status = CheckAnswer(verdict->scores, verdict->preferences,
                         static_cast<size_t>(item.responses_size()));
  }
  if (status.ok()) {
    judgment.mutable_scores()->Assign(verdict->scores.begin(), verdict->scores.end());
    judgment.mutable_preferences()->Assign(verdict->preferences.begin(),
                                           verdict->preferences.end());
    judgment.set_swaps(verdict->swaps);
    judgment.set_swaps_agreed(verdict->swaps_agreed);
  } else {
    judgment.set_failure(std::string(status.message()));
  }
  metrics_.Add("attune_oracle_judgments_total", "Prompts whose candidates were judged.", 1,
               {{"oracle", judge.oracle()}, {"outcome", status.ok() ? "judged" : "failed"}});
}

void OracleServiceImpl::CountRequest(const v1::OracleSpec& spec, const absl::Status& status) {
  const std::string kind = v1::OracleKind_IsValid(spec.kind()) ? EnumName(spec.kind()) : "unknown";
  metrics_.Add("attune_oracle_requests_total", "Describe and Judge calls answered.", 1,
               {{"oracle", kind}, {"code", absl::StatusCodeToString(status.code())}});
}

}  // namespace attune
