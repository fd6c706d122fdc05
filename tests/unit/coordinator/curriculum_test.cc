#include "coordinator/curriculum.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "coordinator/dataset.h"
#include "coordinator/presets.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attune {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::IsEmpty;

// 30 prompts of "cats" and 10 of "dogs", in turns of three and one.
Dataset TwoDomains() {
  Dataset dataset;
  for (uint32_t i = 0; i < 40; ++i) {
    v1::Prompt& prompt = dataset.prompts.emplace_back();
    prompt.set_index(i);
    prompt.set_domain(i % 4 == 3 ? "dogs" : "cats");
  }
  return dataset;
}

v1::JobSpec SpecOf(v1::DomainMixing mixing) {
  v1::JobSpec spec;
  spec.set_prompts_per_round(8);
  spec.mutable_evaluation()->set_holdout_prompts(4);
  spec.mutable_curriculum()->set_mixing(mixing);
  return WithPresetAndDefaults(spec);
}

void Weigh(v1::JobSpec* spec, const std::string& domain, double weight) {
  v1::DomainWeightSpec& entry = *spec->mutable_curriculum()->add_domain_weights();
  entry.set_domain(domain);
  entry.set_weight(weight);
}

// The records of `rounds` rounds drawn one after another.
std::vector<v1::RoundRecord> DrawRounds(const v1::JobSpec& spec, const Dataset& dataset,
                                        uint32_t rounds) {
  std::vector<v1::RoundRecord> records(1);
  for (uint32_t round = 1; round <= rounds; ++round) {
    const auto drawn = DrawPrompts(spec, dataset, round, records, {});
    v1::RoundRecord& record = records.emplace_back();
    record.set_round(round);
    record.mutable_prompt_indices()->Assign(drawn.begin(), drawn.end());
  }
  return records;
}

size_t CountDomain(const Dataset& dataset, const v1::RoundRecord& record,
                   const std::string& domain) {
  return std::count_if(record.prompt_indices().begin(), record.prompt_indices().end(),
                       [&](uint32_t p) { return dataset.prompts[p].domain() == domain; });
}

TEST(CurriculumTest, WithoutOneRoundsAreSlicesOfTheShuffle) {
  const Dataset dataset = TwoDomains();
  const v1::JobSpec spec = SpecOf(v1::DOMAIN_MIXING_DATASET);
  EXPECT_EQ(DrawPrompts(spec, dataset, 2, {}, {}), RoundPrompts(40, spec.seed(), 4, 2, 8));
}

TEST(CurriculumTest, PromptsToRetryComeLastAndOnce) {
  const Dataset dataset = TwoDomains();
  const v1::JobSpec spec = SpecOf(v1::DOMAIN_MIXING_DATASET);
  std::vector<uint32_t> expected = RoundPrompts(40, spec.seed(), 4, 1, 8);
  const uint32_t other = RoundPrompts(40, spec.seed(), 4, 2, 8)[0];
  const std::vector<uint32_t> retry = {expected[3], other};
  expected.push_back(other);
  EXPECT_EQ(DrawPrompts(spec, dataset, 1, {}, retry), expected);
}

TEST(CurriculumTest, FixedWeightsGiveTheirShares) {
  const Dataset dataset = TwoDomains();
  v1::JobSpec spec = SpecOf(v1::DOMAIN_MIXING_FIXED);
  Weigh(&spec, "cats", 1);
  Weigh(&spec, "dogs", 3);
  const auto records = DrawRounds(spec, dataset, 1);
  EXPECT_EQ(CountDomain(dataset, records[1], "cats"), 2u);
  EXPECT_EQ(CountDomain(dataset, records[1], "dogs"), 6u);
}

TEST(CurriculumTest, RoundsGoThroughADomainBeforeItRepeats) {
  const Dataset dataset = TwoDomains();
  v1::JobSpec spec = SpecOf(v1::DOMAIN_MIXING_FIXED);
  Weigh(&spec, "cats", 3);
  Weigh(&spec, "dogs", 1);
  const auto records = DrawRounds(spec, dataset, 4);
  std::set<uint32_t> cats;
  const std::vector<uint32_t> holdout = HoldoutPrompts(40, spec.seed(), 4);
  for (const v1::RoundRecord& record : records) {
    for (uint32_t prompt : record.prompt_indices()) {
      EXPECT_FALSE(std::binary_search(holdout.begin(), holdout.end(), prompt));
      if (dataset.prompts[prompt].domain() == "cats") {
        EXPECT_TRUE(cats.insert(prompt).second) << prompt;
      }
    }
  }
  EXPECT_EQ(cats.size(), 24u);
}

TEST(CurriculumTest, GainsMoveWeightWithinTheirFloor) {
  const std::vector<std::map<std::string, double>> scores = {{{"a", 1}, {"b", 1}},
                                                             {{"a", 3}, {"b", 1}}};
  const auto weights = WeightsByGain(scores, {"a", "b"});
  const double share = std::exp(1) / (std::exp(1) + 1);
  EXPECT_THAT(weights.at("a"), DoubleNear(0.25 + 0.5 * share, 1e-12));
  EXPECT_THAT(weights.at("a") + weights.at("b"), DoubleNear(1, 1e-12));
  EXPECT_THAT(WeightsByGain({scores.data(), 1}, {"a", "b"}).at("b"), DoubleNear(0.5, 1e-12));
}

