#include "oracle/tool_accuracy.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "common/status_macros.h"
#include "common/text_table.h"
#include "oracle/tool_json.h"
#include "oracle/tool_oracles.h"
#include "oracle/tool_pairs.h"

namespace attune {
namespace {

// Of one oracle.
struct Answers {
  const NamedJudge* judge;
  std::vector<std::optional<double>> preferences;        // by pair
  std::vector<std::pair<std::string, Accuracy>> splits;  // "all" first
};

std::vector<std::pair<std::string, Accuracy>> BySplit(
    const LabelledRows& rows, const std::vector<std::optional<double>>& preferences) {
  std::vector<std::pair<std::string, Accuracy>> splits = {{"all", {}}};
  for (size_t i = 0; i < preferences.size(); ++i) {
    splits[0].second.Add(preferences[i]);
    const std::string& name = rows.splits[rows.pairs[i].row];
    if (name.empty()) continue;
    auto it = std::find_if(splits.begin() + 1, splits.end(),
                           [&](const auto& split) { return split.first == name; });
    if (it == splits.end()) it = splits.insert(it, {name, {}});
    it->second.Add(preferences[i]);
  }
  return splits;
}

ToolJson SplitJson(const std::string& name, const Accuracy& accuracy) {
  return {{"split", name},
          {"pairs", accuracy.pairs},
          {"failed", accuracy.failed},
          {"ties", accuracy.ties},
          {"correct", accuracy.correct},
          {"accuracy", RateJson(static_cast<double>(accuracy.correct), accuracy.judged())}};
}

ToolJson Report(const LabelledRows& rows, const std::vector<Answers>& all) {
  ToolJson report = {{"rows", rows.items.size()},
                     {"rows_without_preference", rows.without_preference},
                     {"oracles", ToolJson::array()},
                     {"disagreement", ToolJson::array()}};
  for (const Answers& answers : all) {
    ToolJson splits = ToolJson::array();
    for (const auto& [name, accuracy] : answers.splits) splits.push_back(SplitJson(name, accuracy));
    report["oracles"].push_back({{"name", answers.judge->name},
                                 {"oracle", answers.judge->judge->oracle()},
                                 {"oracle_digest", answers.judge->judge->digest()},
                                 {"splits", std::move(splits)}});
  }
  for (size_t a = 0; a < all.size(); ++a) {
    for (size_t b = a + 1; b < all.size(); ++b) {
      const Agreement agreement = AgreementOf(rows, all[a].preferences, all[b].preferences);
      report["disagreement"].push_back(
          {{"oracles", {all[a].judge->name, all[b].judge->name}},
           {"disagreement",
            RateJson(static_cast<double>(agreement.pairs - agreement.agreed), agreement.pairs)}});
    }
  }
  return report;
}

void WriteText(const ToolJson& report, std::ostream& out) {
  out << report["rows"] << " rows with a preference, " << report["rows_without_preference"]
      << " without\n\n";
  std::vector<std::vector<std::string>> table = {
      {"ORACLE", "SPLIT", "PAIRS", "ACCURACY", "95 %", "TIES", "FAILED"}};
  for (const ToolJson& oracle : report["oracles"]) {
    for (const ToolJson& split : oracle["splits"]) {
      table.push_back({oracle["name"], split["split"], split["pairs"].dump(),
                       ShownRate(split["accuracy"]), ShownInterval(split["accuracy"]),
                       split["ties"].dump(), split["failed"].dump()});
    }
  }
  out << FormatTable(table);
  if (report["disagreement"].empty()) return;
  table = {{"ORACLE", "AGAINST", "PAIRS", "DISAGREE", "95 %"}};
  for (const ToolJson& line : report["disagreement"]) {
    const ToolJson& rate = line["disagreement"];
    table.push_back({line["oracles"][0], line["oracles"][1],
                     rate.is_null() ? "0" : rate["of"].dump(), ShownRate(rate),
                     ShownInterval(rate)});
  }
  out << "\n" << FormatTable(table);
}

}  // namespace

absl::Status RunPairAccuracy(const PairsCommand& command, std::ostream& out) {
  ATTUNE_ASSIGN_OR_RETURN(const auto oracles, OracleSet::Load(command.oracles));
  ATTUNE_ASSIGN_OR_RETURN(const LengthCounter lengths, LengthCounter::Load(command.model));
  ATTUNE_ASSIGN_OR_RETURN(const LabelledRows rows, LoadLabelledRows(command.pairs, lengths));
  std::vector<Answers> all;
  for (const NamedJudge& judge : oracles->judges()) {
    const std::vector<Decision> decisions = DecideAll(judge, rows.items);
    ATTUNE_RETURN_IF_ERROR(CheckAnyJudged(judge, decisions));
    std::vector<std::optional<double>> preferences = WinnerPreferences(rows, decisions);
    auto splits = BySplit(rows, preferences);
    all.push_back({&judge, std::move(preferences), std::move(splits)});
  }
  const ToolJson report = Report(rows, all);
  if (command.json) {
    WriteLine(report, out);
  } else {
    WriteText(report, out);
  }
  return CheckWritten(out);
}

}  // namespace attune
