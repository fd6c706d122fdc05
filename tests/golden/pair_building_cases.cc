#include "tests/golden/pair_building_cases.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "coordinator/pairing.h"
#include "coordinator/presets.h"

namespace attune {
namespace {

using nlohmann::json;

// A round of scored responses.
class Round {
 public:
  explicit Round(v1::PairingStrategy strategy) {
    pairing().set_strategy(strategy);
    pairing().set_min_margin(0);
    pairing().set_max_pairs_per_prompt(4096);
  }

  v1::PairingSpec& pairing() { return *spec_.mutable_pairing(); }

  void AddPrompt(const std::string& text) {
    const auto index = static_cast<uint32_t>(prompts_.size());
    prompts_.emplace_back().set_index(index);
    prompts_.back().set_text(text);
    judgments_.emplace_back().set_prompt_index(index);
  }

  // To the prompt added last. Tokens are its bytes and the end of the sequence.
  v1::Response& AddResponse(const std::string& text, double score,
                            v1::Provenance provenance = v1::PROVENANCE_STUDENT) {
    constexpr uint32_t kEndOfSequence = 256;
    v1::Judgment& judgment = judgments_.back();
    v1::Response& response = responses_.emplace_back();
    response.set_prompt_index(judgment.prompt_index());
    response.set_sample(static_cast<uint32_t>(judgment.scores_size()));
    response.set_text(text);
    response.set_provenance(provenance);
    for (const unsigned char byte : text) response.add_token_ids(byte);
    response.add_token_ids(kEndOfSequence);
    judgment.add_scores(score);
    return response;
  }

  std::vector<v1::Pair> Build() const {
    return BuildPairs({.job = "jobs/golden",
                       .round = 1,
                       .seed = 0,
                       .spec = &spec_,
                       .prompts = prompts_,
                       .responses = responses_,
                       .judgments = judgments_})
        .pairs;
  }

