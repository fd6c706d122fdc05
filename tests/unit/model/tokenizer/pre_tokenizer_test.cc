#include "model/tokenizer/pre_tokenizer.h"

#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "model/tokenizer/utf8.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tokenizer/json_fixture.h"

namespace attune {
namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// The pieces, separated by bars; `at_origin`: the text begins the whole input.
std::string Pieces(const std::string& json, const std::string& text, bool at_origin = true) {
  const JsonFixture fixture(json);
  const auto pre_tokenizer = PreTokenizer::Parse(fixture.json());
  if (!pre_tokenizer.ok()) return std::string(pre_tokenizer.status().message());
  const size_t origin =
      at_origin && !text.empty() ? SequenceLength(static_cast<unsigned char>(text[0])) : 0;
  const TextPieces pieces = pre_tokenizer->Apply({text, origin});
  std::vector<absl::string_view> shown;
  for (const TextSpan& span : pieces.pieces) {
    shown.push_back(absl::string_view(pieces.whole.text).substr(span.begin, span.size()));
  }
  return absl::StrJoin(shown, "|");
}

TEST(PreTokenizerTest, NoneKeepsTheTextWhole) {
  EXPECT_EQ(Pieces("null", "a b"), "a b");
  EXPECT_EQ(Pieces("null", ""), "");
}

TEST(PreTokenizerTest, ByteLevel) {
  EXPECT_EQ(Pieces(R"({"type": "ByteLevel", "add_prefix_space": true})", "It's é\n"),
            "ĠIt|'s|ĠÃ©|Ċ");
  EXPECT_EQ(Pieces(R"({"type": "ByteLevel", "add_prefix_space": true})", " a"), "Ġa");
  EXPECT_EQ(
      Pieces(R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": false})", "a b"),
      "aĠb");
}

TEST(PreTokenizerTest, MetaspacePrependsByScheme) {
  const auto metaspace = [](const std::string& scheme) {
    return R"({"type": "Metaspace", "replacement": "▁", "prepend_scheme": ")" + scheme + R"("})";
  };
  EXPECT_EQ(Pieces(metaspace("always"), "hi  you"), "▁hi|▁|▁you");
  EXPECT_EQ(Pieces(metaspace("always"), " hi"), "▁hi");
  EXPECT_EQ(Pieces(metaspace("always"), "hi", /*at_origin=*/false), "▁hi");
  EXPECT_EQ(Pieces(metaspace("first"), "hi"), "▁hi");
  EXPECT_EQ(Pieces(metaspace("first"), "hi", /*at_origin=*/false), "hi");
  EXPECT_EQ(Pieces(metaspace("never"), "hi you"), "hi|▁you");
  EXPECT_EQ(Pieces(R"({"type": "Metaspace", "replacement": "▁", "split": false})", "hi you"),
            "▁hi▁you");
  EXPECT_EQ(
      Pieces(R"({"type": "Metaspace", "replacement": "_", "add_prefix_space": false})", "hi you"),
      "hi|_you");
}

TEST(PreTokenizerTest, OnlyTheFirstPieceIsAtTheOrigin) {
  EXPECT_EQ(Pieces(R"({"type": "Sequence", "pretokenizers": [
                        {"type": "WhitespaceSplit"},
                        {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first"}]})",
                   "one two"),
            "▁one|two");
}

TEST(PreTokenizerTest, SplitByStringAndRegex) {
  EXPECT_EQ(Pieces(R"({"type": "Split", "pattern": {"String": "-"}, "behavior": "Removed",
                       "invert": false})",
                   "a--b"),
            "a|b");
  EXPECT_EQ(Pieces(R"({"type": "Split", "pattern": {"Regex": "\\p{N}{1,3}"},
                       "behavior": "Isolated", "invert": false})",
                   "a1234"),
            "a|123|4");
  EXPECT_EQ(Pieces(R"({"type": "Split", "pattern": {"Regex": "\\w"}, "behavior": "Removed",
                       "invert": true})",
                   "a-b"),
            "a|b");
}

TEST(PreTokenizerTest, Digits) {
  EXPECT_EQ(Pieces(R"({"type": "Digits", "individual_digits": true})", "a12½"), "a|1|2|½");
  EXPECT_EQ(Pieces(R"({"type": "Digits", "individual_digits": false})", "a12½b"), "a|12½|b");
}

TEST(PreTokenizerTest, WhitespacePunctuationAndWords) {
  EXPECT_EQ(Pieces(R"({"type": "WhitespaceSplit"})", " a,\u3000b \n"), "a,|b");
  EXPECT_EQ(Pieces(R"({"type": "Whitespace"})", "it's a_b, ...ok²"), "it|'|s|a_b|,|...|ok|²");
  EXPECT_EQ(Pieces(R"({"type": "Punctuation"})", "a!?b"), "a|!|?|b");
  EXPECT_EQ(Pieces(R"({"type": "Punctuation", "behavior": "Contiguous"})", "a!?b。"), "a|!?|b|。");
}

TEST(PreTokenizerTest, DelimitersAndLengths) {
  EXPECT_EQ(Pieces(R"({"type": "CharDelimiterSplit", "delimiter": "é"})", "éaébcéé"), "a|bc");
  EXPECT_EQ(Pieces(R"({"type": "FixedLength", "length": 2})", "aéb中c"), "aé|b中|c");
  EXPECT_EQ(Pieces(R"({"type": "BertPreTokenizer"})", " It's  (a)."), "It|'|s|(|a|)|.");
}

TEST(PreTokenizerTest, SequencesCutFinerAndFiner) {
  EXPECT_EQ(Pieces(R"({"type": "Sequence", "pretokenizers": [
                        {"type": "Digits", "individual_digits": true},
                        {"type": "ByteLevel", "add_prefix_space": false}]})",
                   "a 12 b"),
            "a|Ġ|1|2|Ġb");
}

TEST(PreTokenizerTest, RefusesByName) {
  for (const auto& [json, words] : std::vector<std::pair<std::string, std::string>>{
           {R"({"type": "UnicodeScripts"})", "component 'UnicodeScripts' is not supported"},
           {R"({"type": "Sequence", "pretokenizers": [{"type": "Bytes"}]})",
            "pretokenizers[0]: component 'Bytes'"},
           {R"({"type": "CharDelimiterSplit", "delimiter": "ab"})", "one character"},
           {R"({"type": "FixedLength", "length": 0})", "length: a piece must have"},
           {R"({"type": "ByteLevel"})", "add_prefix_space: missing"},
           {R"({"type": "Metaspace", "replacement": "ab"})", "one character"},
           {R"({"type": "Metaspace", "replacement": "_", "prepend_scheme": "last"})", "'last'"},
           {R"({"type": "Split", "pattern": {"String": "-"}, "behavior": "X", "invert": false})",
            "'X'"},
           {R"({"type": "Digits"})", "individual_digits: missing"}}) {
    const JsonFixture fixture(json);
    EXPECT_THAT(PreTokenizer::Parse(fixture.json()), StatusIs(kInvalid, words)) << json;
  }
}

TEST(PreTokenizerTest, RefusesToMakeTextsEndlesslyLong) {
  std::string members = R"({"type": "ByteLevel", "add_prefix_space": false})";
  for (int i = 0; i < 4; ++i) members += ", " + members;
  const JsonFixture fixture(R"({"type": "Sequence", "pretokenizers": [)" + members + "]}");
  EXPECT_THAT(PreTokenizer::Parse(fixture.json()), StatusIs(kInvalid, "times longer"));
}

}  // namespace
}  // namespace attune
