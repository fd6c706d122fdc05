#include "model/tokenizer/word_level.h"

#include <cstdint>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tokenizer/json_fixture.h"

namespace attune {
namespace {

using Ids = std::vector<int32_t>;

Ids Encode(const std::string& json, const std::vector<std::string>& pieces) {
  const JsonFixture fixture(json);
  const auto model = WordLevel::Parse(fixture.json());
  EXPECT_OK(model);
  Ids ids;
  for (const std::string& piece : pieces) model->Encode(piece, &ids);
  return ids;
}

TEST(WordLevelTest, PiecesAreTokensOrUnknown) {
  EXPECT_EQ(
      Encode(R"({"vocab": {"a": 0, "bc": 4, "?": 2}, "unk_token": "?"})", {"bc", "a", "b", "é"}),
      (Ids{4, 0, 2, 2}));
}

TEST(WordLevelTest, UnknownPiecesVanishWithoutAnUnknownToken) {
  EXPECT_EQ(Encode(R"({"vocab": {"a": 0}, "unk_token": "<unk>"})", {"b", "a"}), (Ids{0}));
}

TEST(WordLevelTest, RefusesAModelThatIsNotWhole) {
  EXPECT_THAT(WordLevel::Parse(JsonFixture(R"({"unk_token": "?"})").json()),
              StatusIs(absl::StatusCode::kInvalidArgument, "vocab"));
  EXPECT_THAT(WordLevel::Parse(JsonFixture(R"({"vocab": {}})").json()),
              StatusIs(absl::StatusCode::kInvalidArgument, "unk_token"));
}

}  // namespace
}  // namespace attune
