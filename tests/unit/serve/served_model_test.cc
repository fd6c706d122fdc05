#include "serve/served_model.h"

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

using absl::StatusCode;

const char kModel[] = ATTUNE_SOURCE_DIR "/models/stories260k";

TEST(ServedModelTest, IsKnownByItsDirectoryAndWeights) {
  ASSERT_OK_AND_ASSIGN(const ServedModel exact, LoadServedModel(kModel, "", std::nullopt));
  ASSERT_OK_AND_ASSIGN(const ServedModel rounded,
                       LoadServedModel(kModel, "tales", TensorType::kBf16));
  EXPECT_EQ(exact.name, "stories260k");
  EXPECT_EQ(rounded.name, "tales");
  EXPECT_EQ(rounded.fingerprint, exact.fingerprint + "_bf16");
}

TEST(ServedModelTest, SaysWhatIsMissing) {
  EXPECT_THAT(LoadServedModel(ATTUNE_SOURCE_DIR "/models", "", std::nullopt),
              StatusIs(StatusCode::kNotFound, "cannot serve the model"));
}

TEST(ServedModelTest, TextsGetTheSpecialTokensAndIdsStay) {
  ASSERT_OK_AND_ASSIGN(const ServedModel model, LoadServedModel(kModel, "", std::nullopt));
  ApiRequest request;
  request.prompts = {"Once", std::vector<int32_t>{5, 6}};
  ASSERT_OK_AND_ASSIGN(const auto ids, EncodePrompts(model, request));
  ASSERT_EQ(ids.size(), 2u);
  EXPECT_EQ(ids[0].front(), 1);  // <s>
  EXPECT_EQ(ids[1], std::vector<int32_t>({5, 6}));
}

TEST(ServedModelTest, ChatsNeedATemplate) {
  ASSERT_OK_AND_ASSIGN(const ServedModel model, LoadServedModel(kModel, "", std::nullopt));
  ApiRequest request;
  request.is_chat = true;
  request.messages_json = R"([{"role": "user", "content": "Hi"}])";
  EXPECT_THAT(EncodePrompts(model, request),
              StatusIs(StatusCode::kInvalidArgument, "use /v1/completions"));
}

TEST(ServedModelTest, TokensKeepTheirSpacesAndSpecialOnesTheirNames) {
  ASSERT_OK_AND_ASSIGN(const ServedModel model, LoadServedModel(kModel, "", std::nullopt));
  const std::vector<int32_t> ids =
      model.tokenizer->Encode("there was", /*add_special_tokens=*/false);
  ASSERT_EQ(ids.size(), 2u);
  EXPECT_EQ(TokenText(*model.tokenizer, ids[0], ids[1]), " was");
  EXPECT_EQ(TokenText(*model.tokenizer, ids[0], 2), "</s>");
}

}  // namespace
}  // namespace attune
