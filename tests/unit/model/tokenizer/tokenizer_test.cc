#include "model/tokenizer/tokenizer.h"

#include <set>
#include <string>
#include <thread>
#include <vector>

#include "common/files.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

using Ids = std::vector<int32_t>;
constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

std::string SourcePath(const std::string& relative) {
  return JoinPath(ATTUNE_SOURCE_DIR, relative);
}

// What the `tokenizers` library itself made of some difficult texts.
struct Golden {
  std::string tokenizer;  // a directory, from the root of the source
  std::string cases;
};

class TokenizerGoldenTest : public testing::TestWithParam<Golden> {};

TEST_P(TokenizerGoldenTest, MatchesTheLibrary) {
  ASSERT_OK_AND_ASSIGN(const auto tokenizer, Tokenizer::Load(SourcePath(GetParam().tokenizer)));
  ASSERT_OK_AND_ASSIGN(const std::string bytes, ReadFile(SourcePath(GetParam().cases)));
  const nlohmann::json golden = nlohmann::json::parse(bytes);
  EXPECT_GT(golden["cases"].size(), 10u);
  for (const nlohmann::json& one : golden["cases"]) {
    const std::string text = one["text"];
    const Ids ids = one["ids"];
    const Ids plain_ids = one["ids_no_special"];
    EXPECT_EQ(tokenizer->Encode(text, true), ids) << one;
    EXPECT_EQ(tokenizer->Encode(text, false), plain_ids) << one;
    EXPECT_EQ(tokenizer->Decode(plain_ids, true), one["decoded"]) << one;
    EXPECT_EQ(tokenizer->Decode(ids, false), one["decoded_with_special"]) << one;
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, TokenizerGoldenTest,
    testing::Values(
        Golden{"models/stories260k", "tests/data/tokenizers/stories260k.json"},
        Golden{"tests/data/tokenizers/gpt2", "tests/data/tokenizers/gpt2/golden.json"},
        // NFC, Split by a regular expression, Digits, ignore_merges, tokens around the text
        Golden{"tests/data/tokenizers/split_regex",
               "tests/data/tokenizers/split_regex/golden.json"},
        // NFKC, Metaspace, bytes for unknown characters, merges as strings
        Golden{"tests/data/tokenizers/metaspace", "tests/data/tokenizers/metaspace/golden.json"},
        // WordLevel with a token for each character
        Golden{"tests/data/tokenizers/characters", "tests/data/tokenizers/characters/golden.json"},
        // Strip, accents, Lowercase, Whitespace, Punctuation, prefix and suffix of subwords
        Golden{"tests/data/tokenizers/words", "tests/data/tokenizers/words/golden.json"}));

class TokenizerTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(directory_, MakeTemporaryDirectory("tokenizer_test"));
  }
  void TearDown() override { EXPECT_OK(RemoveAll(directory_)); }

  absl::StatusOr<std::unique_ptr<const Tokenizer>> LoadText(const std::string& text) {
    EXPECT_OK(WriteFile(JoinPath(directory_, "tokenizer.json"), text));
    return Tokenizer::Load(directory_);
  }

  // A character-level tokenizer of a and b whose other parts are `rest`.
  static std::string Document(const std::string& rest) {
    return R"({"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2,
        "<s>": 3, "</s>": 4}, "merges": ["a b"]}, )" +
           rest + "}";
  }
  static constexpr char kTemplate[] = R"("post_processor": {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}},
                 {"SpecialToken": {"id": "</s>"}}],
      "special_tokens": {"<s>": {"ids": [3]}, "</s>": {"ids": [4]}}})";

  std::string directory_;
};

TEST_F(TokenizerTest, SaysWhatIsMissingOrBroken) {
  EXPECT_THAT(Tokenizer::Load(JoinPath(directory_, "absent")),
              StatusIs(absl::StatusCode::kNotFound, "tokenizer.json"));
  EXPECT_THAT(LoadText(""), StatusIs(kInvalid, "it is not JSON: syntax error"));
  EXPECT_THAT(LoadText(R"({"model": )"), StatusIs(kInvalid, "it is not JSON: syntax error"));
  EXPECT_THAT(LoadText("{\"model\": \"\xFF\"}"),
              StatusIs(kInvalid, "tokenizer.json: it is not JSON: syntax error at byte 11"));
  EXPECT_THAT(LoadText("[]"), StatusIs(kInvalid, "not a JSON object"));
  EXPECT_THAT(LoadText("{}"), StatusIs(kInvalid, "model.type: missing"));
  EXPECT_THAT(LoadText(R"({"version": "2.0"})"), StatusIs(kInvalid, "version"));
}

