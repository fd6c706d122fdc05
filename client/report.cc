#include "client/report.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/progress.h"
#include "client/text_format.h"
#include "nlohmann/json.hpp"

namespace attune {
namespace {

using Json = nlohmann::ordered_json;

Json RoundJson(const v1::RoundRecord& record) {
  Json round = {{"round", record.round()}};
  const v1::Evaluation& evaluation = record.evaluation();
  const std::pair<const char*, double> values[] = {{"win_rate", evaluation.win_rate()},
                                                   {"win_rate_low", evaluation.win_rate_low()},
                                                   {"win_rate_high", evaluation.win_rate_high()},
                                                   {"mean_score", evaluation.mean_score()},
                                                   {"kl", evaluation.kl()},
                                                   {"mean_length", evaluation.mean_length()},
                                                   {"distinct_2", evaluation.distinct_2()}};
  for (const auto& [name, value] : values) {
    round[name] = evaluation.prompts() > 0 ? Json(value) : Json();
  }
  round["pairs"] = record.pairs().kept();
  round["seconds"] = RoundSeconds(record);
  return round;
}

Json InitialJson(const v1::Evaluation& evaluation) {
  if (evaluation.prompts() == 0) {
    return {{"mean_score", nullptr}, {"mean_length", nullptr}, {"distinct_2", nullptr}};
  }
  return {{"mean_score", evaluation.mean_score()},
          {"mean_length", evaluation.mean_length()},
          {"distinct_2", evaluation.distinct_2()}};
}

std::vector<std::string> TableRow(const std::string& round, const v1::Evaluation& evaluation,
                                  bool is_initial) {
  if (evaluation.prompts() == 0) return {round, "-", "-", "-", "-", "-", "-"};
  return {round,
          is_initial ? "-" : absl::StrFormat("%.1f %%", 100 * evaluation.win_rate()),
          is_initial ? "-"
                     : absl::StrFormat("%.1f - %.1f %%", 100 * evaluation.win_rate_low(),
                                       100 * evaluation.win_rate_high()),
          absl::StrFormat("%.4g", evaluation.mean_score()),
          is_initial ? "-" : absl::StrFormat("%.3g", evaluation.kl()),
          absl::StrFormat("%.1f", evaluation.mean_length()),
          absl::StrFormat("%.3f", evaluation.distinct_2())};
}

}  // namespace

std::string ReportJson(const v1::Job& job, const std::vector<v1::RoundRecord>& rounds,
                       int indent) {
  Json report = {{"job", job.name()}, {"state", StateName(job.state())}, {"rounds", Json::array()}};
  for (const v1::RoundRecord& record : rounds) {
    if (record.phase() == v1::ROUND_PHASE_PUBLISHED) report["rounds"].push_back(RoundJson(record));
  }
  report["initial"] = InitialJson(job.initial_evaluation());
  report["pairs_digest"] = job.pairs_digest();
  report["weights_digest"] = job.weights_digest();
  return report.dump(indent);
}

std::string ReportTable(const v1::Job& job, const std::vector<v1::RoundRecord>& rounds) {
  std::vector<std::vector<std::string>> rows = {{"round", "win rate", "95 % interval", "score",
                                                 "kl", "length", "distinct-2", "pairs",
                                                 "seconds"}};
  rows.push_back(TableRow("0", job.initial_evaluation(), /*is_initial=*/true));
  rows.back().insert(rows.back().end(), {"-", "-"});
  for (const v1::RoundRecord& record : rounds) {
    if (record.phase() != v1::ROUND_PHASE_PUBLISHED) continue;
    rows.push_back(TableRow(absl::StrCat(record.round()), record.evaluation(),
                            /*is_initial=*/false));
    rows.back().push_back(WithThousands(record.pairs().kept()));
    rows.back().push_back(absl::StrFormat("%.1f", RoundSeconds(record)));
  }
  return FormatTable(rows);
}

}  // namespace attune
