// A round under construction, for tests of pairing.
#ifndef ATTUNE_TESTS_UNIT_COORDINATOR_PAIRING_ROUND_H_
#define ATTUNE_TESTS_UNIT_COORDINATOR_PAIRING_ROUND_H_

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/pairing.h"
#include "coordinator/presets.h"
#include "gtest/gtest.h"

namespace attune {

// Each prompt has one candidate per score. Tokens differ unless asked.
class PairingTest : public testing::Test {
 protected:
  PairingTest() {
    SetStrategy(v1::PAIRING_STRATEGY_ALL_PAIRS);
    pairing().set_min_margin(0);
    pairing().set_max_pairs_per_prompt(4096);
  }

  v1::PairingSpec& pairing() { return *spec_.mutable_pairing(); }

  void SetStrategy(v1::PairingStrategy strategy) { pairing().set_strategy(strategy); }

  void AddPrompt(uint32_t index, const std::vector<double>& scores) {
    v1::Prompt prompt;
    prompt.set_index(index);
    prompt.set_text(absl::StrCat("prompt ", index));
    prompts_.push_back(prompt);
    v1::Judgment judgment;
    judgment.set_prompt_index(index);
    judgment.set_oracle("test/1");
    for (size_t i = 0; i < scores.size(); ++i) {
      judgment.add_scores(scores[i]);
      v1::Response response;
      response.set_prompt_index(index);
      response.set_sample(static_cast<uint32_t>(i));
      response.set_provenance(v1::PROVENANCE_STUDENT);
      response.add_prompt_token_ids(1);
      response.add_token_ids(100 * index + static_cast<uint32_t>(i));
      response.set_text(absl::StrCat("response ", i));
      responses_.push_back(response);
    }
    judgments_.push_back(judgment);
  }

  // The last of whose candidates is gold.
  void AddPromptWithGold(uint32_t index, const std::vector<double>& scores) {
    AddPrompt(index, scores);
    responses_.back().set_provenance(v1::PROVENANCE_GOLD);
  }

  PairingInput Input(uint32_t round = 3, uint64_t seed = 42) const {
    return {.job = "jobs/j",
            .round = round,
            .seed = seed,
            .spec = &spec_,
            .prompts = prompts_,
            .responses = responses_,
            .judgments = judgments_};
  }

  PairingOutput Build(uint32_t round = 3, uint64_t seed = 42) const {
    return BuildPairs(Input(round, seed));
  }

  // "prompt: chosen sample > rejected sample" in order, with those between for lists.
  static std::vector<std::string> Lines(const PairingOutput& output) {
    std::vector<std::string> lines;
    for (const v1::Pair& pair : output.pairs) {
      std::string line = absl::StrCat(pair.prompt_index(), ": ", pair.chosen().sample());
      for (const v1::RankedResponse& other : pair.others()) {
        absl::StrAppend(&line, " > ", other.response().sample());
      }
      lines.push_back(absl::StrCat(line, " > ", pair.rejected().sample()));
    }
    return lines;
  }
  std::vector<std::string> BuildLines() const { return Lines(Build()); }

  v1::JobSpec spec_ = WithPresetAndDefaults({});
  std::vector<v1::Prompt> prompts_;
  std::vector<v1::Response> responses_;
  std::vector<v1::Judgment> judgments_;
};

// Of kept proposals, and of those dropped by each reason that there was: "kept 3 tie 1".
inline std::string Fates(const v1::PairCounts& counts) {
  const std::pair<const char*, uint32_t> reasons[] = {{"tie", counts.tie()},
                                                      {"low_margin", counts.low_margin()},
                                                      {"duplicate", counts.duplicate()},
                                                      {"over_limit", counts.over_limit()},
                                                      {"empty", counts.empty()},
                                                      {"low_score", counts.low_score()},
                                                      {"source", counts.source()},
                                                      {"length_ratio", counts.length_ratio()},
                                                      {"same_text", counts.same_text()},
                                                      {"defect", counts.defect()},
                                                      {"high_ches", counts.high_ches()}};
  std::string text = absl::StrCat("kept ", counts.kept());
  for (const auto& [reason, count] : reasons) {
    if (count > 0) absl::StrAppend(&text, " ", reason, " ", count);
  }
  return text;
}

}  // namespace attune

#endif  // ATTUNE_TESTS_UNIT_COORDINATOR_PAIRING_ROUND_H_
