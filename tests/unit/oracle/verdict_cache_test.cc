#include "oracle/verdict_cache.h"

#include <atomic>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/oracle/candidates.h"

namespace attune {
namespace {

using absl::StatusCode;
using testing::ElementsAre;

// Fails while told to, and counts how often it is asked.
class CountingJudge : public Judge {
 public:
  CountingJudge() : Judge("counting/1", "digest") {}

  absl::StatusOr<Verdict> Decide(const v1::Candidates& item) const override {
    ++asked;
    if (fails) return absl::UnavailableError("away");
    return Verdict{.scores = std::vector<double>(short_by + item.responses_size(), 4.0)};
  }

  mutable std::atomic<int> asked = 0;
  bool fails = false;
  int short_by = 0;
};

TEST(VerdictCacheTest, KeysAreOfTheContentAndTheOracle) {
  const std::string key = VerdictKey("d", CandidatesOf({"a", "bc"}));
  v1::Candidates other = CandidatesOf({"a", "bc"});
  other.set_prompt_index(7);
  EXPECT_EQ(VerdictKey("d", other), key);
  EXPECT_NE(VerdictKey("e", other), key);
  EXPECT_NE(VerdictKey("d", CandidatesOf({"ab", "c"})), key);
  EXPECT_NE(VerdictKey("d", CandidatesOf({"bc", "a"})), key);
  EXPECT_NE(VerdictKey("d", CandidatesOf({"a", "bc"}, "gold")), key);
  EXPECT_NE(VerdictKey("d", CandidatesOf({"a", "bc"}, "", "another")), key);
  other.set_response_tokens(1, 9);
  EXPECT_NE(VerdictKey("d", other), key);
}

TEST(VerdictCacheTest, ForgetsTheOneUsedLongestAgo) {
  VerdictCache cache;
  for (const char* key : {"a", "b"}) cache.Put(key, {.scores = {1}}, 2);
  EXPECT_TRUE(cache.Find("a").has_value());
  cache.Put("c", {.scores = {3}}, 2);
  EXPECT_FALSE(cache.Find("b").has_value());
  EXPECT_TRUE(cache.Find("a").has_value());
  EXPECT_THAT(cache.Find("c")->scores, ElementsAre(3.0));
  cache.Put("d", {.scores = {4}}, 1);
  EXPECT_FALSE(cache.Find("a").has_value());
  EXPECT_TRUE(cache.Find("d").has_value());
}

TEST(VerdictCacheTest, AJudgeIsAskedOnceForTheSameContent) {
  const auto judge = std::make_shared<CountingJudge>();
  int hits = 0;
  const auto cached = MakeCachedJudge(judge, std::make_shared<VerdictCache>(), 10, [&] { ++hits; });
  EXPECT_EQ(cached->oracle(), "counting/1");
  EXPECT_EQ(cached->digest(), "digest");
  for (int i = 0; i < 3; ++i) {
    ASSERT_OK_AND_ASSIGN(const Verdict verdict, cached->Decide(CandidatesOf({"a", "b"})));
    EXPECT_THAT(verdict.scores, ElementsAre(4.0, 4.0));
  }
  EXPECT_EQ(judge->asked, 1);
  EXPECT_EQ(hits, 2);
  EXPECT_OK(cached->Decide(CandidatesOf({"a", "c"})));
  EXPECT_EQ(judge->asked, 2);
}

TEST(VerdictCacheTest, FailuresAndUnusableVerdictsAreNotKept) {
  const auto judge = std::make_shared<CountingJudge>();
  const auto cached = MakeCachedJudge(judge, std::make_shared<VerdictCache>(), 10, [] {});
  judge->fails = true;
  EXPECT_THAT(cached->Decide(CandidatesOf({"a"})), StatusIs(StatusCode::kUnavailable, "away"));
  judge->fails = false;
  judge->short_by = 1;
  EXPECT_THAT(cached->Decide(CandidatesOf({"a"})), StatusIs(StatusCode::kInternal, "2 scores"));
  judge->short_by = 0;
  EXPECT_OK(cached->Decide(CandidatesOf({"a"})));
  EXPECT_EQ(judge->asked, 3);
}

}  // namespace
}  // namespace attune
