// What a job has achieved: report.json for programs and a table for people.
#ifndef ATTUNE_CLIENT_REPORT_H_
#define ATTUNE_CLIENT_REPORT_H_

#include <string>
#include <vector>

#include "attune/v1/job.pb.h"
#include "attune/v1/round.pb.h"

namespace attune {

// One JSON object; `indent` as in nlohmann::json::dump, -1 = on one line:
//   {"job": "jobs/x", "state": "SUCCEEDED",
//    "rounds": [{"round", "win_rate", "win_rate_low", "win_rate_high", "mean_score", "kl",
//                "mean_length", "distinct_2", "pairs", "seconds"}, ...],
//    "initial": {"mean_score", "mean_length", "distinct_2"},
//    "pairs_digest": ..., "weights_digest": ...}
// Rounds that are not finished are left out; a number that was not measured is null. Fields are
// those of v1::Evaluation with its units.
std::string ReportJson(const v1::Job& job, const std::vector<v1::RoundRecord>& rounds, int indent);

// The same as a table of at most 100 columns.
std::string ReportTable(const v1::Job& job, const std::vector<v1::RoundRecord>& rounds);

}  // namespace attune

#endif  // ATTUNE_CLIENT_REPORT_H_
