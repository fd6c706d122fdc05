#include "coordinator/dataset.h"

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attune {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

TEST(HoldoutPromptsTest, AreASeededDrawInOrder) {
  const std::vector<uint32_t> drawn = HoldoutPrompts(1000, 42, 64);
  EXPECT_THAT(drawn, SizeIs(64));
  EXPECT_TRUE(std::is_sorted(drawn.begin(), drawn.end()));
  EXPECT_EQ(std::set<uint32_t>(drawn.begin(), drawn.end()).size(), 64);
  EXPECT_GT(drawn.back(), 500);  // not the beginning of the file
  EXPECT_EQ(drawn, HoldoutPrompts(1000, 42, 64));
  EXPECT_NE(drawn, HoldoutPrompts(1000, 43, 64));
  EXPECT_THAT(HoldoutPrompts(1000, 42, 0), IsEmpty());
}

// What the draws are is part of the result of a job: they never change.
TEST(RoundPromptsTest, DrawsAreForEver) {
  EXPECT_THAT(HoldoutPrompts(20, 42, 4), testing::ElementsAre(1, 3, 13, 14));
  EXPECT_THAT(RoundPrompts(20, 42, 4, 1, 5), testing::ElementsAre(5, 7, 0, 18, 19));
}

TEST(RoundPromptsTest, RoundsUseEveryPromptOnceBeforeAnyTwice) {
  std::map<uint32_t, int> uses;
  const std::vector<uint32_t> held_out = HoldoutPrompts(110, 7, 10);
  for (uint32_t round = 1; round <= 40; ++round) {  // 40 * 25 = ten passes over 100
    for (uint32_t prompt : RoundPrompts(110, 7, 10, round, 25)) ++uses[prompt];
    if (round % 4 == 0) {
      EXPECT_THAT(uses, SizeIs(100));
      for (const auto& [prompt, count] : uses) EXPECT_EQ(count, round / 4);
    }
  }
  for (uint32_t prompt : held_out) EXPECT_EQ(uses.count(prompt), 0);
}

// Also where a round begins in one pass and ends in the next, for all relations of the sizes.
TEST(RoundPromptsTest, NoRoundHasAPromptTwiceAndNoPassLeavesOneOut) {
  for (uint32_t count = 1; count <= 14; ++count) {
    std::map<uint32_t, int> uses;
    for (uint32_t round = 1; round <= 36; ++round) {
      const std::vector<uint32_t> prompts = RoundPrompts(12, 5, 2, round, count);
      EXPECT_THAT(prompts, SizeIs(std::min(count, 10u)));
      EXPECT_EQ(std::set<uint32_t>(prompts.begin(), prompts.end()).size(), prompts.size());
      for (uint32_t prompt : prompts) ++uses[prompt];
      const auto [least, most] = std::minmax_element(
          uses.begin(), uses.end(), [](auto a, auto b) { return a.second < b.second; });
      if (uses.size() == 10) {
        EXPECT_LE(most->second - least->second, 1);
      }
      // When a pass is just used up, every prompt was used as often as any other.
      const uint32_t used = round * std::min(count, 10u);
      if (used % 10 == 0) {
        EXPECT_EQ(most->second, least->second) << count << " " << round;
      }
    }
  }
}

TEST(RoundPromptsTest, EachPassHasItsOwnOrder) {
  EXPECT_NE(RoundPrompts(50, 1, 0, 1, 50), RoundPrompts(50, 1, 0, 2, 50));
  EXPECT_NE(RoundPrompts(50, 1, 0, 1, 50), RoundPrompts(50, 2, 0, 1, 50));
  EXPECT_EQ(RoundPrompts(50, 1, 0, 2, 50), RoundPrompts(50, 1, 0, 2, 50));
}

TEST(RoundPromptsTest, NothingIsLeftWhenAllIsHeldOut) {
  EXPECT_THAT(RoundPrompts(5, 1, 5, 1, 3), IsEmpty());
}

}  // namespace
}  // namespace attune
