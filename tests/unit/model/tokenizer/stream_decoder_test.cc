#include "model/tokenizer/stream_decoder.h"

#include <cstdint>
#include <string>
#include <vector>

#include "common/files.h"
#include "common/rng.h"
#include "gtest/gtest.h"
#include "model/tokenizer/utf8.h"
#include "nlohmann/json.hpp"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

using Ids = std::vector<int32_t>;

std::string Streamed(const Tokenizer& tokenizer, const Ids& prompt, const Ids& completion) {
  StreamDecoder decoder(&tokenizer, prompt);
  std::string text;
  for (int32_t id : completion) {
    const std::string part = decoder.Push(id);
    EXPECT_TRUE(IsValidUtf8(part));
    text += part;
  }
  return text + decoder.Finish();
}

// Cuts `ids` into prompt and completion everywhere.
void ExpectEqualToDecodingAtOnce(const Tokenizer& tokenizer, const Ids& ids) {
  EXPECT_EQ(Streamed(tokenizer, {}, ids), tokenizer.Decode(ids, /*skip_special_tokens=*/true));
  for (size_t cut = 0; cut <= ids.size(); ++cut) {
    const auto middle = ids.begin() + static_cast<ptrdiff_t>(cut);
    const Ids prompt(ids.begin(), middle);
    const Ids completion(middle, ids.end());
    ASSERT_EQ(Streamed(tokenizer, prompt, completion),
              DecodeCompletion(tokenizer, prompt, completion, {}))
        << cut << " of " << testing::PrintToString(ids);
  }
}

struct Case {
  std::string tokenizer;
  std::string golden;
};

class StreamDecoderTest : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(tokenizer_, Tokenizer::Load(ATTUNE_SOURCE_DIR + GetParam().tokenizer));
  }

  std::unique_ptr<const Tokenizer> tokenizer_;
};

TEST_P(StreamDecoderTest, EqualsDecodingAtOnce) {
  ASSERT_OK_AND_ASSIGN(const std::string bytes, ReadFile(ATTUNE_SOURCE_DIR + GetParam().golden));
  const nlohmann::json golden = nlohmann::json::parse(bytes);
  EXPECT_GT(golden["cases"].size(), 10u);
  for (const nlohmann::json& one : golden["cases"]) {
    Ids ids = one["ids"];
    if (ids.size() > 60) ids.resize(60);
    ExpectEqualToDecodingAtOnce(*tokenizer_, ids);
  }
}

// Random ids are mostly broken characters, and sometimes none that exist.
TEST_P(StreamDecoderTest, EqualsDecodingAtOnceForAnyIds) {
  for (int trial = 0; trial < 100; ++trial) {
    // The first ids of most vocabularies are special tokens and bytes.
    const auto id_end = static_cast<uint64_t>(trial % 2 == 0 ? tokenizer_->vocab_size() + 2 : 262);
    const CounterRng rng(static_cast<uint64_t>(trial));
    Ids ids(rng.Below(0, 24));
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(rng.Below(i + 1, id_end));
    ExpectEqualToDecodingAtOnce(*tokenizer_, ids);
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, StreamDecoderTest,
    testing::Values(
        Case{"/models/stories260k", "/tests/data/tokenizers/stories260k.json"},
        Case{"/tests/data/tokenizers/gpt2", "/tests/data/tokenizers/gpt2/golden.json"},
        Case{"/tests/data/tokenizers/split_regex",
             "/tests/data/tokenizers/split_regex/golden.json"},
        Case{"/tests/data/tokenizers/metaspace", "/tests/data/tokenizers/metaspace/golden.json"},
        Case{"/tests/data/tokenizers/characters", "/tests/data/tokenizers/characters/golden.json"},
        Case{"/tests/data/tokenizers/words", "/tests/data/tokenizers/words/golden.json"}));

TEST(StreamDecoderTextTest, GivesEachTokenAsItComes) {
  ASSERT_OK_AND_ASSIGN(const auto tokenizer,
                       Tokenizer::Load(ATTUNE_SOURCE_DIR "/models/stories260k"));
  const Ids prompt = tokenizer->Encode("Once upon a time", true);
  StreamDecoder decoder(tokenizer.get(), prompt);
  std::vector<std::string> parts;
  for (int32_t id : EncodeCompletion(*tokenizer, "Once upon a time", prompt, " the dog was")) {
    parts.push_back(decoder.Push(id));
  }
  EXPECT_EQ(parts, (std::vector<std::string>{" the", " do", "g", " was"}));
  EXPECT_EQ(decoder.Finish(), "");
}

TEST(StreamDecoderTextTest, HoldsBackACharacterUntilItIsWhole) {
  ASSERT_OK_AND_ASSIGN(const auto tokenizer,
                       Tokenizer::Load(ATTUNE_SOURCE_DIR "/tests/data/tokenizers/gpt2"));
  const Ids ids = tokenizer->Encode("\U0001F600!", false);
  ASSERT_GT(ids.size(), 2u);
  StreamDecoder decoder(tokenizer.get(), {});
  std::string text;
  for (size_t i = 0; i + 2 < ids.size(); ++i) EXPECT_EQ(decoder.Push(ids[i]), "");
  EXPECT_EQ(decoder.Push(ids[ids.size() - 2]), "\U0001F600");
  EXPECT_EQ(decoder.Push(ids.back()), "!");
}

}  // namespace
}  // namespace attune
