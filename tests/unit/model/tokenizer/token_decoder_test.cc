#include "model/tokenizer/token_decoder.h"

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tokenizer/json_fixture.h"

namespace attune {
namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

std::string Decode(const std::string& json, std::vector<std::string> tokens) {
  const JsonFixture fixture(json);
  const auto decoder = TokenDecoder::Parse(fixture.json());
  if (!decoder.ok()) return std::string(decoder.status().message());
  return decoder->Apply(std::move(tokens));
}

TEST(TokenDecoderTest, NoneSeparatesTokensBySpaces) {
  EXPECT_EQ(Decode("null", {"a", "b"}), "a b");
  EXPECT_EQ(Decode("null", {}), "");
}

TEST(TokenDecoderTest, ByteLevelSpellsBytes) {
  const std::string json = R"({"type": "ByteLevel"})";
  EXPECT_EQ(Decode(json, {"Ã", "©", "Ġa"}), "é a");
  EXPECT_EQ(Decode(json, {"Ã", "Ġa"}), "\uFFFD a");
  EXPECT_EQ(Decode(json, {"中", "Ġ"}), "中 ");
}

TEST(TokenDecoderTest, ByteFallbackJoinsRunsOfBytes) {
  const std::string json = R"({"type": "ByteFallback"})";
  EXPECT_EQ(Decode(json, {"a", "<0xC3>", "<0xA9>", "b"}), "aéb");
  EXPECT_EQ(Decode(json, {"<0xC3>", "<0xA9>", "<0xC3>", "b"}), "\uFFFD\uFFFD\uFFFDb");
  EXPECT_EQ(Decode(json, {"<0xZZ>", "<0x1>", "<0x0A>"}), "<0xZZ><0x1>\n");
}

TEST(TokenDecoderTest, ReplaceWorksInsideEachToken) {
  EXPECT_EQ(
      Decode(R"({"type": "Replace", "pattern": {"String": "▁"}, "content": " "})", {"▁a▁", "▁b"}),
      " a  b");
  EXPECT_EQ(
      Decode(R"({"type": "Replace", "pattern": {"Regex": "^#+"}, "content": ""})", {"##a", "#b#"}),
      "ab#");
}

TEST(TokenDecoderTest, StripTakesAtMostSoMany) {
  const std::string json = R"({"type": "Strip", "content": "_", "start": 1, "stop": 2})";
  EXPECT_EQ(Decode(json, {"__a___"}), "_a_");
  EXPECT_EQ(Decode(json, {"_", "", "a"}), "a");
}

TEST(TokenDecoderTest, MetaspaceDropsTheSpaceItPrepended) {
  EXPECT_EQ(Decode(R"({"type": "Metaspace", "replacement": "▁"})", {"▁a", "▁b"}), "a b");
  EXPECT_EQ(Decode(R"({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first"})",
                   {"▁a", "▁b"}),
            "a b");
  EXPECT_EQ(Decode(R"({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never"})",
                   {"▁a", "▁b"}),
            " a b");
}

TEST(TokenDecoderTest, SequencesApplyInOrder) {
  EXPECT_EQ(Decode(R"({"type": "Sequence", "decoders": [
                        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                        {"type": "ByteFallback"}, {"type": "Fuse"},
                        {"type": "Strip", "content": " ", "start": 1, "stop": 0}]})",
                   {"▁a", "▁", "<0xC3>", "<0xA9>"}),
            "a é");
}

// The texts that a stream returns for each token and at its end, separated by |.
std::string Streamed(const std::string& json, const std::vector<std::string>& tokens) {
  const JsonFixture fixture(json);
  const auto decoder = TokenDecoder::Parse(fixture.json());
  if (!decoder.ok()) return std::string(decoder.status().message());
  TokenDecoder::Stream stream(&*decoder);
  std::string texts;
  for (const std::string& token : tokens) texts += stream.Push(token) + "|";
  return texts + stream.Finish();
}

TEST(TokenDecoderTest, StreamsWaitForTheRestOfACharacter) {
  const std::string json = R"({"type": "ByteLevel"})";
  EXPECT_EQ(Streamed(json, {"a", "Ã", "©", "Ġb"}), "a||é| b|");
  EXPECT_EQ(Streamed(json, {"Ã", "Ġa", "Ã"}), "|\uFFFD a||\uFFFD");
}

TEST(TokenDecoderTest, StreamsWaitForTheEndOfARunOfBytes) {
  const std::string json = R"({"type": "Sequence", "decoders": [
      {"type": "ByteFallback"}, {"type": "Fuse"}]})";
  EXPECT_EQ(Streamed(json, {"a", "<0xC3>", "<0xA9>", "b"}), "a|||éb|");
  EXPECT_EQ(Streamed(json, {"<0xC3>", "<0xA9>", "<0xC3>"}), "|||\uFFFD\uFFFD\uFFFD");
}

TEST(TokenDecoderTest, StreamsKnowWhichTokenIsTheFirst) {
  EXPECT_EQ(Streamed("null", {"a", "b"}), "a| b|");
  EXPECT_EQ(Streamed(R"({"type": "Metaspace", "replacement": "▁"})", {"▁a", "▁b"}), "a| b|");
  EXPECT_EQ(Streamed(R"({"type": "Strip", "content": " ", "start": 1, "stop": 0})", {" a", " b"}),
            "a|b|");
}

TEST(TokenDecoderTest, StreamsStripBothEndsOfJoinedTokens) {
  EXPECT_EQ(Streamed(R"({"type": "Sequence", "decoders": [{"type": "Fuse"},
                         {"type": "Strip", "content": "_", "start": 2, "stop": 1}]})",
                     {"_", "__", "a_", "_", "b", "__"}),
            "||_a|_|_b|_|");
}

TEST(TokenDecoderTest, StreamsWaitForTheEndWhereAStepNeedsAllTokensJoined) {
  EXPECT_EQ(Streamed(R"({"type": "Sequence", "decoders": [{"type": "Fuse"},
                         {"type": "Replace", "pattern": {"String": "ab"}, "content": "c"}]})",
                     {"a", "b", "a"}),
            "|||ca");
}

TEST(TokenDecoderTest, RefusesByName) {
  for (const auto& [json, words] : std::vector<std::pair<std::string, std::string>>{
           {R"({"type": "WordPiece"})", "component 'WordPiece' is not supported"},
           {R"({"type": "Sequence", "decoders": [{"type": "CTC"}]})",
            "decoders[0]: component 'CTC'"},
           {R"({"type": "BPEDecoder"})", "'BPEDecoder'"},
           {R"({"type": "Strip", "content": " ", "start": -1, "stop": 0})", "start"},
           {R"({"type": "Strip", "content": "ab", "start": 1, "stop": 0})", "one character"},
           {R"({"type": "Metaspace", "replacement": "_", "prepend_scheme": "x"})", "'x'"}}) {
    const JsonFixture fixture(json);
    EXPECT_THAT(TokenDecoder::Parse(fixture.json()), StatusIs(kInvalid, words)) << json;
  }
}

}  // namespace
}  // namespace attune
