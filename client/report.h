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
//    "best_round": 2,
//    "rounds": [{"round", "win_rate", "win_rate_low", "win_rate_high", "mean_score", "kl",
//                "mean_length", "distinct_2", "length_controlled_win_rate", "entropy", "pairs",
//                "seconds", "alarms": [{"kind", "value", "limit", "message"}, ...]}, ...],
//    "initial": {"mean_score", "mean_length", "distinct_2", "entropy"},
//    "head_to_head": {"rounds", "win_rate", "win_rate_low", "win_rate_high",
//                     "length_controlled_win_rate", "ratings", "cycle_rate",
//                     "uniform_exploitability", "newest_exploitability"},
//    "pairs_digest": ..., "weights_digest": ...}
// Rounds that are not finished are left out; a number that was not measured is null. Fields are
// those of v1::Evaluation with its units. head_to_head is null where no rounds were compared;
// its matrices are lists of rows, as in head_to_head.h.
std::string ReportJson(const v1::Job& job, const std::vector<v1::RoundRecord>& rounds, int indent);

// The same as tables of at most 100 columns: the rounds, their win rates against each other (the
// initial policy and the newest ones if there are many), those of the newest with intervals and at
// equal lengths, the best round, and a line for each alarm.
std::string ReportTable(const v1::Job& job, const std::vector<v1::RoundRecord>& rounds);

}  // namespace attune

#endif  // ATTUNE_CLIENT_REPORT_H_
