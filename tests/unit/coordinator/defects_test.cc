#include "coordinator/defects.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace attune {
namespace {

TEST(RepeatsNgramTest, CountsAllOccurrences) {
  EXPECT_FALSE(RepeatsNgram("so it goes so it goes", 2, 2));
  EXPECT_TRUE(RepeatsNgram("so it goes so it goes and so it goes", 2, 2));
  EXPECT_TRUE(RepeatsNgram("so it goes so it goes", 3, 1));
}

TEST(RepeatsNgramTest, OccurrencesMayOverlap) {
  EXPECT_TRUE(RepeatsNgram("ha ha ha ha", 2, 2));
  EXPECT_FALSE(RepeatsNgram("ha ha ha", 2, 2));
}

TEST(RepeatsNgramTest, WordsAreWhatWhiteSpaceSeparates) {
  EXPECT_TRUE(RepeatsNgram("\n a\tb  a b \r\n", 2, 1));
  EXPECT_FALSE(
      RepeatsNgram("a b, a B a\xc2\xa0"
                   "b",
                   2, 1));
  EXPECT_FALSE(RepeatsNgram("ab c a bc", 2, 1));  // the same letters in other words
}

TEST(RepeatsNgramTest, AShortTextHasNone) {
  EXPECT_FALSE(RepeatsNgram("", 1, 1));
  EXPECT_FALSE(RepeatsNgram(" \n ", 1, 1));
  EXPECT_FALSE(RepeatsNgram("a a", 3, 1));
  EXPECT_TRUE(RepeatsNgram("a a", 1, 1));
}

// Every n-gram but one differs in a text too long for comparing all with all.
TEST(RepeatsNgramTest, ALongTextIsReadToItsEnd) {
  std::string text;
  for (int i = 0; i < 200000; ++i) absl::StrAppend(&text, i, " ");
  EXPECT_FALSE(RepeatsNgram(text, 64, 1));
  absl::StrAppend(&text, text.substr(0, 1000));
  EXPECT_TRUE(RepeatsNgram(text, 64, 1));
}

v1::Response Repetition() {
  v1::Response response;
  response.set_text("ha ha ha ha ha");
  response.set_finish_reason(v1::FINISH_REASON_LENGTH);
  response.set_provenance(v1::PROVENANCE_STUDENT);
  return response;
}

TEST(HasDefectTest, DefectsAreWhatTheJobSays) {
  v1::DefectSpec spec;
  spec.set_max_repeats(3);
  EXPECT_FALSE(HasDefect(Repetition(), spec));
  spec.set_repeated_ngram(2);  // 4 times
  EXPECT_TRUE(HasDefect(Repetition(), spec));
  spec.set_max_repeats(4);
  EXPECT_FALSE(HasDefect(Repetition(), spec));
  spec.set_over_length(true);
  EXPECT_TRUE(HasDefect(Repetition(), spec));
}

TEST(HasDefectTest, ASampleOfTheOpponentCanHaveOneAndGoldNever) {
  v1::DefectSpec spec;
  spec.set_repeated_ngram(1);
  spec.set_max_repeats(1);
  spec.set_over_length(true);
  v1::Response response = Repetition();
  response.set_provenance(v1::PROVENANCE_OPPONENT);
  EXPECT_TRUE(HasDefect(response, spec));
  response.set_provenance(v1::PROVENANCE_GOLD);
  EXPECT_FALSE(HasDefect(response, spec));
}

}  // namespace
}  // namespace attune
