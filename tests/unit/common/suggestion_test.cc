#include "common/suggestion.h"

#include "gtest/gtest.h"

namespace attune {
namespace {

TEST(SuggestionTest, DistanceCountsEachSlipOnce) {
  EXPECT_EQ(EditDistance("", ""), 0u);
  EXPECT_EQ(EditDistance("beta", ""), 4u);
  EXPECT_EQ(EditDistance("beta", "beta"), 0u);
  EXPECT_EQ(EditDistance("bta", "beta"), 1u);
  EXPECT_EQ(EditDistance("betta", "beta"), 1u);
  EXPECT_EQ(EditDistance("bita", "beta"), 1u);
  EXPECT_EQ(EditDistance("bate", "beta"), 2u);
  EXPECT_EQ(EditDistance("ebta", "beta"), 1u);  // neighbours swapped
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3u);
}

TEST(SuggestionTest, OffersTheNearestWordOrNone) {
  const std::vector<std::string> known = {"top_p", "top_k", "temperature"};
  EXPECT_EQ(DidYouMean("temprature", known), "; did you mean \"temperature\"?");
  EXPECT_EQ(DidYouMean("TOP-K", known), "; did you mean \"top_k\"?");
  EXPECT_EQ(DidYouMean("learning_rate", known), "");
  EXPECT_EQ(DidYouMean(std::string(1'000'000, 't'), known), "");
  EXPECT_EQ(DidYouMean("top_p", {}), "");
}

}  // namespace
}  // namespace attune
