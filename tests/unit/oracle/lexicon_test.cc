#include "oracle/lexicon.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/files.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

using absl::StatusCode;

TEST(LexiconTest, SumsTheValenceOfEveryOccurrence) {
  ASSERT_OK_AND_ASSIGN(const auto lexicon, Lexicon::Parse("l.tsv", "happy\t2.5\nsad\t-2\n"));
  EXPECT_EQ(lexicon->Score("A happy, HAPPY dog. It was not\tsad\n"), 3.0);
  EXPECT_EQ(lexicon->Score("unhappy sadness"), 0.0);
  EXPECT_EQ(lexicon->Score(""), 0.0);
}

TEST(LexiconTest, TriesThePieceAsItStandsBeforeStrippingPunctuation) {
  ASSERT_OK_AND_ASSIGN(const auto lexicon, Lexicon::Parse("l.tsv", ":)\t2\nx-d\t1\nwell\t0.5\n"));
  EXPECT_EQ(lexicon->Score(":) X-D \"well...\" (well)"), 4.0);
  EXPECT_EQ(lexicon->Score(":)."), 0.0);  // strips to nothing
}

TEST(LexiconTest, ReadsTheFormatOfVader) {
  ASSERT_OK_AND_ASSIGN(
      const auto lexicon,
      Lexicon::Parse("vader_lexicon.txt",
                     "$:\t-1.5\t0.80623\t[-1, -1, -1, -1, -3, -1, -3, -1, -2, -1]\r\n"
                     "\n"
                     "fed up\t-1.8\t0.6\t[]\r\n"));
  EXPECT_EQ(lexicon->size(), 2u);
  EXPECT_EQ(lexicon->Score("$: fed up"), -1.5);
}

TEST(LexiconTest, ReadsJsonLines) {
  const std::string content =
      "{\"token\": \"Great\", \"mean\": 3.1, \"std\": 0.7}\n{\"token\": \"bad\", \"mean\": -2}\n";
  ASSERT_OK_AND_ASSIGN(const auto lexicon, Lexicon::Parse("l.jsonl", content));
  EXPECT_EQ(lexicon->Score("Great, not bad."), 3.1 - 2);
  EXPECT_EQ(lexicon->digest(), Sha256Hex(content));
}

TEST(LexiconTest, LetsTheLastOfSeveralLinesHoldAndPrefersLowerCase) {
  ASSERT_OK_AND_ASSIGN(const auto lexicon,
                       Lexicon::Parse("l.tsv", ":-d\t1\n:-D\t9\nok\t1\nok\t2\nYes\t3\n"));
  EXPECT_EQ(lexicon->Score(":-D"), 1.0);
  EXPECT_EQ(lexicon->Score("ok"), 2.0);
  EXPECT_EQ(lexicon->Score("yes"), 3.0);
}

TEST(LexiconTest, NamesTheFirstBadLineByNumber) {
  const auto error = [](const std::string& path, const std::string& bad) {
    return Lexicon::Parse(path, absl::StrCat("good\t1\n\n", bad, "\nworse\n"));
  };
  EXPECT_THAT(error("l.tsv", "no valence"),
              StatusIs(StatusCode::kInvalidArgument, "l.tsv line 3: expected token<TAB>valence"));
  EXPECT_THAT(error("l.tsv", "word\tmuch"),
              StatusIs(StatusCode::kInvalidArgument, "line 3: the valence \"much\""));
  EXPECT_THAT(error("l.tsv", "word\tnan"), StatusIs(StatusCode::kInvalidArgument, "line 3"));
  EXPECT_THAT(error("l.tsv", "word\t1e300"), StatusIs(StatusCode::kInvalidArgument, "1e+300"));
  EXPECT_THAT(error("l.tsv", "\t1"),
              StatusIs(StatusCode::kInvalidArgument, "line 3: the token is empty"));
  EXPECT_THAT(Lexicon::Parse("l.jsonl", "{\"token\": \"a\", \"mean\": 1}\n{\"token\": \"a\"}"),
              StatusIs(StatusCode::kInvalidArgument, "l.jsonl line 2"));
  EXPECT_THAT(Lexicon::Parse("l.jsonl", "{\"token\": "),
              StatusIs(StatusCode::kInvalidArgument, "l.jsonl line 1"));
}

TEST(LexiconTest, RefusesAFileWithoutEntries) {
  EXPECT_THAT(Lexicon::Parse("l.tsv", "\n \n"),
              StatusIs(StatusCode::kInvalidArgument, "l.tsv holds no entry"));
}

class LexiconCacheTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(directory_, MakeTemporaryDirectory("attune-lexicon"));
  }
  void TearDown() override { EXPECT_OK(RemoveAll(directory_)); }
  std::string Path(const std::string& name) const { return JoinPath(directory_, name); }

  std::string directory_;
  LexiconCache cache_;
};

TEST_F(LexiconCacheTest, KeepsWhatItParsedAndSeesAChangedFile) {
  ASSERT_OK(WriteFile(Path("l.tsv"), "a\t1\n"));
  ASSERT_OK_AND_ASSIGN(const auto first, cache_.Load(Path("l.tsv")));
  ASSERT_OK_AND_ASSIGN(const auto second, cache_.Load(Path("l.tsv")));
  EXPECT_EQ(first, second);
  ASSERT_OK(WriteFile(Path("l.tsv"), "a\t2\n"));  // same size, perhaps the same second
  ASSERT_OK_AND_ASSIGN(const auto changed, cache_.Load(Path("l.tsv")));
  EXPECT_EQ(changed->Score("a"), 2.0);
}

TEST_F(LexiconCacheTest, ForgetsTheOneUsedLongestAgo) {
  for (size_t i = 0; i <= LexiconCache::kLexiconsMax; ++i) {
    ASSERT_OK(WriteFile(Path(absl::StrCat(i)), absl::StrCat("a\t", i)));
  }
  ASSERT_OK_AND_ASSIGN(const auto zero, cache_.Load(Path("0")));
  ASSERT_OK_AND_ASSIGN(const auto one, cache_.Load(Path("1")));
  for (size_t i = 2; i <= LexiconCache::kLexiconsMax; ++i) {
    ASSERT_OK_AND_ASSIGN(const auto zero_again, cache_.Load(Path("0")));
    EXPECT_EQ(zero_again, zero);
    ASSERT_OK(cache_.Load(Path(absl::StrCat(i))));
  }
  ASSERT_OK_AND_ASSIGN(const auto one_again, cache_.Load(Path("1")));
  EXPECT_NE(one_again, one);
}

TEST_F(LexiconCacheTest, RefusesAFileThatIsNotThere) {
  EXPECT_THAT(cache_.Load(Path("none.tsv")),
              StatusIs(StatusCode::kInvalidArgument, "none.tsv: there is no such file"));
  EXPECT_THAT(cache_.Load(directory_), StatusIs(StatusCode::kInvalidArgument, "no such file"));
}

}  // namespace
}  // namespace attune
