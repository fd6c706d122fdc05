#include "coordinator/pairing_candidates.h"

#include <cmath>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/coordinator/pairing_round.h"

namespace attune {
namespace {

using testing::DoubleEq;
using testing::ElementsAre;

class PairingCandidatesTest : public PairingTest {
 protected:
  std::vector<Candidates> Group(uint32_t round = 3, uint64_t seed = 42) const {
    return GroupByPrompt(Input(round, seed));
  }

  // Of each prompt, whether its scores, which begin with a positive one, are flipped.
  std::vector<bool> Flipped(uint32_t round = 3, uint64_t seed = 42) const {
    std::vector<bool> flipped;
    for (const Candidates& candidates : Group(round, seed)) {
      flipped.push_back(candidates.scores[0] < 0);
    }
    return flipped;
  }
};

TEST_F(PairingCandidatesTest, WinRatesAreSharesOfTheOthers) {
  AddPrompt(0, {1, 3, 3, 0});
  AddPrompt(1, {7});
  EXPECT_THAT(Group()[0].win_rates,
              ElementsAre(DoubleEq(1.0 / 3), DoubleEq(2.5 / 3), DoubleEq(2.5 / 3), 0));
  EXPECT_THAT(Group()[1].win_rates, ElementsAre(0));
}

// SPPO (Wu et al. 2024): the mean over all, the response itself included.
TEST_F(PairingCandidatesTest, BradleyTerryWinRatesAreMeansOfProbabilities) {
  pairing().set_win_rate(v1::WIN_RATE_BRADLEY_TERRY);
  AddPrompt(0, {1, 3});
  AddPrompt(1, {5, 5, 5});
  const double p = 1 / (1 + std::exp(2.0));
  EXPECT_THAT(Group()[0].win_rates,
              ElementsAre(DoubleEq((0.5 + p) / 2), DoubleEq((0.5 + 1 - p) / 2)));
  EXPECT_THAT(Group()[1].win_rates, ElementsAre(0.5, 0.5, 0.5));
}

TEST_F(PairingCandidatesTest, ADefectLosesAgainstAllWithout) {
  pairing().mutable_defects()->set_over_length(true);
  AddPrompt(0, {9, 1, 2, 8});
  responses_[0].set_finish_reason(v1::FINISH_REASON_LENGTH);
  responses_[3].set_finish_reason(v1::FINISH_REASON_LENGTH);
  const Candidates candidates = Group()[0];
  EXPECT_EQ(candidates.Gap(1, 0), INFINITY);
  EXPECT_EQ(candidates.Gap(0, 1), -INFINITY);
  EXPECT_EQ(candidates.Gap(0, 3), 1);
  EXPECT_THAT(candidates.win_rates, ElementsAre(DoubleEq(1.0 / 3), DoubleEq(2.0 / 3), 1, 0));
  pairing().set_win_rate(v1::WIN_RATE_BRADLEY_TERRY);
  EXPECT_GT(Group()[0].win_rates[1], 0.5);
  EXPECT_LT(Group()[0].win_rates[0], 0.5);
}

TEST_F(PairingCandidatesTest, MarginsAreWeightedSumsOfAuxiliaryScores) {
  AddPrompt(0, {1, 2});
  EXPECT_THAT(Group()[0].margins, ElementsAre(0, 0));
  for (const double weight : {0.5, 2.0}) spec_.add_auxiliary_oracles()->set_weight(weight);
  for (const double first : {4.0, 10.0}) {
    v1::AuxiliaryScores& scores = *judgments_[0].add_auxiliary();
    scores.add_scores(first);
    scores.add_scores(-1);
  }
  EXPECT_THAT(Group()[0].margins, ElementsAre(22, -2.5));
  spec_.mutable_oracle()->set_flip_rate(1);  // which is of the job's own oracle
  EXPECT_THAT(Group()[0].margins, ElementsAre(22, -2.5));
  const v1::Pair pair = Build().pairs[0];
  EXPECT_EQ(pair.chosen_margin(), 22);
  EXPECT_EQ(pair.rejected_margin(), -2.5);
}

TEST_F(PairingCandidatesTest, FlippedScoresHaveTheOppositeSignEverywhere) {
  AddPrompt(0, {1, 0, -3});
  spec_.mutable_oracle()->set_flip_rate(1);
  const Candidates candidates = Group()[0];
  EXPECT_THAT(candidates.scores, ElementsAre(-1, 0, 3));
  EXPECT_FALSE(std::signbit(candidates.scores[1]));
  EXPECT_THAT(candidates.win_rates, ElementsAre(0, 0.5, 1));
  const PairingOutput output = Build();
  EXPECT_THAT(Lines(output), ElementsAre("0: 2 > 0", "0: 2 > 1", "0: 1 > 0"));
  EXPECT_EQ(output.pairs[0].chosen_score(), 3);
  EXPECT_EQ(output.pairs[0].rejected_score(), -1);
}

TEST_F(PairingCandidatesTest, FlipsAreDrawnBySeedRoundAndPromptAlone) {
  for (uint32_t i = 0; i < 1000; ++i) AddPrompt(i, {1, 2});
  EXPECT_THAT(Flipped(), testing::Each(false));
  spec_.mutable_oracle()->set_flip_rate(0.2);
  const std::vector<bool> flipped = Flipped();
  // 200; five standard deviations (13) of slack.
  EXPECT_NEAR(std::count(flipped.begin(), flipped.end(), true), 200, 65);
  EXPECT_EQ(flipped, Flipped());
  EXPECT_NE(flipped, Flipped(/*round=*/4));
  EXPECT_NE(flipped, Flipped(/*round=*/3, /*seed=*/43));
  prompts_ = {prompts_.back()};
  judgments_ = {judgments_.back()};
  responses_.erase(responses_.begin(), responses_.end() - 2);
  EXPECT_THAT(Flipped(), ElementsAre(flipped.back()));
}

// A higher rate flips the same prompts and more.
TEST_F(PairingCandidatesTest, FlipsGrowWithTheRate) {
  for (uint32_t i = 0; i < 300; ++i) AddPrompt(i, {1, 2});
  spec_.mutable_oracle()->set_flip_rate(0.1);
  const std::vector<bool> few = Flipped();
  spec_.mutable_oracle()->set_flip_rate(0.4);
  const std::vector<bool> many = Flipped();
  for (size_t i = 0; i < few.size(); ++i) EXPECT_LE(few[i], many[i]);
  EXPECT_NE(few, many);
}

// a beats b, b beats c, c beats a; c and d are even.
class PreferencesTest : public PairingCandidatesTest {
 protected:
  PreferencesTest() {
    AddPrompt(0, {0.5, 0.7, 0.4, 0.4});
    for (double p : {0.5, 0.9, 0.2, 0.8,   //
                     0.1, 0.5, 0.75, 0.6,  //
                     0.8, 0.25, 0.5, 0.5,  //
                     0.2, 0.4, 0.5, 0.5}) {
      judgments_[0].add_preferences(p);
    }
  }
};

TEST_F(PreferencesTest, WinRatesAreMeansOfTheProbabilities) {
  EXPECT_THAT(Group()[0].win_rates,
              ElementsAre(DoubleEq((0.9 + 0.2 + 0.8) / 3), DoubleEq((0.1 + 0.75 + 0.6) / 3),
                          DoubleEq((0.8 + 0.25 + 0.5) / 3), DoubleEq((0.2 + 0.4 + 0.5) / 3)));
  pairing().set_win_rate(v1::WIN_RATE_BRADLEY_TERRY);
  EXPECT_DOUBLE_EQ(Group()[0].win_rates[0], (0.5 + 0.9 + 0.2 + 0.8) / 4);
}

TEST_F(PreferencesTest, AnEvenProbabilityIsATieAndEqualScoresAreNot) {
  const Candidates candidates = Group()[0];
  EXPECT_TRUE(candidates.Ties(2, 3));
  judgments_[0].set_scores(1, 0.5);
  EXPECT_FALSE(Group()[0].Ties(0, 1));
}

TEST_F(PreferencesTest, ScoresDecideUnlessTheTargetIsThePreference) {
  EXPECT_LT(Group()[0].Gap(0, 1), 0);
  pairing().set_target(v1::PAIR_TARGET_PREFERENCE);
  EXPECT_DOUBLE_EQ(Group()[0].Gap(0, 1), 0.8);
  pairing().mutable_defects()->set_over_length(true);
  responses_[0].set_finish_reason(v1::FINISH_REASON_LENGTH);
  EXPECT_EQ(Group()[0].Preference(0, 1), 0);
  EXPECT_LT(Group()[0].Gap(0, 1), -1e300);
}

TEST_F(PreferencesTest, FlipsExchangeTheSides) {
  spec_.mutable_oracle()->set_flip_rate(1);
  EXPECT_EQ(Group()[0].Preference(0, 1), 0.1);
  EXPECT_EQ(Group()[0].Preference(2, 0), 0.2);
}

TEST_F(PairingCandidatesTest, APromptThatCouldNotBeJudgedIsLeftOut) {
  AddPrompt(0, {1, 2});
  AddPrompt(1, {1, 2});
  judgments_[0].clear_scores();
  judgments_[0].set_failure("no answer");
  const std::vector<Candidates> groups = Group();
  ASSERT_EQ(groups.size(), 1u);
  EXPECT_EQ(groups[0].prompt->index(), 1u);
}

}  // namespace
}  // namespace attune
