#include "oracle/tool_pairs.h"

#include <string>
#include <vector>

#include "common/files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tiny_model.h"

namespace attune {
namespace {

using Preferences = std::vector<std::optional<double>>;

absl::StatusOr<LabelledRows> Load(const std::string& lines) {
  const ScratchDirectory directory;
  const std::string path = directory.File("pairs.jsonl");
  EXPECT_OK(WriteFile(path, lines));
  return LoadLabelledRows(path, LengthCounter::Load("").value());
}

std::string Winner(const LabelledRows& rows, const LabelledPair& pair) {
  return rows.items[pair.row].responses(static_cast<int>(pair.winner));
}
std::string Loser(const LabelledRows& rows, const LabelledPair& pair) {
  return rows.items[pair.row].responses(static_cast<int>(pair.loser));
}

TEST(ToolPairsTest, EveryTwoResponsesWithDifferentLabelsAreAPair) {
  ASSERT_OK_AND_ASSIGN(
      const LabelledRows rows,
      Load(R"({"prompt": "p", "chosen": "very good", "rejected": "bad", "split": "s"}
{"prompt": "q", "answer": "7", "responses": ["c", "a", "b"], "rewards": [1, 3, 1]}
{"prompt": "alone"}
{"prompt": "same", "responses": ["x", "y"], "rewards": [2, 2]}
)"));
  EXPECT_EQ(2u, rows.items.size());
  EXPECT_EQ(2u, rows.without_preference);
  EXPECT_EQ("s", rows.splits[0]);
  EXPECT_EQ("7", rows.items[1].gold());
  ASSERT_EQ(3u, rows.pairs.size());
  EXPECT_EQ("very good", Winner(rows, rows.pairs[0]));
  EXPECT_EQ("bad", Loser(rows, rows.pairs[0]));
  EXPECT_EQ(2u, rows.items[0].response_tokens(static_cast<int>(rows.pairs[0].winner)));
  EXPECT_EQ("a", Winner(rows, rows.pairs[1]));
  EXPECT_EQ("a", Winner(rows, rows.pairs[2]));
}

TEST(ToolPairsTest, TheBetterOneIsNotAlwaysShownFirst) {
  std::string lines;
  for (int i = 0; i < 100; ++i)
    lines += R"({"prompt": "p", "chosen": "a", "rejected": "b"})"
             "\n";
  ASSERT_OK_AND_ASSIGN(const LabelledRows rows, Load(lines));
  int first = 0;
  for (const LabelledPair& pair : rows.pairs) first += pair.winner == 0 ? 1 : 0;
  EXPECT_GT(first, 30);
  EXPECT_LT(first, 70);
}

TEST(ToolPairsTest, ReversedRowsHaveTheSamePairsInTheOtherOrder) {
  ASSERT_OK_AND_ASSIGN(
      const LabelledRows rows,
      Load(R"({"prompt": "q", "responses": ["c c c", "a", "b b"], "rewards": [1, 3, 2]})"));
  const LabelledRows reversed = Reversed(rows);
  ASSERT_EQ(3u, reversed.pairs.size());
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(Winner(rows, rows.pairs[i]), Winner(reversed, reversed.pairs[i]));
    EXPECT_EQ(Loser(rows, rows.pairs[i]), Loser(reversed, reversed.pairs[i]));
    EXPECT_EQ(2 - rows.pairs[i].winner, reversed.pairs[i].winner);
  }
  EXPECT_EQ(rows.items[0].responses(0), reversed.items[0].responses(2));
  EXPECT_EQ(rows.items[0].response_tokens(0), reversed.items[0].response_tokens(2));
}

TEST(ToolPairsTest, ADatasetWithoutPreferencesIsRefused) {
  EXPECT_THAT(Load(R"({"prompt": "p"})"),
              StatusIs(absl::StatusCode::kInvalidArgument, "labelled differently"));
}

TEST(ToolPairsTest, TiesAndFailuresAreNotCorrect) {
  Accuracy accuracy;
  for (const std::optional<double>& preference : Preferences{1, 0.7, 0.5, 0.2, std::nullopt}) {
    accuracy.Add(preference);
  }
  EXPECT_EQ(5u, accuracy.pairs);
  EXPECT_EQ(4u, accuracy.judged());
  EXPECT_EQ(2u, accuracy.correct);
  EXPECT_EQ(1u, accuracy.ties);
}

TEST(ToolPairsTest, AgreementIsCorrectedForChance) {
  LabelledRows rows;  // the labelled winner is shown first, second, first, second
  rows.pairs = {{0, 0, 1}, {1, 1, 0}, {2, 0, 1}, {3, 1, 0}};
  const Preferences right = {1, 1, 1, 1}, wrong = {0, 0, 0, 0};
  EXPECT_EQ(4u, AgreementOf(rows, right, right).agreed);
  EXPECT_DOUBLE_EQ(1, AgreementOf(rows, right, right).kappa);
  EXPECT_DOUBLE_EQ(-1, AgreementOf(rows, right, wrong).kappa);
  // Half of the answers are the same: so many as by chance.
  EXPECT_DOUBLE_EQ(0, AgreementOf(rows, right, Preferences{1, 1, 0, 0}).kappa);
  // A failure is no answer; a tie is one.
  const Agreement some = AgreementOf(rows, right, Preferences{1, std::nullopt, 0.5, 1});
  EXPECT_EQ(3u, some.pairs);
  EXPECT_EQ(2u, some.agreed);
}

}  // namespace
}  // namespace attune
