#include "oracle/tool_evaluate.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/types/span.h"
#include "common/status_macros.h"
#include "common/text_diversity.h"
#include "common/text_table.h"
#include "oracle/tool_json.h"
#include "oracle/tool_match.h"
#include "oracle/tool_oracles.h"
#include "oracle/tool_perturb.h"
#include "oracle/tool_players.h"
#include "spec/dataset_file.h"

namespace attune {
namespace {

constexpr size_t kSelfBleuTexts = 200;  // compared with each other: it takes the square of the time

// What a command is about, loaded.
struct Tournament {
  const EvaluateCommand& command;
  std::vector<Player> players;
  std::vector<v1::Prompt> prompts;
  std::unique_ptr<const OracleSet> oracles;
  ModelCache models;

  const NamedJudge& judge() const { return oracles->judges()[0]; }
};

absl::StatusOr<std::vector<v1::Prompt>> LoadPrompts(const EvaluateCommand& command) {
  ATTUNE_ASSIGN_OR_RETURN(Dataset dataset, LoadDataset(command.prompts));
  if (command.num_prompts > 0 && command.num_prompts < dataset.prompts.size()) {
    dataset.prompts.resize(command.num_prompts);
  }
  return std::move(dataset.prompts);
}

// Against another player, with the paired bootstrap over prompts.
ToolJson WinRateJson(const Match& match, size_t player, size_t other, uint64_t seed) {
  if (player == other) return nullptr;
  const std::vector<double> preferences = match.Preferences(player, other);
  ToolJson json =
      RateJson(match.WinRate(player, other), BootstrapInterval(preferences, seed), match.prompts());
  json["length_controlled"] = match.LengthControlled(player, other);
  return json;
}

// Of a player's own answers, whether they were judged or not.
ToolJson AnswersJson(absl::Span<const PlayerAnswer> answers) {
  std::vector<std::string> texts;
  double tokens = 0, logp = 0, log_ratio = 0;
  size_t ratios = 0;
  for (const PlayerAnswer& answer : answers) {
    texts.push_back(answer.text);
    tokens += answer.tokens;
    logp += answer.logp;
    log_ratio += answer.log_ratio.value_or(0);
    ratios += answer.log_ratio.has_value() ? 1 : 0;
  }
  const double count = static_cast<double>(answers.size());
  ToolJson json = {{"kl", nullptr},
                   {"mean_length", tokens / count},
                   {"entropy", tokens > 0 ? -logp / tokens : 0},
                   {"distinct_1", DistinctNgrams(texts, 1)},
                   {"distinct_2", DistinctNgrams(texts, 2)},
                   {"self_bleu", SelfBleu(absl::MakeConstSpan(texts).subspan(0, kSelfBleuTexts))}};
  if (ratios == answers.size()) json["kl"] = log_ratio / count;
  return json;
}

ToolJson PlayersJson(const Tournament& tournament, const Match& match,
                     absl::Span<const std::vector<PlayerAnswer>> answers) {
  ToolJson players = ToolJson::array();
  const std::vector<Match::Rating> ratings = match.Ratings(tournament.command.seed);
  for (size_t i = 0; i < match.players(); ++i) {
    ToolJson player = {{"name", tournament.players[i].name},
                       {"directory", tournament.players[i].directory},
                       {"mean_score", match.MeanScore(i)},
                       {"rating",
                        {{"value", ratings[i].value},
                         {"low", ratings[i].interval.low},
                         {"high", ratings[i].interval.high}}},
                       {"win_rate", WinRateJson(match, i, 0, tournament.command.seed)}};
    player.update(AnswersJson(answers[i]));
    players.push_back(std::move(player));
  }
  return players;
}

ToolJson MatrixJson(const Match& match, uint64_t seed) {
  ToolJson matrix = ToolJson::array();
  for (size_t i = 0; i < match.players(); ++i) {
    ToolJson row = ToolJson::array();
    for (size_t j = 0; j < match.players(); ++j) row.push_back(WinRateJson(match, i, j, seed));
    matrix.push_back(std::move(row));
  }
  return matrix;
}

// The same prompts in other words. The oracle sees them as they were.
absl::Status PlayPerturbed(Tournament* tournament, ToolJson* report) {
  const EvaluateCommand& command = tournament->command;
  (*report)["perturbations"] = ToolJson::array();
  ToolJson& players = (*report)["models"];
  for (size_t i = 1; i < players.size(); ++i) {
    players[i]["worst_case"] = {{"perturbation", "none"}, {"win_rate", players[i]["win_rate"]}};
  }
  for (const Perturbation& perturbation : Perturbations()) {
    std::vector<v1::Prompt> changed;
    for (const v1::Prompt& prompt : tournament->prompts) {
      changed.push_back(Perturbed(perturbation, prompt));
    }
    ATTUNE_ASSIGN_OR_RETURN(const auto answers,
                            AnswerAll(tournament->players, changed, command.sampling, command.seed,
                                      &tournament->models));
    ATTUNE_ASSIGN_OR_RETURN(const Match match,
                            Match::Play(tournament->judge(), tournament->prompts, answers));
    ToolJson rates = ToolJson::array();
    for (size_t i = 0; i < match.players(); ++i) {
      ToolJson rate = WinRateJson(match, i, 0, command.seed);
      if (i > 0 && rate["rate"] < players[i]["worst_case"]["win_rate"]["rate"]) {
        players[i]["worst_case"] = {{"perturbation", perturbation.name}, {"win_rate", rate}};
      }
      rates.push_back(std::move(rate));
    }
    (*report)["perturbations"].push_back({{"perturbation", perturbation.name},
                                          {"failed", match.failed()},
                                          {"win_rates", std::move(rates)}});
  }
  return absl::OkStatus();
}

absl::StatusOr<ToolJson> Play(Tournament* tournament) {
  const EvaluateCommand& command = tournament->command;
  ATTUNE_ASSIGN_OR_RETURN(const auto answers,
                          AnswerAll(tournament->players, tournament->prompts, command.sampling,
                                    command.seed, &tournament->models));
  ATTUNE_ASSIGN_OR_RETURN(const Match match,
                          Match::Play(tournament->judge(), tournament->prompts, answers));
  ToolJson report = {{"oracle", tournament->judge().judge->oracle()},
                     {"oracle_digest", tournament->judge().judge->digest()},
                     {"prompts", match.prompts()},
                     {"failed", match.failed()},
                     {"models", PlayersJson(*tournament, match, answers)},
                     {"win_rates", MatrixJson(match, command.seed)}};
  if (command.perturb) {
    ATTUNE_RETURN_IF_ERROR(PlayPerturbed(tournament, &report));
  }
  return report;
}

std::string Shown(const ToolJson& number) {
  return number.is_null() ? "-" : absl::StrFormat("%.3f", number.get<double>());
}

std::string ShownWithInterval(const ToolJson& rate) {
  return rate.is_null() ? "-" : absl::StrCat(ShownRate(rate), " (", ShownInterval(rate), ")");
}

void WritePlayers(const ToolJson& report, std::ostream& out) {
  const std::string first = report["models"][0]["name"];
  std::vector<std::vector<std::string>> table = {{"MODEL", "SCORE", "RATING", "95 %",
                                                  absl::StrCat("BEATS ", first), "95 %",
                                                  "AT EQUAL LENGTH", "KL", "LENGTH"}};
  std::vector<std::vector<std::string>> texts = {
      {"MODEL", "ENTROPY", "DISTINCT-1", "DISTINCT-2", "SELF-BLEU"}};
  for (const ToolJson& model : report["models"]) {
    const ToolJson& rate = model["win_rate"];
    const ToolJson& rating = model["rating"];
    table.push_back(
        {model["name"], Shown(model["mean_score"]), Shown(rating["value"]),
         absl::StrFormat("%.2f..%.2f", rating["low"].get<double>(), rating["high"].get<double>()),
         ShownRate(rate), ShownInterval(rate),
         rate.is_null() ? "-" : Shown(rate["length_controlled"]), Shown(model["kl"]),
         absl::StrFormat("%.1f", model["mean_length"].get<double>())});
    texts.push_back({model["name"], Shown(model["entropy"]), Shown(model["distinct_1"]),
                     Shown(model["distinct_2"]), Shown(model["self_bleu"])});
  }
  out << FormatTable(table) << "\n" << FormatTable(texts);
}

void WriteMatrix(const ToolJson& report, std::ostream& out) {
  std::vector<std::vector<std::string>> table = {{"BEATS"}};
  for (const ToolJson& model : report["models"]) table[0].push_back(model["name"]);
  for (size_t i = 0; i < report["models"].size(); ++i) {
    table.push_back({report["models"][i]["name"]});
    for (const ToolJson& rate : report["win_rates"][i]) {
      table.back().push_back(ShownWithInterval(rate));
    }
  }
  out << "\nHow often the model of the row is preferred to that of the column:\n"
      << FormatTable(table);
}

void WritePerturbed(const ToolJson& report, std::ostream& out) {
  std::vector<std::vector<std::string>> table = {{"MODEL", "WORST WIN RATE", "95 %", "PROMPT"}};
  for (const ToolJson& model : report["models"]) {
    if (!model.contains("worst_case")) continue;
    const ToolJson& worst = model["worst_case"];
    table.push_back({model["name"], ShownRate(worst["win_rate"]), ShownInterval(worst["win_rate"]),
                     worst["perturbation"]});
  }
  out << "\nWith prompts in other words:\n" << FormatTable(table);
}

void WriteText(const ToolJson& report, std::ostream& out) {
  out << report["prompts"] << " prompts judged by " << report["oracle"].get<std::string>() << ", "
      << report["failed"] << " more failed\n\n";
  WritePlayers(report, out);
  if (report["models"].size() > 2) WriteMatrix(report, out);
  if (report.contains("perturbations")) WritePerturbed(report, out);
}

}  // namespace

absl::Status RunEvaluate(const EvaluateCommand& command, std::ostream& out) {
  ATTUNE_RETURN_IF_ERROR(CheckSamplingOptions(command.sampling));
  if (command.models.size() < 2) {
    return absl::InvalidArgumentError(
        "give --model NAME=DIR at least twice: models play each other");
  }
  Tournament tournament{.command = command};
  ATTUNE_ASSIGN_OR_RETURN(tournament.players, ParsePlayers(command.models));
  ATTUNE_ASSIGN_OR_RETURN(tournament.prompts, LoadPrompts(command));
  ATTUNE_ASSIGN_OR_RETURN(tournament.oracles, OracleSet::Load({command.oracle}));
  ATTUNE_ASSIGN_OR_RETURN(const ToolJson report, Play(&tournament));
  if (command.json) {
    WriteLine(report, out);
  } else {
    WriteText(report, out);
  }
  return CheckWritten(out);
}

}  // namespace attune