TEST(CurriculumTest, DomainsThatGainAreDrawnMore) {
  const Dataset dataset = TwoDomains();
  const v1::JobSpec spec = SpecOf(v1::DOMAIN_MIXING_GAIN);
  std::vector<v1::RoundRecord> records(2);
  for (int r = 0; r < 2; ++r) {
    for (const char* domain : {"cats", "dogs"}) {
      v1::DomainScore& score = *records[r].mutable_evaluation()->add_domains();
      score.set_domain(domain);
      score.set_mean_score(r == 1 && std::string(domain) == "dogs" ? 2 : 0);
    }
  }
  const auto drawn = DrawPrompts(spec, dataset, 2, records, {});
  v1::RoundRecord record;
  record.mutable_prompt_indices()->Assign(drawn.begin(), drawn.end());
  EXPECT_EQ(drawn.size(), 8u);
  EXPECT_EQ(CountDomain(dataset, record, "dogs"), 5u);  // 0.25 + 0.366 of 8
}

TEST(CurriculumTest, InSequenceEveryDomainHasRoundsOfItsOwn) {
  Dataset dataset = TwoDomains();
  dataset.prompts[0].set_domain("dogs");  // is named first
  v1::JobSpec spec = SpecOf(v1::DOMAIN_MIXING_SEQUENTIAL);
  spec.set_rounds(5);
  EXPECT_THAT(DomainOrder(spec, dataset), ElementsAre("dogs", "cats"));
  const auto records = DrawRounds(spec, dataset, 5);
  for (uint32_t round = 1; round <= 5; ++round) {
    const DomainRound now = DomainOfRound(spec, dataset, round);
    EXPECT_EQ(now.domain, round <= 3 ? "dogs" : "cats") << round;  // the first takes the rest
    EXPECT_EQ(now.last, round == 3 || round == 5) << round;
    EXPECT_EQ(CountDomain(dataset, records[round], now.domain),
              static_cast<size_t>(records[round].prompt_indices_size()));
    EXPECT_GE(records[round].prompt_indices_size(), 7);
  }
}

TEST(CurriculumTest, ADomainThatIsWhollyHeldOutHasNoRounds) {
  Dataset dataset = TwoDomains();
  const v1::JobSpec spec = SpecOf(v1::DOMAIN_MIXING_SEQUENTIAL);
  for (uint32_t held_out : HoldoutPrompts(40, spec.seed(), 4)) {
    dataset.prompts[held_out].set_domain("birds");
  }
  EXPECT_THAT(DomainOrder(spec, dataset), ElementsAre("cats", "dogs"));
}

TEST(CurriculumTest, PromptsOutsideTheBandAreNotDrawnAgain) {
  const Dataset dataset = TwoDomains();
  v1::JobSpec spec = SpecOf(v1::DOMAIN_MIXING_DATASET);
  spec.set_prompts_per_round(36);
  spec.mutable_curriculum()->set_band_low(1);
  spec.mutable_curriculum()->set_band_high(2);
  auto records = DrawRounds(spec, dataset, 1);
  ASSERT_EQ(records[1].prompt_indices_size(), 36);
  std::set<uint32_t> inside;
  for (int i = 0; i < 36; ++i) {
    records[1].add_spreads(i < 6 ? 0.5 : i < 12 ? 3 : i < 18 ? -1 : 1.5);
    if (i >= 12) inside.insert(records[1].prompt_indices(i));
  }
  const auto again = DrawPrompts(spec, dataset, 2, records, {});
  EXPECT_EQ(std::set<uint32_t>(again.begin(), again.end()), inside);
}

TEST(CurriculumTest, DisagreementIsTheShareOfWordPairsNotInCommon) {
  EXPECT_EQ(Disagreement({"a b c", "a b c"}), 0);
  EXPECT_EQ(Disagreement({"a b c", "d e f"}), 1);
  EXPECT_THAT(Disagreement({"a b c", "a b d"}), DoubleNear(2.0 / 3, 1e-12));
  EXPECT_EQ(Disagreement({"a b c"}), 0);
}

TEST(CurriculumTest, PromptsWithDifferentAnswersAreJudgedFirst) {
  std::vector<v1::Response> responses;
  for (const auto& [prompt, text] : std::vector<std::pair<uint32_t, std::string>>{
           {7, "a b c"}, {7, "a b c"}, {2, "a b c"}, {2, "x y z"}, {5, "a b c"}, {5, "a b d"}}) {
    responses.emplace_back().set_prompt_index(prompt);
    responses.back().set_text(text);
  }
  EXPECT_THAT(PromptsToJudge(responses, 1), ElementsAre(0, 1, 2));
  EXPECT_THAT(PromptsToJudge(responses, 0.5), ElementsAre(1, 2));
  EXPECT_THAT(PromptsToJudge(responses, 0.1), ElementsAre(1));
  EXPECT_THAT(PromptsToJudge({}, 1), IsEmpty());
}

TEST(CurriculumTest, SpreadIsHighestMinusLowest) {
  std::vector<v1::Judgment> judgments(2);
  for (double score : {2.0, -1.0, 0.5}) judgments[0].add_scores(score);
  EXPECT_THAT(Spreads(judgments), ElementsAre(3, -1));
}

}  // namespace
}  // namespace attune