 private:
  v1::JobSpec spec_ = WithPresetAndDefaults({});
  std::vector<v1::Prompt> prompts_;
  std::vector<v1::Response> responses_;
  std::vector<v1::Judgment> judgments_;
};

absl::StatusOr<v1::PairingStrategy> RlhflowStrategy(const GoldenCase& golden) {
  const std::string type = TextOr(golden.hparams, "choose_type", "random");
  if (type == "random") return v1::PAIRING_STRATEGY_ONLINE;          // the first two, in fact
  if (type == "max_random") return v1::PAIRING_STRATEGY_BEST_FIRST;  // nothing is drawn, in fact
  if (type == "max_max") return v1::PAIRING_STRATEGY_MAX_MAX;
  if (type == "max_min" || type == "max_min_p") return v1::PAIRING_STRATEGY_BEST_WORST;
  return NoMapping(golden, "choose_type");
}

// The teacher's response before the student's, which are in the order of their samples.
int64_t DnoRank(const v1::Response& response) {
  return response.provenance() == v1::PROVENANCE_GOLD ? -1 : int64_t{response.sample()};
}

bool IsBefore(const v1::Pair& a, const v1::Pair& b) {
  const auto key = [](const v1::Pair& pair) {
    return std::make_tuple(pair.prompt_index(), DnoRank(pair.chosen()), DnoRank(pair.rejected()));
  };
  return key(a) < key(b);
}

json DnoSource(const v1::Response& response) {
  return response.provenance() == v1::PROVENANCE_GOLD ? "T" : "S";
}

json DnoIndex(const v1::Response& response) {
  return response.provenance() == v1::PROVENANCE_GOLD ? json() : json(response.sample());
}

}  // namespace

absl::StatusOr<json> PairsRlhflow(const GoldenCase& golden) {
  ATTUNE_ASSIGN_OR_RETURN(const v1::PairingStrategy strategy, RlhflowStrategy(golden));
  Round round(strategy);
  if (TextOr(golden.hparams, "choose_type", "") == "max_min_p") {
    round.pairing().set_length_penalty(NumberOr(golden.hparams, "length_penalty", 0));
  }
  for (const json& row : golden.inputs.at("rows")) {
    round.AddPrompt(row.at("prompt").get<std::string>());
    for (size_t i = 0; i < row.at("responses").size(); ++i) {
      round.AddResponse(row.at("responses").at(i).get<std::string>(),
                        row.at("rewards").at(i).get<double>());
    }
  }
  const double scale = NumberOr(golden.hparams, "margin_scale", 1);
  json ours = {{"prompt", json::array()},
               {"chosen", json::array()},
               {"rejected", json::array()},
               {"margin", json::array()}};
  for (const v1::Pair& pair : round.Build()) {
    ours["prompt"].push_back(pair.prompt());
    ours["chosen"].push_back(pair.chosen().text());
    ours["rejected"].push_back(pair.rejected().text());
    ours["margin"].push_back(scale * (pair.chosen_score() - pair.rejected_score()));
  }
  return ours;
}

absl::StatusOr<json> PairsOpenRlhf(const GoldenCase& golden) {
  // Prompts come in the order of their first response.
  std::vector<std::string> prompts;
  std::map<std::string, std::vector<json>> by_prompt;
  for (const json& response : golden.inputs.at("objs")) {
    const std::string prompt = response.at("input").get<std::string>();
    if (by_prompt[prompt].empty()) prompts.push_back(prompt);
    by_prompt[prompt].push_back(response);
  }
  Round round(v1::PAIRING_STRATEGY_BEST_WORST);
  for (const std::string& prompt : prompts) {
    round.AddPrompt(prompt);
    for (const json& response : by_prompt[prompt]) {
      round.AddResponse(response.at("output").get<std::string>(),
                        response.at("reward").get<double>());
    }
  }
  json pairs(prompts.size(), json());  // null: no pair of this prompt
  for (const v1::Pair& pair : round.Build()) {
    pairs[pair.prompt_index()] = {{"prompt", pair.prompt()},
                                  {"chosen", pair.chosen().text()},
                                  {"chosen_reward", pair.chosen_score()},
                                  {"rejected", pair.rejected().text()},
                                  {"rejected_reward", pair.rejected_score()}};
  }
  return json{{"pairs", pairs}};
}

// Rosset et al. 2024, section 4: positives have grade 5 or 6; the margin is 2, or 1 when the
// positive is a student's.
absl::StatusOr<json> DnoPairs(const GoldenCase& golden) {
  Round round(v1::PAIRING_STRATEGY_LARGE_MARGIN);
  round.pairing().set_min_chosen_score(5);
  round.pairing().set_min_margin(2);
  round.pairing().set_min_margin_student(1);
  for (const json& row : golden.inputs.at("rows")) {
    round.AddPrompt(row.at("prompt").get<std::string>());
    const json& grades = row.at("students");
    for (size_t i = 0; i < grades.size(); ++i) {  // texts that differ
      round.AddResponse(absl::StrCat("student ", i), grades.at(i).get<double>());
    }
    round.AddResponse("teacher", row.at("teacher").get<double>(), v1::PROVENANCE_GOLD);
  }
  std::vector<v1::Pair> built = round.Build();
  std::sort(built.begin(), built.end(), IsBefore);
  json pairs = json::array();
  for (const v1::Pair& pair : built) {
    pairs.push_back({pair.prompt(), DnoSource(pair.chosen()), DnoIndex(pair.chosen()),
                     DnoSource(pair.rejected()), DnoIndex(pair.rejected()),
                     pair.chosen_score() - pair.rejected_score()});
  }
  return json{{"pairs", pairs}};
}

// Of pairs with these CHES, that are sorted, those that we keep. We know the paper's filter, the
// slice at quantile 0, alone.
absl::StatusOr<json> ChesQuantileSlice(const GoldenCase& golden) {
  if (golden.hparams.at("quantile").get<double>() != 0) return json{{"slice", json()}};
  const json& scores = golden.inputs.at("array");
  Round round(v1::PAIRING_STRATEGY_ONLINE);
  round.pairing().set_ches_percentile(100 * golden.hparams.at("num_elements").get<double>() /
                                      static_cast<double>(scores.size()));
  for (const json& score : scores) {
    round.AddPrompt("prompt");
    round.AddResponse("a", 1).add_hidden_sum(1);  // <1, score> - 1 over the same lengths
    round.AddResponse("b", 0).add_hidden_sum(score.get<float>());
  }
  json slice = json::array();
  for (const v1::Pair& pair : round.Build()) slice.push_back(scores.at(pair.prompt_index()));
  return json{{"slice", slice}};
}

}  // namespace attune
