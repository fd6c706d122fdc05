#include "coordinator/pairing_filters.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "common/rng.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/coordinator/pairing_round.h"

namespace attune {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class PairingFiltersTest : public PairingTest {};

TEST_F(PairingFiltersTest, ASoftTieIsKeptWithTheTargetOneHalf) {
  pairing().set_tie_policy(v1::TIE_POLICY_SOFT);
  AddPrompt(0, {2, 2});
  AddPrompt(1, {1, 2});
  const PairingOutput output = Build();
  ASSERT_THAT(Lines(output), ElementsAre("0: 0 > 1", "1: 1 > 0"));
  EXPECT_EQ(output.pairs[0].target(), 0.5);
  EXPECT_EQ(output.pairs[1].target(), 1);
  EXPECT_EQ(Fates(output.counts), "kept 2");
  EXPECT_EQ(output.counts.soft_tie(), 1);
  pairing().set_min_margin(0.5);  // which a tie does not reach
  EXPECT_EQ(Fates(Build().counts), "kept 1 low_margin 1");
  EXPECT_EQ(Build().counts.soft_tie(), 0);
}

TEST_F(PairingFiltersTest, TargetsOfScoresAreBradleyTerryProbabilities) {
  pairing().set_target(v1::PAIR_TARGET_SCORE);
  AddPrompt(0, {1, 3});
  EXPECT_DOUBLE_EQ(Build().pairs[0].target(), 1 / (1 + std::exp(-2.0)));
  pairing().mutable_defects()->set_over_length(true);
  responses_[1].set_finish_reason(v1::FINISH_REASON_LENGTH);
  EXPECT_EQ(Build().pairs[0].target(), 1);
}

class SourcesTest : public PairingTest {
 protected:
  SourcesTest() {
    AddPromptWithGold(0, {1, 3, 2});  // 1 > 2, which is gold, > 0
    responses_[1].set_provenance(v1::PROVENANCE_OPPONENT);
  }
  std::vector<std::string> LinesOf(const std::vector<v1::PairSource>& sources) {
    pairing().clear_sources();
    for (v1::PairSource source : sources) pairing().add_sources(source);
    return BuildLines();
  }
};

TEST_F(SourcesTest, AreWhereTheSidesOfAPairComeFrom) {
  EXPECT_THAT(LinesOf({}), ElementsAre("0: 1 > 0", "0: 1 > 2", "0: 2 > 0"));
  EXPECT_THAT(LinesOf({v1::PAIR_SOURCE_GOLD_STUDENT}), ElementsAre("0: 2 > 0"));
  EXPECT_THAT(LinesOf({v1::PAIR_SOURCE_STUDENT_GOLD}), ElementsAre("0: 1 > 2"));
  // An opponent's sample is a student's.
  EXPECT_THAT(LinesOf({v1::PAIR_SOURCE_STUDENT_STUDENT}), ElementsAre("0: 1 > 0"));
  EXPECT_EQ(Fates(Build().counts), "kept 1 source 2");
  EXPECT_THAT(LinesOf({v1::PAIR_SOURCE_STUDENT_GOLD, v1::PAIR_SOURCE_GOLD_STUDENT}),
              ElementsAre("0: 1 > 2", "0: 2 > 0"));
}

TEST_F(SourcesTest, OfKeptPairsAreCounted) {
  AddPromptWithGold(1, {1, 2, 4});
  pairing().set_max_pairs_per_prompt(2);
  const v1::PairCounts counts = Build().counts;
  EXPECT_EQ(Fates(counts), "kept 4 over_limit 2");
  EXPECT_EQ(counts.gold_student(), 2);
  EXPECT_EQ(counts.student_gold(), 1);
  EXPECT_EQ(counts.student_student(), 1);
}

TEST_F(PairingFiltersTest, LengthsMayDifferByTheRatioAndNoMore) {
  pairing().set_max_length_ratio(2);
  AddPrompt(0, {1, 2, 3});  // 1, 2 and 3 tokens
  responses_[1].add_token_ids(7);
  for (int i = 0; i < 2; ++i) responses_[2].add_token_ids(7);
  EXPECT_THAT(BuildLines(), ElementsAre("0: 1 > 0", "0: 2 > 1"));
  EXPECT_EQ(Fates(Build().counts), "kept 2 length_ratio 1");
  pairing().set_max_length_ratio(0);
  EXPECT_EQ(Fates(Build().counts), "kept 3");
}

TEST_F(PairingFiltersTest, TheSameTextIsNoPairIfAsked) {
  AddPrompt(0, {1, 2, 3});
  responses_[0].set_text("a  b");
  responses_[1].set_text(" a  b\n");
  responses_[2].set_text("a b");
  EXPECT_EQ(Fates(Build().counts), "kept 3");
  pairing().set_drop_same_text(true);
  EXPECT_THAT(BuildLines(), ElementsAre("0: 2 > 0", "0: 2 > 1"));
  EXPECT_EQ(Fates(Build().counts), "kept 2 same_text 1");
}

class DefectFilterTest : public PairingTest {
 protected:
  DefectFilterTest() { pairing().mutable_defects()->set_over_length(true); }
  void MakeDefective(size_t response) {
    responses_[response].set_finish_reason(v1::FINISH_REASON_LENGTH);
  }
};

TEST_F(DefectFilterTest, ADefectIsNeverChosenAndTwoAreNoPair) {
  AddPrompt(0, {1, 9, 2, 8});
  MakeDefective(1);
  MakeDefective(3);
  const PairingOutput output = Build();
  // Infinite gaps first, of which the scores decide.
  EXPECT_THAT(Lines(output),
              ElementsAre("0: 2 > 3", "0: 0 > 3", "0: 2 > 1", "0: 0 > 1", "0: 2 > 0"));
  EXPECT_EQ(Fates(output.counts), "kept 5 defect 1");
  EXPECT_EQ(output.pairs[0].chosen_score(), 2);  // the oracle's
  EXPECT_EQ(output.pairs[0].rejected_score(), 8);
}

TEST_F(DefectFilterTest, ADefectReachesEveryMarginAndTheChosenTheLeastScore) {
  pairing().set_min_margin(1e9);
  AddPrompt(0, {3, 3});
  MakeDefective(0);
  EXPECT_THAT(BuildLines(), ElementsAre("0: 1 > 0"));
  pairing().set_min_chosen_score(4);
  EXPECT_EQ(Fates(Build().counts), "kept 0 low_score 1");
}

TEST_F(DefectFilterTest, EveryStrategyKnowsIt) {
  spec_.mutable_sampling()->set_num_generations(3);
  AddPrompt(0, {9, 1, 2});
  MakeDefective(0);
  const auto lines_of = [&](v1::PairingStrategy strategy) {
    SetStrategy(strategy);
    return BuildLines();
  };
  EXPECT_THAT(lines_of(v1::PAIRING_STRATEGY_BEST_WORST), ElementsAre("0: 2 > 0"));
  EXPECT_THAT(lines_of(v1::PAIRING_STRATEGY_WIN_RATE), ElementsAre("0: 2 > 0"));
  EXPECT_THAT(lines_of(v1::PAIRING_STRATEGY_MAX_MAX), ElementsAre("0: 2 > 1"));
  EXPECT_THAT(lines_of(v1::PAIRING_STRATEGY_BEST_FIRST), ElementsAre("0: 2 > 0"));
  EXPECT_THAT(lines_of(v1::PAIRING_STRATEGY_ONLINE), ElementsAre("0: 1 > 0"));
  EXPECT_THAT(lines_of(v1::PAIRING_STRATEGY_GROUP), ElementsAre("0: 2 > 1 > 0"));
}

class ChesFilterTest : public PairingTest {
 protected:
  ChesFilterTest() { SetStrategy(v1::PAIRING_STRATEGY_ONLINE); }