TEST_F(TokenizerTest, RefusesAPostProcessorThatAddsUnknownTokens) {
  EXPECT_THAT(LoadText(Document(R"("post_processor": {"type": "TemplateProcessing",
                  "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}],
                  "special_tokens": {"<s>": {"ids": [5]}}})")),
              StatusIs(kInvalid, "post_processor: adds token 5, but the vocabulary ends at 4"));
}

TEST_F(TokenizerTest, RefusesUnsupportedComponentsByPlaceAndName) {
  EXPECT_THAT(LoadText(Document(R"("normalizer": {"type": "Nmt"})")),
              StatusIs(kInvalid, "tokenizer.json: normalizer: component 'Nmt'"));
  EXPECT_THAT(LoadText(Document(R"("pre_tokenizer": {"type": "Sequence", "pretokenizers":
                                    [{"type": "UnicodeScripts"}]})")),
              StatusIs(kInvalid, "pre_tokenizer.pretokenizers[0]: component 'UnicodeScripts'"));
  EXPECT_THAT(LoadText(Document(R"("post_processor": {"type": "RobertaProcessing"})")),
              StatusIs(kInvalid, "post_processor: component 'RobertaProcessing'"));
  EXPECT_THAT(LoadText(Document(R"("decoder": {"type": "CTC"})")),
              StatusIs(kInvalid, "decoder: component 'CTC'"));
  EXPECT_THAT(LoadText(R"({"model": {"type": "Unigram", "vocab": []}})"),
              StatusIs(kInvalid, "model: component 'Unigram'"));
}

