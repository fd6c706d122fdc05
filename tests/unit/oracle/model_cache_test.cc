#include "oracle/model_cache.h"

#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/oracle/model_directory.h"

namespace attune {
namespace {

using absl::StatusCode;
using testing::ElementsAre;

constexpr char kTemplate[] =
    "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}";

TEST(ModelCacheTest, LoadsADirectoryOnceHoweverManyAsk) {
  const ScratchDirectory directory;
  ASSERT_OK(WriteLanguageModel(directory.path(), /*seed=*/1));
  ModelCache models;
  std::vector<std::shared_ptr<const LoadedModel>> loaded(8);
  std::vector<std::thread> threads;
  for (auto& one : loaded) {
    threads.emplace_back([&] { one = models.Load(directory.path()).value(); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& one : loaded) EXPECT_EQ(one, loaded[0]);
  EXPECT_EQ(loaded[0]->policy->config().num_labels, 0);
}

TEST(ModelCacheTest, LoadsAgainWhatWasReplaced) {
  const ScratchDirectory directory;
  ASSERT_OK(WriteLanguageModel(directory.path(), /*seed=*/1));
  ModelCache models;
  ASSERT_OK_AND_ASSIGN(const auto before, models.Load(directory.path()));
  ASSERT_OK(RemoveAll(directory.File("model.safetensors")));
  ASSERT_OK(WriteLanguageModel(directory.path(), /*seed=*/2));
  ASSERT_OK_AND_ASSIGN(const auto after, models.Load(directory.path()));
  EXPECT_NE(after->digest, before->digest);
  ASSERT_OK(WriteFile(directory.File("chat_template.jinja"), kTemplate));
  ASSERT_OK_AND_ASSIGN(const auto with_template, models.Load(directory.path()));
  EXPECT_NE(with_template->digest, after->digest);
}

TEST(ModelCacheTest, DigestIsOfTheContentAndNotOfThePlace) {
  const ScratchDirectory one, other;
  ASSERT_OK(WriteLanguageModel(one.path(), /*seed=*/1));
  ASSERT_OK(WriteLanguageModel(other.path(), /*seed=*/1));
  ModelCache models;
  ASSERT_OK_AND_ASSIGN(const auto first, models.Load(one.path()));
  ASSERT_OK_AND_ASSIGN(const auto second, models.Load(other.path()));
  EXPECT_EQ(first->digest, second->digest);
  EXPECT_NE(first, second);
}

TEST(ModelCacheTest, HoldsNoMoreThanItsLimit) {
  ModelCache models;
  const ScratchDirectory first;
  ASSERT_OK(WriteLanguageModel(first.path(), /*seed=*/1));
  std::weak_ptr<const LoadedModel> oldest = models.Load(first.path()).value();
  ASSERT_FALSE(oldest.expired());
  for (size_t i = 0; i < ModelCache::kModelsMax; ++i) {
    const ScratchDirectory another;
    ASSERT_OK(WriteLanguageModel(another.path(), /*seed=*/2));
    ASSERT_OK(models.Load(another.path()).status());
  }
  EXPECT_TRUE(oldest.expired());
}

TEST(ModelCacheTest, SaysWhatIsMissing) {
  const ScratchDirectory directory;
  ModelCache models;
  EXPECT_THAT(models.Load(directory.File("absent")),
              StatusIs(StatusCode::kInvalidArgument, "absent"));
  ASSERT_OK(WriteLanguageModel(directory.path(), /*seed=*/1));
  ASSERT_OK(RemoveAll(directory.File("tokenizer.json")));
  EXPECT_THAT(models.Load(directory.path()),
              StatusIs(StatusCode::kInvalidArgument, "tokenizer.json"));
  ASSERT_OK(WriteTokenizer(directory.path()));
  EXPECT_OK(models.Load(directory.path()).status());  // a failure is not kept
}

TEST(ModelCacheTest, RefusesATokenizerOfAnotherModel) {
  const ScratchDirectory directory;
  ModelConfig config = TinyConfig(false);
  config.vocab_size = 60;
  ASSERT_OK(WriteModel(directory.path(), config, TinyWeights(config, 1)));
  ASSERT_OK(WriteTokenizer(directory.path()));
  EXPECT_THAT(ModelCache().Load(directory.path()),
              StatusIs(StatusCode::kInvalidArgument, "vocab_size is 60"));
}

TEST(ModelCacheTest, PromptsAreTextOrWhatTheChatTemplateMakes) {
  const ScratchDirectory directory;
  ASSERT_OK(WriteLanguageModel(directory.path(), /*seed=*/1));
  const std::string messages = R"([{"role": "user", "content": "hi"}])";
  ModelCache models;
  ASSERT_OK_AND_ASSIGN(const auto plain, models.Load(directory.path()));
  ASSERT_OK_AND_ASSIGN(const EncodedPrompt text, EncodePrompt(*plain, "ab", ""));
  EXPECT_EQ(text.text, "ab");
  EXPECT_EQ(text.ids, TokensOf("ab"));
  EXPECT_THAT(EncodePrompt(*plain, "hi", messages),
              StatusIs(StatusCode::kInvalidArgument, "the prompt has messages"));

  ASSERT_OK(WriteFile(directory.File("chat_template.jinja"), kTemplate));
  ASSERT_OK_AND_ASSIGN(const auto chat, models.Load(directory.path()));
  ASSERT_OK_AND_ASSIGN(const EncodedPrompt rendered, EncodePrompt(*chat, "hi", messages));
  EXPECT_EQ(rendered.text, "<user>hi<assistant>");
  EXPECT_EQ(rendered.ids, TokensOf("<user>hi<assistant>"));
}

TEST(ModelCacheTest, ResponsesEndWhenAsked) {
  const ScratchDirectory directory;
  ASSERT_OK(WriteLanguageModel(directory.path(), /*seed=*/1));
  ModelCache models;
  ASSERT_OK_AND_ASSIGN(const auto model, models.Load(directory.path()));
  ASSERT_OK_AND_ASSIGN(const EncodedPrompt prompt, EncodePrompt(*model, "ab", ""));
  EXPECT_EQ(EncodeResponse(*model, prompt, "c", /*ended=*/false), TokensOf("c"));
  EXPECT_THAT(EncodeResponse(*model, prompt, "c", /*ended=*/true),
              ElementsAre(TokensOf("c")[0], 0));
}

}  // namespace
}  // namespace attune
