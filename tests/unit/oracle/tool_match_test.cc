#include "oracle/tool_match.h"

#include <algorithm>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/oracle/fake_judge.h"

namespace attune {
namespace {

std::vector<v1::Prompt> Prompts(uint32_t count) {
  std::vector<v1::Prompt> prompts(count);
  for (uint32_t i = 0; i < count; ++i) prompts[i].set_index(i);
  return prompts;
}

// Answers of so many letters; the first player's are named 'a', and so on.
std::vector<PlayerAnswer> Answers(char player, const std::vector<uint32_t>& lengths) {
  std::vector<PlayerAnswer> answers;
  for (uint32_t length : lengths) answers.push_back({std::string(length, player), length, 0, {}});
  return answers;
}

double Length(const std::string& text, int) { return static_cast<double>(text.size()); }

TEST(ToolMatchTest, CountsWinsTiesAndScoresByPlayer) {
  ASSERT_OK_AND_ASSIGN(const Match match,
                       Match::Play(ScoringOracle("o", Length), Prompts(4),
                                   std::vector<std::vector<PlayerAnswer>>{
                                       Answers('a', {1, 2, 3, 4}), Answers('b', {2, 2, 1, 5}),
                                       Answers('c', {9, 9, 9, 9})}));
  EXPECT_EQ(3u, match.players());
  EXPECT_EQ(4u, match.prompts());
  EXPECT_EQ(0.375, match.WinRate(0, 1));  // loses, ties, wins, loses
  EXPECT_EQ(0.625, match.WinRate(1, 0));
  EXPECT_EQ(1, match.WinRate(2, 0));
  EXPECT_EQ(2.5, match.MeanScore(0));
  EXPECT_EQ((std::vector<double>{0, 0.5, 1, 0}), match.Preferences(0, 1));
  const std::vector<Match::Rating> ratings = match.Ratings(1);
  EXPECT_LT(ratings[0].value, ratings[1].value);
  EXPECT_LT(ratings[1].value, ratings[2].value);
  EXPECT_NEAR(0, ratings[0].value + ratings[1].value + ratings[2].value, 1e-9);
  EXPECT_LE(ratings[0].interval.low, ratings[0].value);
  EXPECT_GE(ratings[0].interval.high, ratings[0].value);
}

TEST(ToolMatchTest, ProbabilitiesOfTheOracleAreKept) {
  const NamedJudge judge = FakeOracle("o", [](const v1::Candidates& item) {
    const double p = item.responses(0)[0] == 'a' ? 0.8 : 0.2;  // 'a' is preferred, wherever it is
    return VerdictOfPreferences({0.5, p, 1 - p, 0.5}, 2);
  });
  ASSERT_OK_AND_ASSIGN(const Match match,
                       Match::Play(judge, Prompts(8),
                                   std::vector<std::vector<PlayerAnswer>>{
                                       Answers('a', std::vector<uint32_t>(8, 1)),
                                       Answers('b', std::vector<uint32_t>(8, 1))}));
  EXPECT_NEAR(0.8, match.WinRate(0, 1), 1e-12);
  EXPECT_NEAR(0.8, match.LengthControlled(0, 1), 0.01);
}

TEST(ToolMatchTest, NoPlayerGainsByItsPlace) {
  const auto answers = std::vector<std::vector<PlayerAnswer>>{
      Answers('a', std::vector<uint32_t>(200, 1)), Answers('b', std::vector<uint32_t>(200, 1))};
  ASSERT_OK_AND_ASSIGN(
      const Match match,
      Match::Play(ScoringOracle("o", [](const std::string&, int place) { return -place; }),
                  Prompts(200), answers));
  EXPECT_NEAR(0.5, match.WinRate(0, 1), 0.1);
}

TEST(ToolMatchTest, FailuresAreLeftOutAndCounted) {
  const NamedJudge judge = FakeOracle("o", [](const v1::Candidates& item) {
    if (item.prompt_index() == 1) return absl::StatusOr<Verdict>(absl::UnavailableError("away"));
    return absl::StatusOr<Verdict>(Verdict{.scores = {1, 1}});
  });
  const auto answers =
      std::vector<std::vector<PlayerAnswer>>{Answers('a', {1, 2, 3}), Answers('b', {1, 2, 3})};
  ASSERT_OK_AND_ASSIGN(const Match match, Match::Play(judge, Prompts(3), answers));
  EXPECT_EQ(2u, match.prompts());
  EXPECT_EQ(1u, match.failed());
  EXPECT_EQ(0.5, match.WinRate(0, 1));
}

}  // namespace
}  // namespace attune
