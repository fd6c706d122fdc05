#include "model/tokenizer/normalizer.h"

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tokenizer/json_fixture.h"

namespace attune {
namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

NormalizedText Apply(const std::string& json, const std::string& text, size_t origin_bytes) {
  const JsonFixture fixture(json);
  const auto normalizer = Normalizer::Parse(fixture.json());
  EXPECT_OK(normalizer);
  NormalizedText normalized{text, origin_bytes};
  if (normalizer.ok()) normalizer->Apply(&normalized);
  return normalized;
}
std::string Apply(const std::string& json, const std::string& text) {
  return Apply(json, text, 0).text;
}

TEST(NormalizerTest, EachComponent) {
  EXPECT_EQ(Apply("null", " Á "), " Á ");
  EXPECT_EQ(Apply(R"({"type": "NFC"})", "e\u0301"), "é");
  EXPECT_EQ(Apply(R"({"type": "NFD"})", "é"), "e\u0301");
  EXPECT_EQ(Apply(R"({"type": "NFKC"})", "ﬁ①"), "fi1");
  EXPECT_EQ(Apply(R"({"type": "NFKD"})", "ﬁé"), "fie\u0301");
  EXPECT_EQ(Apply(R"({"type": "Lowercase"})", "ÀB"), "àb");
  EXPECT_EQ(Apply(R"({"type": "StripAccents"})", "e\u0301é"), "eé");
  EXPECT_EQ(Apply(R"({"type": "Prepend", "prepend": "▁"})", "a"), "▁a");
  EXPECT_EQ(Apply(R"({"type": "Prepend", "prepend": "▁"})", ""), "");
  EXPECT_EQ(Apply(R"({"type": "Replace", "pattern": {"String": " "}, "content": "▁"})", " a b"),
            "▁a▁b");
  EXPECT_EQ(Apply(R"({"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": ""})", " a\tb"),
            "ab");
}

TEST(NormalizerTest, ByteLevelWritesBytesAsCharacters) {
  EXPECT_EQ(Apply(R"({"type": "ByteLevel"})", "é a", 2).text, "Ã©Ġa");
  EXPECT_EQ(Apply(R"({"type": "ByteLevel"})", "é a", 2).origin_bytes, 4u);
}

TEST(NormalizerTest, StripsTheSidesAskedFor) {
  const std::string text = "\u3000 a b \n";
  EXPECT_EQ(Apply(R"({"type": "Strip", "strip_left": true, "strip_right": false})", text),
            "a b \n");
  EXPECT_EQ(Apply(R"({"type": "Strip", "strip_left": false, "strip_right": true})", text),
            "\u3000 a b");
  EXPECT_EQ(Apply(R"({"type": "Strip", "strip_left": true, "strip_right": true})", " \n"), "");
}

TEST(NormalizerTest, SequencesApplyInOrder) {
  EXPECT_EQ(Apply(R"({"type": "Sequence", "normalizers": [
                       {"type": "Prepend", "prepend": "X "},
                       {"type": "Sequence", "normalizers": [{"type": "Lowercase"}]},
                       {"type": "Replace", "pattern": {"String": "x"}, "content": "y"}]})",
                  "X"),
            "y y");
}

TEST(NormalizerTest, FollowsTheFirstCharacterOfTheInput) {
  EXPECT_EQ(Apply(R"({"type": "NFKD"})", "ﬁx", 3).origin_bytes, 2u);
  EXPECT_EQ(Apply(R"({"type": "NFC"})", "e\u0301x", 1).origin_bytes, 2u);
  EXPECT_EQ(Apply(R"({"type": "Prepend", "prepend": "▁"})", "ax", 1).origin_bytes, 4u);
  EXPECT_EQ(Apply(R"({"type": "Prepend", "prepend": "▁"})", "ax", 0).origin_bytes, 0u);
  EXPECT_EQ(
      Apply(R"({"type": "Strip", "strip_left": true, "strip_right": true})", " a", 1).origin_bytes,
      0u);
  const std::string spaces = R"({"type": "Replace", "pattern": {"Regex": " +"}, "content": "▁"})";
  EXPECT_EQ(Apply(spaces, " a", 1).origin_bytes, 3u);
  EXPECT_EQ(Apply(spaces, "  a", 1).origin_bytes, 0u);  // the last space is what it stands for
}

TEST(NormalizerTest, RefusesByName) {
  for (const auto& [json, words] : std::vector<std::pair<std::string, std::string>>{
           {R"({"type": "BertNormalizer"})", "component 'BertNormalizer' is not supported"},
           {R"({"type": "Precompiled"})", "'Precompiled'"},
           {R"({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Nmt"}]})",
            "component.normalizers[1]: component 'Nmt' is not supported"},
           {R"({"type": "Sequence"})", "normalizers: missing"},
           {R"({"type": "Strip", "strip_left": 1, "strip_right": true})", "strip_left"},
           {R"({"type": "Replace", "pattern": {"String": "a"}})", "content: missing"},
           {R"(3)", "type: missing"}}) {
    const JsonFixture fixture(json);
    EXPECT_THAT(Normalizer::Parse(fixture.json()), StatusIs(kInvalid, words)) << json;
  }
}

TEST(NormalizerTest, RefusesEndlessNesting) {
  std::string json = R"({"type": "NFC"})";
  for (int i = 0; i < 100; ++i) json = R"({"type": "Sequence", "normalizers": [)" + json + "]}";
  const JsonFixture fixture(json);
  EXPECT_THAT(Normalizer::Parse(fixture.json()), StatusIs(kInvalid, "nested too deep"));
}

TEST(NormalizerTest, RefusesToMakeTextsEndlesslyLong) {
  const std::string doubling =
      R"({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"})";
  std::string members = doubling;
  for (int i = 1; i < 13; ++i) members += ", " + doubling;
  const auto sequence = [](const std::string& list) {
    return R"({"type": "Sequence", "normalizers": [)" + list + "]}";
  };
  EXPECT_EQ(Apply(sequence(members), "a", 0).text.size(), 8192u);
  const JsonFixture fixture(sequence(members + ", " + doubling));
  EXPECT_THAT(Normalizer::Parse(fixture.json()),
              StatusIs(kInvalid, "normalizers[13]: could make a text 16384 times longer"));
}

}  // namespace
}  // namespace attune