// Every field of a real file exchanged for values of other types: a Status or a tokenizer, and
// neither a crash nor an exception.
TEST_F(TokenizerTest, SurvivesWrongTypesEverywhere) {
  const std::string path = SourcePath("tests/data/tokenizers/split_regex/tokenizer.json");
  ASSERT_OK_AND_ASSIGN(const std::string bytes, ReadFile(path));
  const nlohmann::json original = nlohmann::json::parse(bytes);
  std::set<std::string> places;
  const nlohmann::json flat = original.flatten();
  for (const auto& [pointer, value] : flat.items()) {
    const bool is_bulk =
        pointer.rfind("/model/vocab/", 0) == 0 || pointer.rfind("/model/merges/1", 0) == 0;
    if (is_bulk) continue;
    for (nlohmann::json::json_pointer place(pointer); !place.empty(); place.pop_back()) {
      places.insert(place.to_string());
    }
  }
  int refused = 0;
  for (const std::string& place : places) {
    for (const char* other : {"null", "-1", "\"\"", "[[]]"}) {
      nlohmann::json changed = original;
      changed[nlohmann::json::json_pointer(place)] = nlohmann::json::parse(other);
      const auto tokenizer = LoadText(changed.dump());
      if (tokenizer.ok()) {
        (*tokenizer)->Decode((*tokenizer)->Encode("the <|end|> 12", true), false);
      } else {
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 100);
}

TEST_F(TokenizerTest, AModelWithoutATypeIsKnownByItsMerges) {
  ASSERT_OK_AND_ASSIGN(
      const auto tokenizer,
      LoadText(R"({"model": {"vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}})"));
  EXPECT_EQ(tokenizer->Encode("aab", false), (Ids{0, 2}));
}

TEST_F(TokenizerTest, EveryCharacterMayBeAToken) {
  ASSERT_OK_AND_ASSIGN(const auto tokenizer, LoadText(R"({
      "added_tokens": [{"content": "<end>", "special": true}],
      "pre_tokenizer": {"type": "Split", "pattern": {"String": ""}, "behavior": "Isolated",
                        "invert": false},
      "decoder": {"type": "Fuse"},
      "model": {"type": "WordLevel", "vocab": {"é": 0, " ": 1, "b": 2, "?": 3},
                "unk_token": "?"}})"));
  EXPECT_EQ(tokenizer->Encode("bé b<end>x", true), (Ids{2, 0, 1, 2, 4, 3}));
  EXPECT_EQ(tokenizer->Decode(Ids{2, 0, 1, 2, 4, 3}, true), "bé b?");
  EXPECT_EQ(tokenizer->vocab_size(), 5);
}

TEST_F(TokenizerTest, LlamaClassesAddTheTokensThatTheConfigurationNames) {
  const auto encode = [&](const std::string& config) {
    EXPECT_OK(WriteFile(JoinPath(directory_, "tokenizer_config.json"), config));
    const auto tokenizer = LoadText(Document(kTemplate));
    EXPECT_OK(tokenizer);
    return tokenizer.ok() ? (*tokenizer)->Encode("a", true) : Ids{};
  };
  const std::string tokens = R"("bos_token": "<s>", "eos_token": {"content": "</s>"})";
  EXPECT_EQ(
      encode(R"({"tokenizer_class": "LlamaTokenizer", "add_bos_token": true, )" + tokens + "}"),
      (Ids{3, 0}));
  EXPECT_EQ(encode(R"({"tokenizer_class": "LlamaTokenizerFast", "add_bos_token": false, )" +
                   tokens + "}"),
            (Ids{0}));
  EXPECT_EQ(
      encode(R"({"tokenizer_class": "GemmaTokenizer", "add_eos_token": true, )" + tokens + "}"),
      (Ids{3, 0, 4}));
  // Others, and a configuration that says nothing, leave it to tokenizer.json.
  EXPECT_EQ(encode(R"({"tokenizer_class": "LlamaTokenizer", )" + tokens + "}"), (Ids{3, 0, 4}));
  EXPECT_EQ(encode(R"({"tokenizer_class": "GPT2Tokenizer", "add_bos_token": false})"),
            (Ids{3, 0, 4}));
  EXPECT_EQ(encode("{}"), (Ids{3, 0, 4}));
}

TEST_F(TokenizerTest, SaysWhatIsWrongInTheConfiguration) {
  const auto load = [&](const std::string& config) {
    EXPECT_OK(WriteFile(JoinPath(directory_, "tokenizer_config.json"), config));
    return LoadText(Document(kTemplate));
  };
  EXPECT_THAT(load("{"), StatusIs(kInvalid, "tokenizer_config.json: it is not JSON: syntax error "
                                            "at byte 1"));
  EXPECT_THAT(load(R"({"tokenizer_class": "LlamaTokenizer", "add_bos_token": "yes"})"),
              StatusIs(kInvalid, "tokenizer_config.json: add_bos_token: expected true or false"));
  EXPECT_THAT(load(R"({"tokenizer_class": "LlamaTokenizer", "add_bos_token": true})"),
              StatusIs(kInvalid, "bos_token: missing"));
  EXPECT_THAT(
      load(R"({"tokenizer_class": "LlamaTokenizer", "add_eos_token": true, "bos_token": "<s>",
               "eos_token": "<end>"})"),
      StatusIs(kInvalid, "eos_token: '<end>' is no token, but add_eos_token is on"));
}

TEST_F(TokenizerTest, InvalidBytesCountAsReplacementCharacters) {
  ASSERT_OK_AND_ASSIGN(const auto tokenizer,
                       Tokenizer::Load(SourcePath("tests/data/tokenizers/gpt2")));
  EXPECT_EQ(tokenizer->Encode("a\xFF\xE4\xB8z", true), tokenizer->Encode("a\uFFFD\uFFFDz", true));
  std::string bytes;
  for (int i = 0; i < 5000; ++i) bytes.push_back(static_cast<char>((i * 7919) >> 3));
  const std::string decoded = tokenizer->Decode(tokenizer->Encode(bytes, true), false);
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode(decoded, true), false), decoded);
}

TEST_F(TokenizerTest, LeavesOutIdsOutOfRange) {
  ASSERT_OK_AND_ASSIGN(const auto tokenizer, LoadText(Document(R"("decoder": {"type": "Fuse"})")));
  EXPECT_EQ(tokenizer->Decode(Ids{-1, 0, 99, 1 << 30, 1}, false), "ab");
  EXPECT_EQ(tokenizer->vocab_size(), 5);
}

