#include "model/tokenizer/added_tokens.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tokenizer/json_fixture.h"

namespace attune {
namespace {

class AddedTokensTest : public testing::Test {
 protected:
  AddedTokensTest()
      : vocabulary_json_(R"({"a": 0, "b": 1, "<s>": 2})"),
        normalizer_json_(R"({"type": "Lowercase"})") {}

  absl::StatusOr<AddedTokens> Parse(const std::string& tokens) {
    const JsonFixture fixture(tokens);
    const auto vocabulary = Vocabulary::Parse(vocabulary_json_.json());
    const auto normalizer = Normalizer::Parse(normalizer_json_.json());
    return AddedTokens::Parse(fixture.json(), *vocabulary, *normalizer);
  }

  // The stretches of `text`, those that are tokens with their ids.
  static std::string Shown(absl::string_view text, const std::vector<AddedSpan>& spans) {
    std::string shown;
    for (const AddedSpan& part : spans) {
      absl::StrAppend(&shown, "[", text.substr(part.span.begin, part.span.size()), "]");
      if (part.id != kNotAdded) absl::StrAppend(&shown, part.id);
    }
    return shown;
  }

  const JsonFixture vocabulary_json_;
  const JsonFixture normalizer_json_;
};

TEST_F(AddedTokensTest, KeepsIdsOfTheModelAndAppendsOthers) {
  const auto added = Parse(R"([{"content": "X", "id": 90, "normalized": false},
                               {"content": "<s>", "special": true}, {"content": "Y"}])");
  ASSERT_OK(added);
  EXPECT_EQ(*added->TokenOf(3), "X");
  EXPECT_EQ(*added->TokenOf(2), "<s>");
  EXPECT_EQ(*added->TokenOf(4), "y");  // looked for, and decoded, as normalised
  EXPECT_EQ(added->TokenOf(0), nullptr);
  EXPECT_EQ(added->id_end(), 5);
  EXPECT_TRUE(added->IsSpecial("<s>"));
  EXPECT_FALSE(added->IsSpecial("X"));
}

TEST_F(AddedTokensTest, LooksBeforeOrAfterNormalisation) {
  const auto added = Parse(R"([{"content": "X", "normalized": false}, {"content": "Y"}])");
  ASSERT_OK(added);
  EXPECT_EQ(Shown("aXbYx", added->SplitRaw("aXbYx")), "[a][X]3[bYx]");
  EXPECT_EQ(Shown("aby", added->SplitNormalized("aby")), "[ab][y]4");
}

// As in the library, for tokens that are themselves whitespace.
TEST_F(AddedTokensTest, WhitespaceTakenByTheTokenBeforeIsGone) {
  const std::string text = "      a";
  const auto both = Parse(R"([{"content": "  ", "normalized": false, "lstrip": true,
                               "rstrip": true}])");
  ASSERT_OK(both);
  EXPECT_EQ(Shown(text, both->SplitRaw(text)), "[      ]3[a]");
  const auto left = Parse(R"([{"content": "  ", "normalized": false, "lstrip": true}])");
  ASSERT_OK(left);
  EXPECT_EQ(Shown(text, left->SplitRaw(text)), "[  ]3[  ]3[  ]3[a]");
}

TEST_F(AddedTokensTest, TakesWhitespaceAsTold) {
  const auto added = Parse(R"([{"content": "L", "normalized": false, "lstrip": true},
                               {"content": "R", "normalized": false, "rstrip": true}])");
  ASSERT_OK(added);
  const std::string text = "a \u3000L b R \n L";
  EXPECT_EQ(Shown(text, added->SplitRaw(text)), "[a][ \u3000L]3[ b ][R \n ]4[L]3");
}

TEST_F(AddedTokensTest, SingleWordsStandAlone) {
  const auto added = Parse(R"([{"content": "word", "normalized": false, "single_word": true}])");
  ASSERT_OK(added);
  const std::string text = "word swords,word éword word_";
  EXPECT_EQ(Shown(text, added->SplitRaw(text)), "[word]3[ swords,][word]3[ éword word_]");
}

TEST_F(AddedTokensTest, MissingMeansNone) {
  const auto added = Parse("null");
  ASSERT_OK(added);
  EXPECT_EQ(Shown("a<s>", added->SplitRaw("a<s>")), "[a<s>]");
  EXPECT_EQ(Shown("", added->SplitRaw("")), "");
  EXPECT_EQ(added->id_end(), 0);
}

TEST_F(AddedTokensTest, RefusesWrongTypes) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_THAT(Parse("{}"), StatusIs(kInvalid, "expected an array"));
  EXPECT_THAT(Parse(R"([{"id": 1}])"), StatusIs(kInvalid, "component[0].content: missing"));
  EXPECT_THAT(Parse(R"([{"content": "a", "special": "yes"}])"), StatusIs(kInvalid, "special"));
}

}  // namespace
}  // namespace attune
