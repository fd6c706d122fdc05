// Asks oracles until every prompt has a verdict or has failed for good.
#ifndef ATTUNE_COORDINATOR_JUDGING_H_
#define ATTUNE_COORDINATOR_JUDGING_H_

#include <stop_token>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "attune/v1/job.pb.h"
#include "attune/v1/oracle.pb.h"
#include "attune/v1/round.pb.h"
#include "attune/v1/types.pb.h"
#include "common/retry.h"
#include "coordinator/workers.h"

namespace attune {

// How often items are asked about of an oracle that asks a service outside. Others are asked once:
// they would answer the same again.
struct Patience {
  int passes = 3;          // while few enough fail for the job to go on without them
  int outage_passes = 10;  // while more do
  Backoff between = {.initial = absl::Seconds(1), .max = absl::Seconds(30)};
};

// Judgments in the order of the items. A failed one holds its failure and no score. Errors are
// those of Workers::Judge; CANCELLED soon after `stop` is requested.
[[nodiscard]] absl::StatusOr<std::vector<v1::Judgment>> JudgePatiently(
    Workers& workers, const v1::JudgeRequest& request, const Patience& patience,
    std::stop_token stop, const ProgressCall& progress);

// The answers of a worker to `request`, made safe: each belongs to its item, and one that cannot be
// used (a score missing or not finite, ...) is a failure that says so. INTERNAL when there are not
// as many answers as items, or one is for another prompt.
absl::Status CheckAnswers(const v1::JudgeRequest& request, v1::JudgeResponse* response);

// Adds the scores of an auxiliary oracle, given for the same prompts; where it failed, the judgment
// fails.
void AddAuxiliary(absl::Span<const v1::Judgment> auxiliary, std::vector<v1::Judgment>* judgments);

// The prompts whose judgement failed.
std::vector<v1::Quarantined> QuarantineOf(absl::Span<const v1::Judgment> judgments);

// OK, or FAILED_PRECONDITION when so many of the `prompts` that were asked about are quarantined
// that the job must not go on.
absl::Status CheckQuarantine(const v1::OracleSpec& oracle,
                             const google::protobuf::RepeatedPtrField<v1::Quarantined>& quarantined,
                             int prompts);

// Prompts quarantined in one of the rounds, in order, and not drawn again since.
std::vector<uint32_t> OutstandingQuarantine(absl::Span<const v1::RoundRecord> rounds);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_JUDGING_H_