TEST_F(TokenizerTest, VocabularyEndsBehindAddedTokens) {
  ASSERT_OK_AND_ASSIGN(const auto tokenizer,
                       LoadText(Document(R"("added_tokens": [{"content": "X"}])")));
  EXPECT_EQ(tokenizer->vocab_size(), 6);
  EXPECT_EQ(tokenizer->Encode("aXb", true), (Ids{0, 5, 1}));
}

TEST_F(TokenizerTest, LongTextsWithoutSpacesAreFine) {
  ASSERT_OK_AND_ASSIGN(const auto tokenizer, Tokenizer::Load(SourcePath("models/stories260k")));
  const std::string text(1 << 18, 'a');
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode(text, false), true), text);
}

TEST_F(TokenizerTest, ThreadsMayShareIt) {
  ASSERT_OK_AND_ASSIGN(const auto tokenizer,
                       Tokenizer::Load(SourcePath("tests/data/tokenizers/gpt2")));
  const std::string text = "It's a shared tokenizer, naïve 中文 12345 <|endoftext|>  !";
  const Ids expected = tokenizer->Encode(text, true);
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        wrong[t] += tokenizer->Encode(text, true) != expected;
        wrong[t] += tokenizer->Decode(expected, false) != text;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

TEST_F(TokenizerTest, CompletionIsTheRestOfTheJointText) {
  ASSERT_OK_AND_ASSIGN(const auto tokenizer, Tokenizer::Load(SourcePath("models/stories260k")));
  const std::string prompt = "Once upon a time,";
  const std::string completion = " there was a cat.";
  const Ids joint = tokenizer->Encode(prompt + completion, true);
  for (bool special : {true, false}) {
    const Ids prompt_ids = tokenizer->Encode(prompt, special);
    const Ids completion_ids = EncodeCompletion(*tokenizer, prompt, prompt_ids, completion);
    Ids all = prompt_ids;
    all.insert(all.end(), completion_ids.begin(), completion_ids.end());
    EXPECT_EQ(all, tokenizer->Encode(prompt + completion, special));
  }
}

TEST_F(TokenizerTest, CompletionAloneWhereTheJointTextMergesAcrossTheBoundary) {
  ASSERT_OK_AND_ASSIGN(const auto tokenizer, LoadText(Document(R"("decoder": null)")));
  EXPECT_EQ(tokenizer->Encode("ab", false), (Ids{2}));
  EXPECT_EQ(EncodeCompletion(*tokenizer, "a", Ids{0}, "bb"), (Ids{1, 1}));
}

TEST_F(TokenizerTest, CompletionHasNoTokensOfThePostProcessor) {
  ASSERT_OK_AND_ASSIGN(const auto tokenizer, LoadText(Document(kTemplate)));
  EXPECT_EQ(tokenizer->Encode("ba", true), (Ids{3, 1, 0, 4}));
  EXPECT_EQ(EncodeCompletion(*tokenizer, "b", Ids{3, 1}, "a"), (Ids{0}));
  EXPECT_EQ(EncodeCompletion(*tokenizer, "", Ids{3}, "ba"), (Ids{1, 0}));
  EXPECT_EQ(EncodeCompletion(*tokenizer, "", Ids{}, "ba"), (Ids{1, 0}));
  EXPECT_EQ(EncodeCompletion(*tokenizer, "b", Ids{3, 1, 4}, "a"), (Ids{0}));  // closed prompt
  EXPECT_EQ(EncodeCompletion(*tokenizer, "b", Ids{3, 1}, ""), (Ids{}));
}

TEST_F(TokenizerTest, DecodedCompletionGoesOnFromTheTextOfThePrompt) {
  ASSERT_OK_AND_ASSIGN(const auto tokenizer,
                       Tokenizer::Load(ATTUNE_SOURCE_DIR "/models/stories260k"));
  const Ids prompt = tokenizer->Encode("Once upon a time", true);
  Ids completion = EncodeCompletion(*tokenizer, "Once upon a time", prompt, " there was a cat.");
  EXPECT_EQ(DecodeCompletion(*tokenizer, prompt, completion, {}), " there was a cat.");
  completion.push_back(2);
  EXPECT_EQ(DecodeCompletion(*tokenizer, prompt, completion, Ids{1, 2}), " there was a cat.");
  EXPECT_EQ(DecodeCompletion(*tokenizer, prompt, {}, Ids{1, 2}), "");
}

}  // namespace
}  // namespace attune
