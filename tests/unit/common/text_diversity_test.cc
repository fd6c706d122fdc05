#include "common/text_diversity.h"

#include <cmath>
#include <vector>

#include "gtest/gtest.h"

namespace attune {
namespace {

using Texts = std::vector<std::string>;

TEST(TextDiversityTest, DistinctNgramsAreCountedWithinTexts) {
  const Texts texts = {"the dog ran the dog", "the  dog\n"};
  EXPECT_DOUBLE_EQ(DistinctNgrams(texts, 2), 3.0 / 5);  // the-dog three times, dog-ran, ran-the
  EXPECT_DOUBLE_EQ(DistinctNgrams(texts, 1), 3.0 / 7);
  EXPECT_DOUBLE_EQ(DistinctNgrams(texts, 6), 0);
  EXPECT_DOUBLE_EQ(DistinctNgrams({}, 2), 0);
}

TEST(TextDiversityTest, SelfBleuOfTheSameTextIsOne) {
  EXPECT_NEAR(SelfBleu(Texts(3, "once upon a time there was")), 1, 1e-12);
  EXPECT_NEAR(SelfBleu(Texts(2, "yes")), 1, 1e-12);
}

// a b c d against a b x y: 2 of 4 words, 1 of 3 pairs, and nothing of 2 triples and 1 quadruple,
// which count as 1/4 and 1/2.
TEST(TextDiversityTest, SelfBleuIsTheGeometricMeanOfThePrecisions) {
  const double expected = std::pow(0.5 * (1.0 / 3) * 0.25 * 0.5, 0.25);
  EXPECT_NEAR(SelfBleu(Texts{"a b c d", "a b x y"}), expected, 1e-12);
}

// "a b" against "a b c d": all its n-grams match, exp(1 - 4/2) for its brevity. The other way
// round 2/4, 1/3, and 1/4, 1/2 for no match.
TEST(TextDiversityTest, SelfBleuPunishesBrevity) {
  const double longer = std::pow(0.5 * (1.0 / 3) * 0.25 * 0.5, 0.25);
  EXPECT_NEAR(SelfBleu(Texts{"a b", "a b c d"}), (std::exp(-1.0) + longer) / 2, 1e-12);
}

TEST(TextDiversityTest, SelfBleuClipsRepeatedWords) {
  // "a a" finds one "a" of its two, and no "a a".
  EXPECT_NEAR(SelfBleu(Texts{"a a", "a b"}), std::sqrt(0.5 * 0.5), 1e-12);
}

TEST(TextDiversityTest, SelfBleuNeedsTwoTextsWithWords) {
  EXPECT_EQ(SelfBleu({}), 0);
  EXPECT_EQ(SelfBleu(Texts{"alone", "  "}), 0);
}

}  // namespace
}  // namespace attune
