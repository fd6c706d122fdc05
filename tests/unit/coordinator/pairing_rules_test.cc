#include "coordinator/pairing_rules.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/coordinator/pairing_round.h"

namespace attune {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class TeacherWinsTest : public PairingTest {
 protected:
  TeacherWinsTest() {
    SetStrategy(v1::PAIRING_STRATEGY_TEACHER_WINS);
    pairing().set_include_gold(true);
  }
};

TEST_F(TeacherWinsTest, GoldIsChosenWhateverTheScores) {
  AddPromptWithGold(0, {1, 5, 3, 3});
  const PairingOutput output = Build();
  EXPECT_THAT(Lines(output), ElementsAre("0: 3 > 0", "0: 3 > 2", "0: 3 > 1"));  // widest gap first
  for (const v1::Pair& pair : output.pairs) EXPECT_EQ(pair.target(), 1);
  EXPECT_EQ(output.pairs[2].chosen_score(), 3);
  EXPECT_EQ(output.pairs[2].rejected_score(), 5);
  EXPECT_EQ(Fates(output.counts), "kept 3");
  EXPECT_EQ(output.counts.gold_student(), 3);
}

TEST_F(TeacherWinsTest, ATieIsAPairLikeAnyOther) {
  AddPromptWithGold(0, {2, 2});
  for (const auto policy : {v1::TIE_POLICY_DROP, v1::TIE_POLICY_FIRST, v1::TIE_POLICY_SOFT}) {
    pairing().set_tie_policy(policy);
    const PairingOutput output = Build();
    ASSERT_THAT(Lines(output), ElementsAre("0: 1 > 0"));
    EXPECT_EQ(output.pairs[0].target(), 1);
    EXPECT_EQ(output.counts.soft_tie(), 0);
  }
}

TEST_F(TeacherWinsTest, APromptWithoutGoldMakesNoPair) {
  AddPrompt(0, {1, 2, 3});
  EXPECT_THAT(BuildLines(), IsEmpty());
  EXPECT_EQ(Fates(Build().counts), "kept 0");
}

TEST_F(TeacherWinsTest, TheGoldReachesTheLeastScore) {
  AddPromptWithGold(0, {9, 4});
  AddPromptWithGold(1, {9, 5});
  pairing().set_min_chosen_score(5);
  EXPECT_THAT(BuildLines(), ElementsAre("1: 1 > 0"));
  EXPECT_EQ(Fates(Build().counts), "kept 1 low_score 1");
}

class GroupTest : public PairingTest {
 protected:
  GroupTest() {
    SetStrategy(v1::PAIRING_STRATEGY_GROUP);
    spec_.mutable_sampling()->set_num_generations(4);
  }
};

TEST_F(GroupTest, ListsAllCandidatesByFallingScoreThenBySample) {
  AddPrompt(0, {1, 4, 2, 4});
  const PairingOutput output = Build();
  ASSERT_THAT(Lines(output), ElementsAre("0: 1 > 3 > 2 > 0"));
  const v1::Pair& list = output.pairs[0];
  EXPECT_EQ(list.chosen_score(), 4);
  EXPECT_EQ(list.rejected_score(), 1);
  ASSERT_EQ(list.others_size(), 2);
  EXPECT_EQ(list.others(1).score(), 2);
  EXPECT_DOUBLE_EQ(list.others(1).win_rate(), 1.0 / 3);
  EXPECT_EQ(list.others(1).response().token_ids(0), 2);
  EXPECT_EQ(Fates(output.counts), "kept 1");
}

TEST_F(GroupTest, AListLacksNobody) {
  AddPrompt(0, {1, 2, 3});
  AddPrompt(1, {1, 2, 3, 4, 5});
  AddPrompt(2, {});
  AddPrompt(3, {4, 3, 2, 1});
  EXPECT_THAT(BuildLines(), ElementsAre("3: 0 > 1 > 2 > 3"));
  EXPECT_EQ(Fates(Build().counts), "kept 1 empty 3");
}

TEST_F(GroupTest, WithGoldAListHasOneMore) {
  pairing().set_include_gold(true);
  AddPromptWithGold(0, {1, 2, 3, 4, 9});
  AddPrompt(1, {1, 2, 3, 4});
  EXPECT_THAT(BuildLines(), ElementsAre("0: 4 > 3 > 2 > 1 > 0"));
  EXPECT_EQ(Fates(Build().counts), "kept 1 empty 1");
}

TEST_F(GroupTest, ACandidateWithoutTokensDropsTheList) {
  AddPrompt(0, {1, 2, 3, 4});
  responses_[1].clear_token_ids();  // neither the best nor the worst
  EXPECT_THAT(BuildLines(), IsEmpty());
  EXPECT_EQ(Fates(Build().counts), "kept 0 empty 1");
}

TEST_F(GroupTest, DuplicatesStay) {
  AddPrompt(0, {1, 1, 3, 4});
  responses_[1].set_token_ids(0, responses_[0].token_ids(0));
  responses_[3].set_token_ids(0, responses_[0].token_ids(0));
  EXPECT_THAT(BuildLines(), ElementsAre("0: 3 > 2 > 0 > 1"));
}

TEST_F(GroupTest, EqualScoresAreATieThatFirstKeeps) {
  AddPrompt(0, {1, 1, 1, 1});
  EXPECT_EQ(Fates(Build().counts), "kept 0 tie 1");
  pairing().set_tie_policy(v1::TIE_POLICY_FIRST);
  EXPECT_THAT(BuildLines(), ElementsAre("0: 0 > 1 > 2 > 3"));
}

TEST_F(GroupTest, FiltersLookAtTheBestAndTheWorst) {
  pairing().set_min_margin(3);
  AddPrompt(0, {1, 2, 3, 4});
  AddPrompt(1, {1, 2, 3, 3});
  EXPECT_THAT(BuildLines(), ElementsAre("0: 3 > 2 > 1 > 0"));
  EXPECT_EQ(Fates(Build().counts), "kept 1 low_margin 1");
}

TEST_F(GroupTest, DefectsComeLast) {
  pairing().mutable_defects()->set_over_length(true);
  AddPrompt(0, {4, 1, 3, 2});
  responses_[0].set_finish_reason(v1::FINISH_REASON_LENGTH);
  responses_[3].set_finish_reason(v1::FINISH_REASON_LENGTH);
  EXPECT_THAT(BuildLines(), ElementsAre("0: 2 > 1 > 0 > 3"));
  for (v1::Response& response : responses_) {
    response.set_finish_reason(v1::FINISH_REASON_LENGTH);
  }
  EXPECT_EQ(Fates(Build().counts), "kept 0 defect 1");
}

}  // namespace
}  // namespace attune
