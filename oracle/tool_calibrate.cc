#include "oracle/tool_calibrate.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/statistics.h"
#include "common/status_macros.h"
#include "common/text_table.h"
#include "oracle/tool_json.h"
#include "oracle/tool_oracles.h"
#include "oracle/tool_pairs.h"

namespace attune {
namespace {

using Preferences = std::vector<std::optional<double>>;

// One oracle's answers to all rows in both orders.
struct Answers {
  const NamedJudge* judge;
  std::vector<Decision> decisions, reversed_decisions;  // by row
  Preferences preferences, reversed;                    // by pair: of the labelled winner
};

// A pair that was judged in both orders.
struct BothOrders {
  size_t pair;
  double first, second;  // preference of the labelled winner in each

  bool SameAnswer() const { return Sign(first) == Sign(second); }
  static int Sign(double preference) { return (preference > 0.5) - (preference < 0.5); }
};

std::vector<BothOrders> JudgedInBothOrders(const Answers& answers) {
  std::vector<BothOrders> both;
  for (size_t i = 0; i < answers.preferences.size(); ++i) {
    if (!answers.preferences[i].has_value() || !answers.reversed[i].has_value()) continue;
    both.push_back({i, *answers.preferences[i], *answers.reversed[i]});
  }
  return both;
}

// Half of a success for each order in which the labelled winner is preferred.
double Successes(const BothOrders& pair) {
  return (pair.first > 0.5 ? 0.5 : 0) + (pair.second > 0.5 ? 0.5 : 0);
}

size_t LengthOf(const LabelledRows& rows, size_t row, size_t candidate) {
  return rows.items[row].response_tokens(static_cast<int>(candidate));
}

// Longer (1), as long (0) or shorter (-1): the labelled winner.
int WinnerLength(const LabelledRows& rows, const LabelledPair& pair) {
  const size_t winner = LengthOf(rows, pair.row, pair.winner);
  const size_t loser = LengthOf(rows, pair.row, pair.loser);
  return (winner > loser) - (winner < loser);
}

ToolJson AccuracyJson(const std::vector<BothOrders>& pairs) {
  double successes = 0;
  for (const BothOrders& pair : pairs) successes += Successes(pair);
  return RateJson(successes, pairs.size());
}

ToolJson PositionJson(const LabelledRows& rows, const Answers& answers,
                      const std::vector<BothOrders>& pairs) {
  size_t same = 0, first = 0, second = 0;
  for (const BothOrders& pair : pairs) {
    same += pair.SameAnswer() ? 1 : 0;
    const bool winner_first = rows.pairs[pair.pair].winner < rows.pairs[pair.pair].loser;
    const int shown = BothOrders::Sign(pair.first) * (winner_first ? 1 : -1);
    const int shown_reversed = BothOrders::Sign(pair.second) * (winner_first ? -1 : 1);
    first += (shown > 0 ? 1 : 0) + (shown_reversed > 0 ? 1 : 0);
    second += (shown < 0 ? 1 : 0) + (shown_reversed < 0 ? 1 : 0);
  }
  uint64_t swaps = 0, swaps_agreed = 0;
  for (const auto* decisions : {&answers.decisions, &answers.reversed_decisions}) {
    for (const Decision& decision : *decisions) {
      if (!decision.verdict.ok()) continue;
      swaps += decision.verdict->swaps;
      swaps_agreed += decision.verdict->swaps_agreed;
    }
  }
  return {{"same_answer", RateJson(static_cast<double>(same), pairs.size())},
          {"prefers_first", RateJson(static_cast<double>(first), first + second)},
          {"own_swaps_agreed", RateJson(static_cast<double>(swaps_agreed), swaps)}};
}

// Of scores and lengths less their means within the row.
double LengthCorrelation(const LabelledRows& rows, const std::vector<Decision>& decisions) {
  std::vector<double> scores, lengths;
  for (size_t row = 0; row < rows.items.size(); ++row) {
    if (!decisions[row].verdict.ok()) continue;
    const std::vector<double>& row_scores = decisions[row].verdict->scores;
    const double count = static_cast<double>(row_scores.size());
    double score = 0, length = 0;
    for (size_t i = 0; i < row_scores.size(); ++i) {
      score += row_scores[i] / count;
      length += static_cast<double>(LengthOf(rows, row, i)) / count;
    }
    for (size_t i = 0; i < row_scores.size(); ++i) {
      scores.push_back(row_scores[i] - score);
      lengths.push_back(static_cast<double>(LengthOf(rows, row, i)) - length);
    }
  }
  return Correlation(scores, lengths);
}

ToolJson LengthJson(const LabelledRows& rows, const Answers& answers,
                    const std::vector<BothOrders>& pairs) {
  std::vector<BothOrders> shorter, longer;  // by the labelled winner
  size_t longer_preferred = 0, decided = 0;
  for (const BothOrders& pair : pairs) {
    const int winner = WinnerLength(rows, rows.pairs[pair.pair]);
    if (winner == 0) continue;
    (winner > 0 ? longer : shorter).push_back(pair);
    for (const double preference : {pair.first, pair.second}) {
      decided += preference != 0.5 ? 1 : 0;
      longer_preferred += BothOrders::Sign(preference) == winner ? 1 : 0;
    }
  }
  return {{"score_correlation", LengthCorrelation(rows, answers.decisions)},
          {"longer_preferred", RateJson(static_cast<double>(longer_preferred), decided)},
          {"longer_labelled",
           RateJson(static_cast<double>(longer.size()), longer.size() + shorter.size())},
          {"accuracy_winner_shorter", AccuracyJson(shorter)},
          {"accuracy_winner_longer", AccuracyJson(longer)}};
}

// The flip rate that explains the errors on pairs where the oracle says the same in both orders. As
// label smoothing it would make a loss unbiased; from 1/2 on nothing would be left to learn.
ToolJson NoiseJson(const std::vector<BothOrders>& pairs) {
  size_t consistent = 0, wrong = 0;
  for (const BothOrders& pair : pairs) {
    if (!pair.SameAnswer() || pair.first == 0.5) continue;
    ++consistent;
    wrong += pair.first < 0.5 ? 1 : 0;
  }
  ToolJson flip_rate = RateJson(static_cast<double>(wrong), consistent);
  ToolJson smoothing;
  if (!flip_rate.is_null() && flip_rate["rate"] < 0.5) smoothing = flip_rate["rate"];
  return {{"flip_rate", std::move(flip_rate)}, {"label_smoothing", std::move(smoothing)}};
}

ToolJson CallsJson(const Answers& answers, std::optional<double> cost_per_call) {
  std::vector<double> seconds;
  size_t failed = 0;
  for (const auto* decisions : {&answers.decisions, &answers.reversed_decisions}) {
    for (const Decision& decision : *decisions) {
      seconds.push_back(decision.seconds);
      failed += decision.verdict.ok() ? 0 : 1;
    }
  }
  const size_t calls = seconds.size();
  ToolJson json = {{"calls", calls},
                   {"failed", failed},
                   {"median_seconds", Quantile(seconds, 0.5)},
                   {"p95_seconds", Quantile(seconds, 0.95)}};
  if (cost_per_call.has_value()) json["cost"] = *cost_per_call * static_cast<double>(calls);
  return json;
}

ToolJson OracleJson(const LabelledRows& rows, const Answers& answers,
                    std::optional<double> cost_per_call) {
  const std::vector<BothOrders> pairs = JudgedInBothOrders(answers);
  size_t ties = 0;
  for (const BothOrders& pair : pairs) ties += pair.first == 0.5 && pair.second == 0.5 ? 1 : 0;
  return {{"name", answers.judge->name},
          {"oracle", answers.judge->judge->oracle()},
          {"oracle_digest", answers.judge->judge->digest()},
          {"pairs", rows.pairs.size()},
          {"failed", rows.pairs.size() - pairs.size()},
          {"ties", ties},
          {"accuracy", AccuracyJson(pairs)},
          {"position", PositionJson(rows, answers, pairs)},
          {"length", LengthJson(rows, answers, pairs)},
          {"noise", NoiseJson(pairs)},
          {"calls", CallsJson(answers, cost_per_call)}};
}

void WriteOracle(const ToolJson& oracle, std::ostream& out) {
  const auto line = [&](const char* what, const ToolJson& rate) {
    out << absl::StreamFormat("  %-46s  %s  %s\n", what, ShownRate(rate), ShownInterval(rate));
  };
  const ToolJson& position = oracle["position"];
  const ToolJson& length = oracle["length"];
  const ToolJson& calls = oracle["calls"];
  out << "\n"
      << oracle["name"].get<std::string>() << " (" << oracle["oracle"].get<std::string>()
      << "): " << oracle["pairs"] << " pairs, " << oracle["failed"] << " failed, " << oracle["ties"]
      << " ties\n";
  line("accuracy", oracle["accuracy"]);
  line("same answer in both orders", position["same_answer"]);
  line("prefers the one shown first", position["prefers_first"]);
  line("own swaps that agreed", position["own_swaps_agreed"]);
  line("prefers the longer", length["longer_preferred"]);
  line("labels prefer the longer", length["longer_labelled"]);
  line("accuracy where the better one is shorter", length["accuracy_winner_shorter"]);
  line("accuracy where the better one is longer", length["accuracy_winner_longer"]);
  out << absl::StreamFormat("  %-46s  %.3f\n", "correlation of score and length within prompts",
                            length["score_correlation"].get<double>());
  line("flip rate", oracle["noise"]["flip_rate"]);
  const ToolJson& smoothing = oracle["noise"]["label_smoothing"];
  out << absl::StreamFormat(
      "  %-46s  %s\n", "objective.label_smoothing",
      smoothing.is_null() ? "none: no better than chance, or nothing judged alike in both orders"
                          : absl::StrFormat("%.3f", smoothing.get<double>()));
  out << absl::StreamFormat("  %d judgements, %d failed, median %.2g s, 95 %% within %.2g s",
                            calls["calls"].get<int64_t>(), calls["failed"].get<int64_t>(),
                            calls["median_seconds"].get<double>(),
                            calls["p95_seconds"].get<double>());
  if (calls.contains("cost")) {
    out << absl::StreamFormat(", cost %.6g", calls["cost"].get<double>());
  }
  out << "\n";
}

void WriteText(const ToolJson& report, std::ostream& out) {
  out << report["rows"] << " rows with a preference, " << report["rows_without_preference"]
      << " without. Rates with their 95 % intervals:\n";
  for (const ToolJson& oracle : report["oracles"]) WriteOracle(oracle, out);
  if (report["agreement"].empty()) return;
  std::vector<std::vector<std::string>> table = {{"ORACLE", "AGAINST", "AGREE", "95 %", "KAPPA"}};
  for (const ToolJson& line : report["agreement"]) {
    table.push_back({line["oracles"][0], line["oracles"][1], ShownRate(line["agreement"]),
                     ShownInterval(line["agreement"]),
                     absl::StrFormat("%.3f", line["kappa"].get<double>())});
  }
  out << "\n" << FormatTable(table);
}

}  // namespace

absl::StatusOr<ToolJson> Calibrate(absl::Span<const NamedJudge> judges, const LabelledRows& rows,
                                   std::optional<double> cost_per_call) {
  const LabelledRows reversed = Reversed(rows);
  ToolJson report = {{"rows", rows.items.size()},
                     {"rows_without_preference", rows.without_preference},
                     {"oracles", ToolJson::array()},
                     {"agreement", ToolJson::array()}};
  std::vector<Answers> all;
  for (const NamedJudge& judge : judges) {
    Answers& answers = all.emplace_back();
    answers.judge = &judge;
    answers.decisions = DecideAll(judge, rows.items);
    ATTUNE_RETURN_IF_ERROR(CheckAnyJudged(judge, answers.decisions));
    answers.reversed_decisions = DecideAll(judge, reversed.items);
    answers.preferences = WinnerPreferences(rows, answers.decisions);
    answers.reversed = WinnerPreferences(reversed, answers.reversed_decisions);
    report["oracles"].push_back(OracleJson(rows, answers, cost_per_call));
  }
  for (size_t a = 0; a < all.size(); ++a) {
    for (size_t b = a + 1; b < all.size(); ++b) {
      const Agreement agreement = AgreementOf(rows, all[a].preferences, all[b].preferences);
      report["agreement"].push_back(
          {{"oracles", {all[a].judge->name, all[b].judge->name}},
           {"agreement", RateJson(static_cast<double>(agreement.agreed), agreement.pairs)},
           {"kappa", agreement.kappa}});
    }
  }
  return report;
}

absl::Status RunCalibrate(const PairsCommand& command, std::optional<double> cost_per_call,
                          std::ostream& out) {
  ATTUNE_ASSIGN_OR_RETURN(const auto oracles, OracleSet::Load(command.oracles));
  ATTUNE_ASSIGN_OR_RETURN(const LengthCounter lengths, LengthCounter::Load(command.model));
  ATTUNE_ASSIGN_OR_RETURN(const LabelledRows rows, LoadLabelledRows(command.pairs, lengths));
  ATTUNE_ASSIGN_OR_RETURN(const ToolJson report, Calibrate(oracles->judges(), rows, cost_per_call));
  if (command.json) {
    WriteLine(report, out);
  } else {
    WriteText(report, out);
  }
  return CheckWritten(out);
}

}  // namespace attune
