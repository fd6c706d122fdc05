#include "coordinator/pairing_unpaired.h"

#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/coordinator/pairing_round.h"

namespace attune {
namespace {

using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

class PairingUnpairedTest : public PairingTest {
 protected:
  PairingUnpairedTest() {
    SetStrategy(v1::PAIRING_STRATEGY_UNPAIRED);
    pairing().set_tie_policy(v1::TIE_POLICY_DROP);
  }

  // Prompts of the chosen responses and of the rejected ones, in the order of the pairs.
  std::vector<uint32_t> Chosen(const PairingOutput& output) const {
    std::vector<uint32_t> prompts;
    for (const v1::Pair& pair : output.pairs) prompts.push_back(pair.chosen().prompt_index());
    return prompts;
  }
  std::vector<uint32_t> Rejected(const PairingOutput& output) const {
    std::vector<uint32_t> prompts;
    for (const v1::Pair& pair : output.pairs) prompts.push_back(pair.rejected().prompt_index());
    return prompts;
  }
};

TEST_F(PairingUnpairedTest, PositiveScoresAreChosenOverTheOthersOfAnyPrompt) {
  for (uint32_t i = 0; i < 4; ++i) AddPrompt(i, {1});
  for (uint32_t i = 4; i < 8; ++i) AddPrompt(i, {i < 6 ? 0.0 : -1.0});
  const PairingOutput output = Build();
  EXPECT_THAT(Chosen(output), UnorderedElementsAre(0, 1, 2, 3));
  EXPECT_THAT(Rejected(output), UnorderedElementsAre(4, 5, 6, 7));
  for (const v1::Pair& pair : output.pairs) {
    EXPECT_EQ(pair.prompt_index(), pair.chosen().prompt_index());
    EXPECT_EQ(pair.chosen_score(), 1);
    EXPECT_LE(pair.rejected_score(), 0);
    EXPECT_EQ(pair.target(), 1);
  }
  EXPECT_EQ(output.counts.kept(), 4u);
}

TEST_F(PairingUnpairedTest, TheSmallerSideIsRepeatedInItsOrder) {
  AddPrompt(0, {1});
  AddPrompt(1, {2});
  for (uint32_t i = 2; i < 7; ++i) AddPrompt(i, {0});
  const PairingOutput output = Build();
  const std::vector<uint32_t> chosen = Chosen(output);
  ASSERT_THAT(chosen, SizeIs(5));
  EXPECT_NE(chosen[0], chosen[1]);
  for (size_t i = 2; i < 5; ++i) EXPECT_EQ(chosen[i], chosen[i - 2]);
  EXPECT_THAT(Rejected(output), UnorderedElementsAre(2, 3, 4, 5, 6));
}

TEST_F(PairingUnpairedTest, TheOrderIsDrawnBySeedAndRound) {
  for (uint32_t i = 0; i < 20; ++i) AddPrompt(i, {i % 2 == 0 ? 1.0 : 0.0});
  EXPECT_EQ(Chosen(Build()), Chosen(Build()));
  EXPECT_EQ(Build().digest, Build().digest);
  EXPECT_NE(Chosen(Build(3)), Chosen(Build(4)));
  EXPECT_NE(Rejected(Build(3, 42)), Rejected(Build(3, 43)));
}

TEST_F(PairingUnpairedTest, OneSideAloneMakesNoPairs) {
  AddPrompt(0, {1, 2});
  EXPECT_THAT(Build().pairs, IsEmpty());
}

TEST_F(PairingUnpairedTest, WhatCannotBeTrainedOnIsLeftOut) {
  pairing().set_min_chosen_score(2);
  pairing().mutable_defects()->set_over_length(true);
  AddPrompt(0, {3, 1, 5, 4, 0});
  responses_[2].clear_token_ids();
  responses_[3].set_finish_reason(v1::FINISH_REASON_LENGTH);
  const PairingOutput output = Build();
  EXPECT_EQ(Lines(output).size(), 2u);
  std::set<uint32_t> rejected;
  for (const v1::Pair& pair : output.pairs) {
    EXPECT_EQ(pair.chosen().sample(), 0u);
    rejected.insert(pair.rejected().sample());
  }
  EXPECT_THAT(rejected, UnorderedElementsAre(3, 4));
  EXPECT_EQ(Fates(output.counts), "kept 2 empty 1 low_score 1");
}

TEST_F(PairingUnpairedTest, TheDigestSeesTheRejectedPrompt) {
  AddPrompt(0, {1});
  AddPrompt(1, {0});
  const std::string digest = Build().digest;
  responses_[1].set_prompt_token_ids(0, 9);
  EXPECT_NE(Build().digest, digest);
}

}  // namespace
}  // namespace attune
