#include "model/tokenizer/split_behavior.h"

#include <string>

#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tokenizer/json_fixture.h"

namespace attune {
namespace {

// Splits at the hyphens; the pieces, separated by bars.
std::string Split(absl::string_view text, SplitBehavior behavior, bool invert) {
  std::vector<TextSpan> hyphens;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '-') hyphens.push_back({i, i + 1});
  }
  std::vector<absl::string_view> pieces;
  for (const TextSpan& span : SplitAt(hyphens, {0, text.size()}, behavior, invert)) {
    pieces.push_back(text.substr(span.begin, span.size()));
  }
  return absl::StrJoin(pieces, "|");
}

TEST(SplitBehaviorTest, EachBehavior) {
  const std::string text = "--the-final--countdown-";
  EXPECT_EQ(Split(text, SplitBehavior::kRemoved, false), "the|final|countdown");
  EXPECT_EQ(Split(text, SplitBehavior::kIsolated, false), "-|-|the|-|final|-|-|countdown|-");
  EXPECT_EQ(Split(text, SplitBehavior::kMergedWithPrevious, false), "-|-|the-|final-|-|countdown-");
  EXPECT_EQ(Split(text, SplitBehavior::kMergedWithNext, false), "-|-the|-final|-|-countdown|-");
  EXPECT_EQ(Split(text, SplitBehavior::kContiguous, false), "--|the|-|final|--|countdown|-");
}

TEST(SplitBehaviorTest, EachBehaviorInverted) {
  const std::string text = "--the-final--countdown-";
  EXPECT_EQ(Split(text, SplitBehavior::kRemoved, true), "-|-|-|-|-|-");
  EXPECT_EQ(Split(text, SplitBehavior::kIsolated, true), "-|-|the|-|final|-|-|countdown|-");
  EXPECT_EQ(Split(text, SplitBehavior::kMergedWithPrevious, true), "-|-the|-final|-|-countdown|-");
  EXPECT_EQ(Split(text, SplitBehavior::kMergedWithNext, true), "-|-|the-|final-|-|countdown-");
  EXPECT_EQ(Split(text, SplitBehavior::kContiguous, true), "--|the|-|final|--|countdown|-");
}

TEST(SplitBehaviorTest, EmptyMatchesOnlyCut) {
  EXPECT_EQ(SplitAt({{5, 5}, {6, 6}, {7, 7}}, {5, 7}, SplitBehavior::kIsolated, false),
            (std::vector<TextSpan>{{5, 6}, {6, 7}}));
}

TEST(SplitBehaviorTest, ReadsNames) {
  const JsonFixture good(R"("Contiguous")");
  EXPECT_EQ(*ParseSplitBehavior(good.json()), SplitBehavior::kContiguous);
  const JsonFixture bad(R"("contiguous")");
  EXPECT_THAT(ParseSplitBehavior(bad.json()),
              StatusIs(absl::StatusCode::kInvalidArgument, "'contiguous' is not supported"));
}

}  // namespace
}  // namespace attune
