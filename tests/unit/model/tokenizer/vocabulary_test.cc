#include "model/tokenizer/vocabulary.h"

#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tokenizer/json_fixture.h"

namespace attune {
namespace {

TEST(VocabularyTest, KnowsItsTokens) {
  const JsonFixture fixture(R"({"a": 0, "b": 5})");
  ASSERT_OK_AND_ASSIGN(Vocabulary parsed, Vocabulary::Parse(fixture.json()));
  const Vocabulary vocabulary = std::move(parsed);
  EXPECT_EQ(vocabulary.IdOf("b"), 5);
  EXPECT_EQ(vocabulary.IdOf("c"), std::nullopt);
  EXPECT_EQ(*vocabulary.TokenOf(5), "b");
  EXPECT_EQ(vocabulary.TokenOf(3), nullptr);
  EXPECT_EQ(vocabulary.TokenOf(-1), nullptr);
  EXPECT_EQ(vocabulary.TokenOf(6), nullptr);
  EXPECT_EQ(vocabulary.token_count(), 2);
  EXPECT_EQ(vocabulary.id_end(), 6);
}

TEST(VocabularyTest, RefusesWhatIsNoId) {
  for (const char* json :
       {R"({"a": -1})", R"({"a": 99999999})", R"({"a": "0"})", R"({"a": 0.5})"}) {
    const JsonFixture fixture(json);
    EXPECT_THAT(Vocabulary::Parse(fixture.json()), StatusIs(absl::StatusCode::kInvalidArgument,
                                                            "component.a: expected a whole number"))
        << json;
  }
  EXPECT_THAT(Vocabulary::Parse(JsonFixture("[]").json()),
              StatusIs(absl::StatusCode::kInvalidArgument, "not an object"));
}

}  // namespace
}  // namespace attune
