#include "coordinator/pairing.h"

#include <cmath>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/coordinator/pairing_round.h"

namespace attune {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST_F(PairingTest, BestWorstTakesTheFirstOfEqualExtremes) {
  SetStrategy(v1::PAIRING_STRATEGY_BEST_WORST);
  // Rewards and max_min pairs of RLHFlow's prepare_data; the prompt whose scores are equal is
  // dropped there too.
  AddPrompt(0, {0.1, 0.7, -0.3, 0.7});
  AddPrompt(1, {2.0, 1.0, 1.5, -1.0});
  AddPrompt(2, {0.5, 0.5, 0.5, 0.5});
  AddPrompt(3, {1.0, 0.95, 0.2, 0.9});
  const PairingOutput output = Build();
  EXPECT_THAT(Lines(output), ElementsAre("0: 1 > 2", "1: 0 > 3", "3: 0 > 2"));
  EXPECT_EQ(Fates(output.counts), "kept 3 tie 1");
}

TEST_F(PairingTest, WinRateTakesTheExtremesOfTheMeanWinRate) {
  SetStrategy(v1::PAIRING_STRATEGY_WIN_RATE);
  AddPrompt(4, {1, 3, 3, 0});
  const PairingOutput output = Build();
  EXPECT_THAT(Lines(output), ElementsAre("4: 1 > 3"));
  EXPECT_DOUBLE_EQ(output.pairs[0].chosen_win_rate(), 2.5 / 3);
  EXPECT_DOUBLE_EQ(output.pairs[0].rejected_win_rate(), 0);
}

TEST_F(PairingTest, AllPairsComeWidestFirstThenBySample) {
  AddPrompt(0, {1, 4, 2, 2});
  EXPECT_THAT(BuildLines(),
              ElementsAre("0: 1 > 0", "0: 1 > 2", "0: 1 > 3", "0: 2 > 0", "0: 3 > 0"));
  EXPECT_EQ(Fates(Build().counts), "kept 5 tie 1");
}

TEST_F(PairingTest, LargeMarginKeepsTheWidestThatReachTheMargin) {
  SetStrategy(v1::PAIRING_STRATEGY_LARGE_MARGIN);
  pairing().set_min_margin(2);
  pairing().set_max_pairs_per_prompt(2);
  AddPrompt(0, {0, 2, 3, 5});
  AddPrompt(1, {0, 1.5, 1, 0.5});
  const PairingOutput output = Build();
  // The third that reaches the margin is over the limit; 2 counts as reaching it.
  EXPECT_THAT(Lines(output), ElementsAre("0: 3 > 0", "0: 2 > 0"));
  EXPECT_EQ(Fates(output.counts), "kept 2 low_margin 7 over_limit 3");
}

TEST_F(PairingTest, OnlineComparesTheFirstTwo) {
  SetStrategy(v1::PAIRING_STRATEGY_ONLINE);
  AddPrompt(0, {1, 2});
  AddPrompt(1, {2, 1});
  AddPrompt(2, {1, 1});
  AddPrompt(3, {1, 2, 9});  // the gold response is no sample
  EXPECT_THAT(BuildLines(), ElementsAre("0: 1 > 0", "1: 0 > 1", "3: 1 > 0"));
}

TEST_F(PairingTest, MaxRandomComparesTheBestWithEachOtherCandidateAsOften) {
  SetStrategy(v1::PAIRING_STRATEGY_MAX_RANDOM);
  for (uint32_t i = 0; i < 3000; ++i) AddPrompt(i, {1, 3, 0, 2});
  std::map<uint32_t, int> rejected;
  for (const v1::Pair& pair : Build().pairs) {
    EXPECT_EQ(pair.chosen().sample(), 1);
    ++rejected[pair.rejected().sample()];
  }
  ASSERT_THAT(rejected, testing::SizeIs(3));
  // 1000 each; five standard deviations (26) of slack.
  for (const auto& [sample, count] : rejected) EXPECT_NEAR(count, 1000, 130) << sample;
}

TEST_F(PairingTest, RandomTakesEachPairAsOften) {
  SetStrategy(v1::PAIRING_STRATEGY_RANDOM);
  for (uint32_t i = 0; i < 3000; ++i) AddPrompt(i, {1, 3, 2});
  std::map<std::pair<uint32_t, uint32_t>, int> drawn;
  for (const v1::Pair& pair : Build().pairs) {
    ++drawn[{pair.chosen().sample(), pair.rejected().sample()}];
  }
  ASSERT_THAT(drawn, testing::SizeIs(3));
  for (const auto& [pair, count] : drawn) EXPECT_NEAR(count, 1000, 130);
}

TEST_F(PairingTest, RandomDrawsDependOnSeedRoundAndPromptAlone) {
  SetStrategy(v1::PAIRING_STRATEGY_RANDOM);
  for (uint32_t i = 0; i < 50; ++i) AddPrompt(i, {1, 2, 3, 4, 5});
  const PairingOutput output = Build();
  EXPECT_EQ(Lines(output), Lines(Build()));
  EXPECT_NE(Lines(output), Lines(Build(/*round=*/4)));
  EXPECT_NE(Lines(output), Lines(Build(/*round=*/3, /*seed=*/43)));
  // A prompt alone gives the pair that it gives among others.
  const std::string line = Lines(output)[49];
  prompts_ = {prompts_.back()};
  judgments_ = {judgments_.back()};
  responses_.erase(responses_.begin(), responses_.end() - 5);
  EXPECT_THAT(BuildLines(), ElementsAre(line));
}

TEST_F(PairingTest, TheSameTokensAreADuplicate) {
  AddPrompt(0, {1, 1, 2});
  responses_[1].set_token_ids(0, responses_[0].token_ids(0));
  EXPECT_THAT(BuildLines(), ElementsAre("0: 2 > 0", "0: 2 > 1"));
  EXPECT_EQ(Fates(Build().counts), "kept 2 duplicate 1");
}

TEST_F(PairingTest, AResponseWithoutTokensMakesNoPair) {
  AddPrompt(0, {1, 2, 3});
  responses_[2].clear_token_ids();
  EXPECT_THAT(BuildLines(), ElementsAre("0: 1 > 0"));
  EXPECT_EQ(Fates(Build().counts), "kept 1 empty 2");
}

TEST_F(PairingTest, FewerThanTwoCandidatesMakeNoPair) {
  AddPrompt(0, {});
  AddPrompt(1, {1});
  for (int strategy = v1::PAIRING_STRATEGY_BEST_WORST; strategy <= v1::PAIRING_STRATEGY_BEST_FIRST;
       ++strategy) {
    SetStrategy(static_cast<v1::PairingStrategy>(strategy));
    EXPECT_THAT(BuildLines(), IsEmpty());
  }
}

TEST_F(PairingTest, MarginsApplyToEveryStrategy) {
  pairing().set_min_margin(10);
  AddPrompt(0, {1, 2});
  for (int strategy = v1::PAIRING_STRATEGY_BEST_WORST; strategy <= v1::PAIRING_STRATEGY_BEST_FIRST;
       ++strategy) {
    SetStrategy(static_cast<v1::PairingStrategy>(strategy));
    EXPECT_EQ(Fates(Build().counts), "kept 0 low_margin 1");
  }
}

TEST_F(PairingTest, TargetsAreHardOrFromWinRates) {
  AddPrompt(0, {1, 3, 2});
  for (const v1::Pair& pair : Build().pairs) EXPECT_EQ(pair.target(), 1.0);
  pairing().set_target(v1::PAIR_TARGET_WIN_RATE);
  const PairingOutput output = Build();
  ASSERT_THAT(Lines(output), ElementsAre("0: 1 > 0", "0: 1 > 2", "0: 2 > 0"));
  EXPECT_DOUBLE_EQ(output.pairs[0].target(), 1 / (1 + std::exp(-1.0)));  // win rates 1 and 0
  EXPECT_DOUBLE_EQ(output.pairs[1].target(), 1 / (1 + std::exp(-0.5)));  // 1 and 1/2
  EXPECT_DOUBLE_EQ(output.pairs[2].target(), 1 / (1 + std::exp(-0.5)));  // 1/2 and 0
}

TEST_F(PairingTest, APairCarriesItsProvenance) {
  SetStrategy(v1::PAIRING_STRATEGY_BEST_WORST);
  AddPrompt(7, {1, 2});
  AddPrompt(5, {4, 3});
  const PairingOutput output = Build();
  ASSERT_EQ(output.pairs.size(), 2);
  const v1::Pair& pair = output.pairs[1];
  EXPECT_EQ(pair.name(), "jobs/j/rounds/3/pairs/1");
  EXPECT_EQ(pair.round(), 3);
  EXPECT_EQ(pair.index(), 1);
  EXPECT_EQ(pair.prompt_index(), 5);
  EXPECT_EQ(pair.prompt(), "prompt 5");
  EXPECT_EQ(pair.chosen().sample(), 0);
  EXPECT_EQ(pair.chosen_score(), 4);
  EXPECT_EQ(pair.rejected_score(), 3);
  EXPECT_EQ(pair.oracle(), "test/1");
}

TEST_F(PairingTest, DigestIsOfWhatIsTrainedAndNotOfNames) {
  AddPrompt(0, {1, 3, 2});
  const PairingOutput before = Build();
  const PairingOutput renamed = BuildPairs({.job = "jobs/other",
                                            .round = 3,
                                            .seed = 42,
                                            .spec = &spec_,
                                            .prompts = prompts_,
                                            .responses = responses_,
                                            .judgments = judgments_});
  EXPECT_EQ(renamed.digest, before.digest);
  EXPECT_NE(renamed.pairs[0].name(), before.pairs[0].name());
  EXPECT_NE(Build(/*round=*/4).digest, before.digest);
  responses_[0].set_token_ids(0, 12345);
  const std::string other_tokens = Build().digest;
  EXPECT_NE(other_tokens, before.digest);
  judgments_[0].set_scores(1, 3.5);
  EXPECT_NE(Build().digest, other_tokens);
}

// Reports carry these digests: they never change for the same pairs.
TEST_F(PairingTest, DigestsAreForEver) {
  AddPrompt(0, {1, 3, 2});
  EXPECT_EQ(Build().digest, "e0340c8f287bab9c0f3fb9afb07e06ede6bc42642aa92b1ba9a18f33e95338ab");
}

TEST_F(PairingTest, DigestIsOfMarginsToo) {
  AddPrompt(0, {1, 3});
  const std::string without = Build().digest;
  spec_.add_auxiliary_oracles()->set_weight(1);
  v1::AuxiliaryScores& scores = *judgments_[0].add_auxiliary();
  for (int i = 0; i < 2; ++i) scores.add_scores(0);
  EXPECT_EQ(Build().digest, without);  // none
  scores.set_scores(0, 2);
  const std::string rejected = Build().digest;
  EXPECT_NE(rejected, without);
  scores.set_scores(0, 0);
  scores.set_scores(1, 2);
  EXPECT_NE(Build().digest, without);
  EXPECT_NE(Build().digest, rejected);
}

TEST_F(PairingTest, DigestIsOfWholeLists) {
  SetStrategy(v1::PAIRING_STRATEGY_GROUP);
  spec_.mutable_sampling()->set_num_generations(3);
  AddPrompt(0, {1, 3, 2});
  const std::string before = Build().digest;
  judgments_[0].set_scores(2, 2.5);
  const std::string other_score = Build().digest;
  EXPECT_NE(other_score, before);
  responses_[2].set_token_ids(0, 12345);
  const std::string other_tokens = Build().digest;
  EXPECT_NE(other_tokens, other_score);
  pairing().set_win_rate(v1::WIN_RATE_BRADLEY_TERRY);
  EXPECT_NE(Build().digest, other_tokens);
}

TEST_F(PairingTest, MaxMaxTakesTheTwoBest) {
  SetStrategy(v1::PAIRING_STRATEGY_MAX_MAX);
  AddPrompt(0, {1, 3, 0, 2});
  AddPrompt(1, {5, 2, 4, 4});  // of equal seconds the last, as RLHFlow's sorting has it
  AddPrompt(2, {0, 5, 5, 1});  // a tie
  AddPrompt(3, {1, 2});
  AddPrompt(4, {2, 1});
  EXPECT_THAT(BuildLines(), ElementsAre("0: 1 > 3", "1: 0 > 3", "3: 1 > 0", "4: 0 > 1"));
}

TEST_F(PairingTest, BestFirstTakesTheFirstOtherThanTheBest) {
  SetStrategy(v1::PAIRING_STRATEGY_BEST_FIRST);
  AddPrompt(0, {1, 3, 0, 2});
  AddPrompt(1, {5, 2, 4, 0});
  AddPrompt(2, {4, 4, 0, 0});  // a tie
  EXPECT_THAT(BuildLines(), ElementsAre("0: 1 > 0", "1: 0 > 1"));
}

TEST_F(PairingTest, LengthPenaltyChoosesAndScoresStay) {
  SetStrategy(v1::PAIRING_STRATEGY_BEST_WORST);
  AddPrompt(0, {1.0, 0.95, 0.2, 0.9});  // RLHFlow's max_min_p: 0.76, 0.93, 0.14, 0.88
  const char* const texts[] = {"longlonglong", "s", "mid", "m"};
  for (size_t i = 0; i < 4; ++i) responses_[i].set_text(texts[i]);
  EXPECT_THAT(BuildLines(), ElementsAre("0: 0 > 2"));
  pairing().set_length_penalty(0.02);
  const PairingOutput output = Build();
  EXPECT_THAT(Lines(output), ElementsAre("0: 1 > 2"));
  EXPECT_EQ(output.pairs[0].chosen_score(), 0.95);
  EXPECT_EQ(output.pairs[0].rejected_score(), 0.2);
  SetStrategy(v1::PAIRING_STRATEGY_MAX_MAX);
  EXPECT_THAT(BuildLines(), ElementsAre("0: 1 > 3"));
  SetStrategy(v1::PAIRING_STRATEGY_BEST_FIRST);
  EXPECT_THAT(BuildLines(), ElementsAre("0: 0 > 1"));  // the two are in the order of their scores
}

TEST_F(PairingTest, LengthPenaltyCountsCharactersAndNotBytes) {
  SetStrategy(v1::PAIRING_STRATEGY_BEST_WORST);
  pairing().set_length_penalty(1);
  AddPrompt(0, {5, 5.5, 0});
  responses_[0].set_text("abcd");                              // 1
  responses_[1].set_text("\xe6\x97\xa5\xe6\x9c\xac\xc3\xa9");  // 2.5; by bytes -2.5
  responses_[2].set_text("");                                  // 0
  EXPECT_THAT(BuildLines(), ElementsAre("0: 1 > 2"));
}

TEST_F(PairingTest, TiePolicyFirstChoosesTheFirst) {
  SetStrategy(v1::PAIRING_STRATEGY_ONLINE);
  AddPrompt(0, {1, 1});
  AddPrompt(1, {1, 2});
  AddPrompt(2, {3, 3});
  responses_[5].set_token_ids(0, responses_[4].token_ids(0));  // the same response twice
  pairing().set_tie_policy(v1::TIE_POLICY_DROP);
  EXPECT_THAT(BuildLines(), ElementsAre("1: 1 > 0"));
  pairing().set_tie_policy(v1::TIE_POLICY_FIRST);
  const PairingOutput output = Build();
  EXPECT_THAT(Lines(output), ElementsAre("0: 0 > 1", "1: 1 > 0"));
  EXPECT_EQ(Fates(output.counts), "kept 2 duplicate 1");
  EXPECT_EQ(output.pairs[0].target(), 1.0);
  // A margin drops them, as it drops every pair that is too narrow.
  pairing().set_min_margin(0.5);
  EXPECT_THAT(BuildLines(), ElementsAre("1: 1 > 0"));
}

TEST_F(PairingTest, TiedExtremesAreTheFirstTwo) {
  pairing().set_tie_policy(v1::TIE_POLICY_FIRST);
  AddPrompt(0, {1, 1, 1});
  for (const auto strategy : {v1::PAIRING_STRATEGY_BEST_WORST, v1::PAIRING_STRATEGY_WIN_RATE,
                              v1::PAIRING_STRATEGY_BEST_FIRST, v1::PAIRING_STRATEGY_ONLINE}) {
    SetStrategy(strategy);
    EXPECT_THAT(BuildLines(), ElementsAre("0: 0 > 1")) << strategy;
  }
}

TEST_F(PairingTest, ATieOfWinRatesHasTheTargetOneHalf) {
  pairing().set_tie_policy(v1::TIE_POLICY_FIRST);
  pairing().set_target(v1::PAIR_TARGET_WIN_RATE);
  AddPrompt(0, {1, 1});
  const PairingOutput output = Build();
  ASSERT_EQ(output.pairs.size(), 1);
  EXPECT_EQ(output.pairs[0].target(), 0.5);
}

TEST_F(PairingTest, TheChosenReachesTheLeastScore) {
  pairing().set_min_chosen_score(3);
  AddPrompt(0, {1, 3, 2});
  EXPECT_THAT(BuildLines(), ElementsAre("0: 1 > 0", "0: 1 > 2"));
  EXPECT_EQ(Fates(Build().counts), "kept 2 low_score 1");
  pairing().set_min_chosen_score(-5);
  EXPECT_EQ(Build().pairs.size(), 3);
}

TEST_F(PairingTest, AStudentHasItsOwnMargin) {
  pairing().set_min_margin(2);
  AddPrompt(0, {4, 1, 3, 6});  // the last is gold
  responses_[3].set_provenance(v1::PROVENANCE_GOLD);
  EXPECT_THAT(BuildLines(),
              ElementsAre("0: 3 > 1", "0: 0 > 1", "0: 3 > 2", "0: 2 > 1", "0: 3 > 0"));
  pairing().set_min_margin_student(1);
  EXPECT_EQ(Build().pairs.size(), 6);  // and 0 > 2
  pairing().set_min_margin_student(5);
  EXPECT_THAT(BuildLines(), ElementsAre("0: 3 > 1", "0: 3 > 2", "0: 3 > 0"));
  pairing().set_min_margin_student(0);  // given, and not left out
  EXPECT_EQ(Build().pairs.size(), 6);
}

// Rosset et al. 2024, section 4: positives have grade 5 or more; the margin is 2, or 1 when the
// positive is a student sample. The teacher's response is a candidate like any other (last here).
TEST_F(PairingTest, LargeMarginBuildsThePairsOfTheDnoPaper) {
  SetStrategy(v1::PAIRING_STRATEGY_LARGE_MARGIN);
  pairing().set_min_chosen_score(5);
  pairing().set_min_margin(2);
  pairing().set_min_margin_student(1);
  AddPrompt(0, {5, 3, 6, 1, 4, 5});
  AddPrompt(1, {2, 2, 3, 4, 1, 6});
  AddPrompt(2, {4, 4, 3, 4, 4, 4});
  AddPrompt(3, {6, 5, 5, 4, 5, 5});
  for (v1::Response& response : responses_) {
    response.set_provenance(response.sample() == 5 ? v1::PROVENANCE_GOLD : v1::PROVENANCE_STUDENT);
  }
  std::set<std::string> pairs;
  for (const v1::Pair& pair : Build().pairs) {
    pairs.insert(absl::StrCat(pair.prompt_index(), ":", pair.chosen().sample(), ">",
                              pair.rejected().sample()));
  }
  EXPECT_EQ(absl::StrJoin(pairs, " "),
            "0:0>1 0:0>3 0:0>4 0:2>0 0:2>1 0:2>3 0:2>4 0:2>5 0:5>1 0:5>3 "
            "1:5>0 1:5>1 1:5>2 1:5>3 1:5>4 "
            "3:0>1 3:0>2 3:0>3 3:0>4 3:0>5 3:1>3 3:2>3 3:4>3");
}

// The second beats the first, which has the higher score; the third is even with the first.
class PreferenceTargetTest : public PairingTest {
 protected:
  PreferenceTargetTest() {
    AddPrompt(0, {0.6, 0.5, 0.4});
    for (double p : {0.5, 0.25, 0.5, 0.75, 0.5, 0.625, 0.5, 0.375, 0.5}) {
      judgments_[0].add_preferences(p);
    }
  }
};

TEST_F(PreferenceTargetTest, TheProbabilityIsTheTargetOfThePreferredOne) {
  pairing().set_target(v1::PAIR_TARGET_PREFERENCE);
  const PairingOutput output = Build();
  EXPECT_THAT(Lines(output), testing::ElementsAre("0: 1 > 0", "0: 1 > 2"));
  EXPECT_EQ(output.pairs[0].target(), 0.75);
  EXPECT_EQ(output.pairs[0].preference(), 0.75);
  EXPECT_EQ(output.pairs[1].target(), 0.625);
  EXPECT_EQ(output.counts.tie(), 1u);
  pairing().set_tie_policy(v1::TIE_POLICY_FIRST);
  EXPECT_EQ(Build().pairs[2].target(), 0.5);
  pairing().set_tie_policy(v1::TIE_POLICY_DROP);
  pairing().set_min_margin(0.4);
  EXPECT_THAT(BuildLines(), testing::ElementsAre("0: 1 > 0"));
}

TEST_F(PreferenceTargetTest, OtherTargetsGoByScoresAndRecordTheProbability) {
  const PairingOutput output = Build();
  EXPECT_THAT(Lines(output), testing::ElementsAre("0: 0 > 1", "0: 1 > 2"));
  EXPECT_EQ(output.pairs[0].target(), 1);
  EXPECT_EQ(output.pairs[0].preference(), 0.25);
}

// Scores of a cycle are equal, and say nothing.
TEST_F(PreferenceTargetTest, OfEqualScoresTheProbabilityDecides) {
  for (int i = 0; i < 3; ++i) judgments_[0].set_scores(i, 0.5);
  EXPECT_THAT(BuildLines(), testing::UnorderedElementsAre("0: 1 > 0", "0: 1 > 2"));
}

TEST_F(PreferenceTargetTest, ScoresAreCertainOrEven) {
  judgments_[0].clear_preferences();
  pairing().set_target(v1::PAIR_TARGET_PREFERENCE);
  pairing().set_tie_policy(v1::TIE_POLICY_FIRST);
  judgments_[0].set_scores(1, 0.6);
  const PairingOutput output = Build();
  ASSERT_EQ(output.pairs.size(), 3u);
  EXPECT_EQ(output.pairs[0].target(), 1);
  EXPECT_EQ(output.pairs[2].target(), 0.5);
  EXPECT_EQ(output.pairs[0].preference(), 0);
}

}  // namespace
}  // namespace attune
