#include "client/report.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/head_to_head.h"
#include "client/progress.h"
#include "client/text_format.h"
#include "common/text_table.h"
#include "nlohmann/json.hpp"

namespace attune {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMatrixColumns = 12;

Json AlarmsJson(const v1::RoundRecord& record) {
  Json alarms = Json::array();
  for (const v1::Alarm& alarm : record.diagnosis().alarms()) {
    alarms.push_back({{"kind", AlarmName(alarm.kind())},
                      {"value", alarm.value()},
                      {"limit", alarm.limit()},
                      {"message", alarm.message()}});
  }
  return alarms;
}

// Otherwise there is none, or it tells how held-out responses were ranked.
bool IsOfSamples(const v1::Evaluation& evaluation) {
  return evaluation.prompts() > 0 && evaluation.pairs() == 0;
}

Json RoundJson(const v1::RoundRecord& record) {
  Json round = {{"round", record.round()}};
  const v1::Evaluation& evaluation = record.evaluation();
  const std::pair<const char*, double> values[] = {{"win_rate", evaluation.win_rate()},
                                                   {"win_rate_low", evaluation.win_rate_low()},
                                                   {"win_rate_high", evaluation.win_rate_high()},
                                                   {"mean_score", evaluation.mean_score()},
                                                   {"kl", evaluation.kl()},
                                                   {"mean_length", evaluation.mean_length()},
                                                   {"distinct_2", evaluation.distinct_2()},
                                                   {"length_controlled_win_rate",
                                                    evaluation.length_controlled_win_rate()},
                                                   {"entropy", evaluation.entropy()}};
  for (const auto& [name, value] : values) {
    round[name] = IsOfSamples(evaluation) ? Json(value) : Json();
  }
  if (evaluation.pairs() > 0) {
    round["accuracy"] = evaluation.accuracy();
    round["accuracy_low"] = evaluation.accuracy_low();
    round["accuracy_high"] = evaluation.accuracy_high();
    round["holdout_pairs"] = evaluation.pairs();
  }
  round["pairs"] = record.pairs().kept();
  round["seconds"] = RoundSeconds(record);
  round["alarms"] = AlarmsJson(record);
  return round;
}

Json InitialJson(const v1::Evaluation& evaluation) {
  if (evaluation.prompts() == 0) {
    return {{"mean_score", nullptr},
            {"mean_length", nullptr},
            {"distinct_2", nullptr},
            {"entropy", nullptr}};
  }
  return {{"mean_score", evaluation.mean_score()},
          {"mean_length", evaluation.mean_length()},
          {"distinct_2", evaluation.distinct_2()},
          {"entropy", evaluation.entropy()}};
}

Json MatrixJson(const HeadToHeadMatrix& matrix) {
  if (matrix.rounds.empty()) return nullptr;
  Json json = {{"rounds", matrix.rounds}};
  const std::pair<const char*, double HeadToHeadCell::*> fields[] = {
      {"win_rate", &HeadToHeadCell::win_rate},
      {"win_rate_low", &HeadToHeadCell::low},
      {"win_rate_high", &HeadToHeadCell::high},
      {"length_controlled_win_rate", &HeadToHeadCell::length_controlled}};
  for (const auto& [name, field] : fields) {
    Json rows = Json::array();
    for (size_t i = 0; i < matrix.rounds.size(); ++i) {
      Json row = Json::array();
      for (size_t j = 0; j < matrix.rounds.size(); ++j) {
        const auto& cell = matrix.At(i, j);
        row.push_back(cell.has_value() ? Json((*cell).*field) : Json());
      }
      rows.push_back(std::move(row));
    }
    json[name] = std::move(rows);
  }
  const bool complete = !matrix.ratings.empty();
  const auto if_complete = [&](const Json& value) { return complete ? value : Json(); };
  json["ratings"] = if_complete(matrix.ratings);
  json["cycle_rate"] = if_complete(matrix.cycle_rate);
  json["uniform_exploitability"] = if_complete(matrix.uniform_exploitability);
  json["newest_exploitability"] = if_complete(matrix.newest_exploitability);
  return json;
}

std::string Percent(double rate) { return absl::StrFormat("%.1f %%", 100 * rate); }

// "41.2 - 63.0 %".
std::string PercentRange(double low, double high) {
  return absl::StrFormat("%.1f - %.1f %%", 100 * low, 100 * high);
}

// Win rates in percent, row against column.
std::string MatrixTable(const HeadToHeadMatrix& matrix) {
  std::vector<size_t> shown;
  for (size_t i = 0; i < matrix.rounds.size(); ++i) {
    if (i == 0 || i + kMatrixColumns > matrix.rounds.size()) shown.push_back(i);
  }
  std::vector<std::vector<std::string>> rows = {{"% against"}};
  for (size_t i : shown) {
    rows[0].push_back(absl::StrCat(matrix.rounds[i]));
    rows.push_back({absl::StrCat(matrix.rounds[i])});
    for (size_t j : shown) {
      const auto& cell = matrix.At(i, j);
      rows.back().push_back(
          cell.has_value() && i != j ? absl::StrFormat("%.1f", 100 * cell->win_rate) : "-");
    }
  }
  return FormatTable(rows);
}

std::string NewestTable(const HeadToHeadMatrix& matrix) {
  const size_t newest = matrix.rounds.size() - 1;
  std::vector<std::vector<std::string>> rows = {
      {absl::StrCat("round ", matrix.rounds[newest], " against"), "win rate", "95 % interval",
       "at equal lengths"}};
  for (size_t j = 0; j < newest; ++j) {
    const HeadToHeadCell& cell = *matrix.At(newest, j);
    rows.push_back({absl::StrCat(matrix.rounds[j]), Percent(cell.win_rate),
                    PercentRange(cell.low, cell.high), Percent(cell.length_controlled)});
  }
  return FormatTable(rows);
}

std::vector<std::string> TableRow(const std::string& round, const v1::Evaluation& evaluation,
                                  bool is_initial) {
  if (!IsOfSamples(evaluation)) return {round, "-", "-", "-", "-", "-", "-"};
  return {round,
          is_initial ? "-" : Percent(evaluation.win_rate()),
          is_initial ? "-" : PercentRange(evaluation.win_rate_low(), evaluation.win_rate_high()),
          absl::StrFormat("%.4g", evaluation.mean_score()),
          is_initial ? "-" : absl::StrFormat("%.3g", evaluation.kl()),
          absl::StrFormat("%.1f", evaluation.mean_length()),
          absl::StrFormat("%.3f", evaluation.distinct_2())};
}

}  // namespace

