#include "serve/stop_filter.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace attune {
namespace {

// What each piece makes certain, then what the end does; "#" where it has stopped.
std::string Trace(const std::vector<std::string>& stops, const std::vector<std::string>& pieces) {
  StopFilter filter(stops);
  std::string trace;
  for (const std::string& piece : pieces) trace += filter.Push(piece) + "|";
  trace += filter.Finish();
  return trace + (filter.stopped() ? "#" : "");
}

TEST(StopFilterTest, WithoutStopTextsEverythingIsCertain) {
  EXPECT_EQ(Trace({}, {"a", "b"}), "a|b|");
}

TEST(StopFilterTest, HoldsBackWhatMayBeAStopText) {
  EXPECT_EQ(Trace({"\n\nQ"}, {"yes\n", "\n", "no"}), "yes||\n\nno|");
  EXPECT_EQ(Trace({"\n\nQ"}, {"yes\n", "\n", "Q: a"}), "yes|||#");
  EXPECT_EQ(Trace({"end"}, {"the e", "n"}), "the ||en");
  EXPECT_EQ(Trace({"aab"}, {"a", "a", "a", "b", "c"}), "||a|||#");
}

TEST(StopFilterTest, TheFirstOfSeveralCounts) {
  EXPECT_EQ(Trace({"three", "two"}, {"one two three"}), "one |#");
  EXPECT_EQ(Trace({"xyz", "y"}, {"axyz"}), "a|#");
  EXPECT_EQ(Trace({"xyz", "y"}, {"ax", "y", "z"}), "a|x||#");  // complete before the longer one
}

TEST(StopFilterTest, NothingComesAfterAStop) { EXPECT_EQ(Trace({"."}, {"a.", "b", "."}), "a|||#"); }

TEST(StopFilterTest, KeepsCharactersWhole) {
  EXPECT_EQ(Trace({"é!"}, {"caf", "é", "s"}), "caf||és|");
}

}  // namespace
}  // namespace attune