  // A prompt whose pair has the ln-CHES `score`, whichever the lengths.
  void AddPair(float score, int chosen_tokens = 1, int rejected_tokens = 1) {
    const auto index = static_cast<uint32_t>(prompts_.size());
    AddPrompt(index, {1, 0});
    v1::Response& chosen = responses_[responses_.size() - 2];
    v1::Response& rejected = responses_.back();
    for (int i = 1; i < chosen_tokens; ++i) chosen.add_token_ids(7);
    for (int i = 1; i < rejected_tokens; ++i) rejected.add_token_ids(7);
    chosen.add_hidden_sum(static_cast<float>(chosen_tokens));  // means of 1 and of score + 1
    rejected.add_hidden_sum((score + 1) * static_cast<float>(rejected_tokens));
  }

  std::vector<uint32_t> KeptPrompts(double percentile) {
    pairing().set_ches_percentile(percentile);
    std::vector<uint32_t> prompts;
    for (const v1::Pair& pair : Build().pairs) prompts.push_back(pair.prompt_index());
    return prompts;
  }
};

TEST_F(ChesFilterTest, KeepsTheLowestInTheirOrder) {
  for (const float score : {3, -2, 5, 0, -1}) AddPair(score);
  EXPECT_THAT(KeptPrompts(100), ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(KeptPrompts(60), ElementsAre(1, 3, 4));
  EXPECT_THAT(KeptPrompts(41), ElementsAre(1, 3, 4));  // 2.05 pairs are 3
  EXPECT_THAT(KeptPrompts(40), ElementsAre(1, 4));
  EXPECT_THAT(KeptPrompts(1e-6), ElementsAre(1));
  const PairingOutput output = Build();
  EXPECT_EQ(Fates(output.counts), "kept 1 high_ches 4");
  EXPECT_EQ(output.counts.student_student(), 1);
  EXPECT_EQ(output.pairs[0].index(), 0);
  EXPECT_EQ(output.pairs[0].name(), "jobs/j/rounds/3/pairs/0");
}

TEST_F(ChesFilterTest, OfEqualScoresKeepsTheFirst) {
  for (int i = 0; i < 4; ++i) AddPair(1);
  EXPECT_THAT(KeptPrompts(50), ElementsAre(0, 1));
}

TEST_F(ChesFilterTest, ScoresAreOfMeansAndNotOfSums) {
  AddPair(-3);
  AddPair(-2, 1, 50);  // a sum of -50 instead of -1 would make it the lowest
  EXPECT_THAT(KeptPrompts(50), ElementsAre(0));
}

TEST_F(ChesFilterTest, AScoreThatIsNoNumberIsTheHighest) {
  AddPair(std::numeric_limits<float>::quiet_NaN());
  AddPair(9);
  AddPair(std::numeric_limits<float>::quiet_NaN());
  AddPair(8);
  EXPECT_THAT(KeptPrompts(50), ElementsAre(1, 3));
}

TEST_F(ChesFilterTest, PercentagesAreOfWhatOtherFiltersLeave) {
  for (const float score : {3, -2, 5, 0}) AddPair(score);
  judgments_[1].set_scores(0, 0);  // a tie
  EXPECT_THAT(KeptPrompts(67), ElementsAre(0, 2, 3));
  EXPECT_THAT(KeptPrompts(66), ElementsAre(0, 3));
  EXPECT_EQ(Fates(Build().counts), "kept 2 tie 1 high_ches 1");
}

TEST_F(ChesFilterTest, HiddenStatesAreNotStored) {
  AddPair(1);
  AddPair(2);
  for (const double percentile : {50, 100}) {
    pairing().set_ches_percentile(percentile);
    for (const v1::Pair& pair : Build().pairs) {
      EXPECT_THAT(pair.chosen().hidden_sum(), IsEmpty());
      EXPECT_THAT(pair.rejected().hidden_sum(), IsEmpty());
    }
  }
}

TEST_F(ChesFilterTest, PairsTellTheirScoreWhereThereAreHiddenStates) {
  AddPair(3);
  AddPair(-2, 4, 2);
  AddPair(1);
  responses_.back().clear_hidden_sum();
  const PairingOutput output = Build();
  ASSERT_EQ(output.pairs.size(), 3u);
  EXPECT_NEAR(output.pairs[0].ches(), 3, 1e-6);
  EXPECT_NEAR(output.pairs[1].ches(), -2, 1e-6);
  EXPECT_EQ(output.pairs[2].ches(), 0);
}

// A round of random responses, of which every filter has its share.
class ManyPairsTest : public PairingTest {
 protected:
  static constexpr uint32_t kPrompts = 200;
  static constexpr uint32_t kCandidates = 6;

  ManyPairsTest() {
    for (uint32_t i = 0; i < kPrompts; ++i) {
      const CounterRng rng({5, i});
      std::vector<double> scores;
      for (uint32_t j = 0; j < kCandidates; ++j) {
        scores.push_back(static_cast<double>(rng.Below(j, 6)));
      }
      AddPromptWithGold(i, scores);
      for (uint32_t j = 0; j < kCandidates; ++j) {
        Randomize(CounterRng({6, i, j}), responses_[i * kCandidates + j]);
      }
    }
    pairing().set_include_gold(true);
    pairing().set_min_margin(2);
    pairing().set_min_chosen_score(2);
    pairing().set_max_pairs_per_prompt(4);
    pairing().set_max_length_ratio(3);
    pairing().set_drop_same_text(true);
    pairing().mutable_defects()->set_over_length(true);
    pairing().add_sources(v1::PAIR_SOURCE_GOLD_STUDENT);
    pairing().add_sources(v1::PAIR_SOURCE_STUDENT_STUDENT);
    pairing().set_ches_percentile(70);
    spec_.mutable_oracle()->set_flip_rate(0.1);
  }

  static void Randomize(const CounterRng& rng, v1::Response& response) {
    response.clear_token_ids();
    for (uint64_t i = rng.Below(0, 5); i > 0; --i) {
      response.add_token_ids(static_cast<uint32_t>(rng.Below(i, 4)));
    }
    response.set_text(absl::StrCat("text ", rng.Below(10, 12)));
    response.set_finish_reason(rng.Below(11, 4) == 0 ? v1::FINISH_REASON_LENGTH
                                                     : v1::FINISH_REASON_STOP);
    for (uint64_t i = 0; i < 3; ++i) {
      response.add_hidden_sum(static_cast<float>(rng.Uniform(20 + i)));
    }
  }
};

uint32_t AllOf(const v1::PairCounts& c) {
  return c.kept() + c.tie() + c.low_margin() + c.duplicate() + c.over_limit() + c.empty() +
         c.low_score() + c.source() + c.length_ratio() + c.same_text() + c.defect() + c.high_ches();
}

TEST_F(ManyPairsTest, EveryProposalIsCountedOnce) {
  const PairingOutput output = Build();
  EXPECT_EQ(AllOf(output.counts), kPrompts * kCandidates * (kCandidates - 1) / 2);
  const v1::PairCounts& counts = output.counts;
  for (const uint32_t count :
       {counts.kept(), counts.tie(), counts.low_margin(), counts.duplicate(), counts.over_limit(),
        counts.empty(), counts.low_score(), counts.source(), counts.length_ratio(),
        counts.same_text(), counts.defect(), counts.high_ches(), counts.gold_student()}) {
    EXPECT_GT(count, 0) << counts.ShortDebugString();
  }
  EXPECT_EQ(counts.kept(), output.pairs.size());
  EXPECT_EQ(counts.gold_student() + counts.student_gold() + counts.student_student(),
            counts.kept());
}

TEST_F(ManyPairsTest, IsAFunctionOfItsInput) {
  const PairingOutput output = Build();
  EXPECT_EQ(Build().digest, output.digest);
  EXPECT_EQ(Lines(Build()), Lines(output));
  for (size_t i = 0; i < output.pairs.size(); ++i) EXPECT_EQ(output.pairs[i].index(), i);
}

}  // namespace
}  // namespace attune