std::string ReportJson(const v1::Job& job, const std::vector<v1::RoundRecord>& rounds,
                       int indent) {
  Json report = {{"job", job.name()},
                 {"state", StateName(job.state())},
                 {"best_round", job.best_round()},
                 {"rounds", Json::array()}};
  for (const v1::RoundRecord& record : rounds) {
    if (record.phase() == v1::ROUND_PHASE_PUBLISHED) report["rounds"].push_back(RoundJson(record));
  }
  report["initial"] = InitialJson(job.initial_evaluation());
  report["head_to_head"] = MatrixJson(MakeHeadToHead(rounds));
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
  std::string text = FormatTable(rows);
  const HeadToHeadMatrix matrix = MakeHeadToHead(rounds);
  if (!matrix.rounds.empty()) {
    absl::StrAppend(&text, "\n", MatrixTable(matrix), "\n", NewestTable(matrix), "\nbest round: ",
                    job.best_round(), "\n");
  }
  for (const v1::RoundRecord& record : rounds) {
    const v1::Evaluation& evaluation = record.evaluation();
    if (evaluation.pairs() > 0) {
      absl::StrAppend(&text, "round ", record.round(), " accuracy ", Percent(evaluation.accuracy()),
                      " (", PercentRange(evaluation.accuracy_low(), evaluation.accuracy_high()),
                      ") on ", WithThousands(evaluation.pairs()), " held-out pairs\n");
    }
    for (const v1::Alarm& alarm : record.diagnosis().alarms()) {
      absl::StrAppend(&text, "round ", record.round(), " ALARM ", FormatAlarm(alarm), "\n");
    }
  }
  return text;
}

}  // namespace attune
