#include "model/tokenizer/bpe.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tokenizer/json_fixture.h"

namespace attune {
namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

std::vector<int32_t> Encode(const std::string& json, const std::string& piece) {
  const JsonFixture fixture(json);
  const auto bpe = Bpe::Parse(fixture.json());
  EXPECT_OK(bpe);
  std::vector<int32_t> ids;
  Bpe::Workspace workspace;
  if (bpe.ok()) bpe->Encode(piece, &workspace, &ids);
  return ids;
}

constexpr char kAbc[] =
    R"("vocab": {"a": 0, "b": 1, "c": 2, "ab": 3, "bc": 4, "abc": 5, "aa": 6, "?": 7})";

std::string Model(const std::string& rest) {
  return absl::StrCat(R"({"type": "BPE", )", kAbc, ", ", rest, "}");
}

using Ids = std::vector<int32_t>;

TEST(BpeTest, MergesByRankThenFromTheLeft) {
  EXPECT_EQ(Encode(Model(R"("merges": ["a b", "b c"])"), "abc"), (Ids{3, 2}));
  EXPECT_EQ(Encode(Model(R"("merges": ["b c", "a b"])"), "abc"), (Ids{0, 4}));
  EXPECT_EQ(Encode(Model(R"("merges": ["b c", "a bc"])"), "abcab"), (Ids{5, 0, 1}));
  EXPECT_EQ(Encode(Model(R"("merges": ["a a"])"), "aaaaa"), (Ids{6, 6, 0}));
}

TEST(BpeTest, ReadsBothNotationsOfMerges) {
  EXPECT_EQ(Encode(Model(R"("merges": ["#version: 0.2", "a b"])"), "ab"), (Ids{3}));
  EXPECT_EQ(Encode(Model(R"("merges": [["a", "b"], ["ab", "c"]])"), "abc"), (Ids{5}));
}

TEST(BpeTest, IgnoreMergesTakesWholeTokens) {
  EXPECT_EQ(Encode(Model(R"("merges": [], "ignore_merges": true)"), "abc"), (Ids{5}));
  EXPECT_EQ(Encode(Model(R"("merges": [], "ignore_merges": false)"), "abc"), (Ids{0, 1, 2}));
}

TEST(BpeTest, UnknownCharactersAreFusedSeparateOrGone) {
  EXPECT_EQ(Encode(Model(R"("merges": [], "unk_token": "?", "fuse_unk": true)"), "axyb"),
            (Ids{0, 7, 1}));
  EXPECT_EQ(Encode(Model(R"("merges": [], "unk_token": "?", "fuse_unk": false)"), "axyb"),
            (Ids{0, 7, 7, 1}));
  EXPECT_EQ(Encode(Model(R"("merges": [])"), "axyb"), (Ids{0, 1}));
}

TEST(BpeTest, FallsBackToBytesIfAllAreThere) {
  const std::string json = R"({"type": "BPE", "byte_fallback": true, "unk_token": "?",
      "vocab": {"?": 0, "<0xC3>": 1, "<0xA9>": 2, "<0xE4>": 3, "a": 4}, "merges": []})";
  EXPECT_EQ(Encode(json, "aéa"), (Ids{4, 1, 2, 4}));
  EXPECT_EQ(Encode(json, "中"), (Ids{0}));
  EXPECT_EQ(Encode(json, "中éa"), (Ids{1, 2, 0, 4}));  // the library's order
}

TEST(BpeTest, PrefixAndSuffixMarkTheInsideOfAWord) {
  const std::string json = R"({"type": "BPE", "continuing_subword_prefix": "##",
      "end_of_word_suffix": "</w>", "vocab": {"a": 0, "##b": 1, "##c</w>": 2, "ab": 3,
      "abc</w>": 4, "a</w>": 5}, "merges": [["a", "##b"], ["ab", "##c</w>"]]})";
  EXPECT_EQ(Encode(json, "abc"), (Ids{4}));
  EXPECT_EQ(Encode(json, "a"), (Ids{5}));
}

// Merges the lowest-ranked leftmost pair again and again, as the definition says.
Ids SlowMerge(Ids ids, const std::map<std::pair<int, int>, std::pair<int, int>>& merges) {
  while (true) {
    int best_rank = -1;
    size_t best = 0;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto merge = merges.find({ids[i], ids[i + 1]});
      if (merge == merges.end()) continue;
      if (best_rank >= 0 && merge->second.first >= best_rank) continue;
      best_rank = merge->second.first;
      best = i;
    }
    if (best_rank < 0) return ids;
    ids[best] = merges.at({ids[best], ids[best + 1]}).second;
    ids.erase(ids.begin() + static_cast<ptrdiff_t>(best) + 1);
  }
}

TEST(BpeTest, AgreesWithTheSlowDefinition) {
  // All merges of a and b up to length 4, in an arbitrary order.
  const JsonFixture fixture(R"({"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "ba": 3, "aa": 4,
      "aba": 5, "abab": 6, "baa": 7, "bb": 8, "abba": 9, "aaab": 10},
      "merges": ["b a", "a a", "ab a", "a b", "ba a", "ab ba", "aba b", "aa ab", "a ba", "b b",
                 "ab ab"]})");
  const auto bpe = Bpe::Parse(fixture.json());
  ASSERT_OK(bpe);
  const std::map<std::pair<int, int>, std::pair<int, int>> merges = {
      {{1, 0}, {0, 3}}, {{0, 0}, {1, 4}}, {{2, 0}, {2, 5}}, {{0, 1}, {3, 2}},
      {{3, 0}, {4, 7}}, {{2, 3}, {5, 9}}, {{5, 1}, {6, 6}}, {{4, 2}, {7, 10}},
      {{0, 3}, {8, 5}}, {{1, 1}, {9, 8}}, {{2, 2}, {10, 6}}};
  Bpe::Workspace workspace;
  for (uint32_t bits = 1; bits < (1u << 14); ++bits) {
    std::string piece;
    Ids symbols;
    for (uint32_t rest = bits; rest > 1; rest >>= 1) {
      piece.push_back(rest & 1 ? 'b' : 'a');
      symbols.push_back(rest & 1);
    }
    if (piece.empty()) continue;
    Ids ids;
    bpe->Encode(piece, &workspace, &ids);
    ASSERT_EQ(ids, SlowMerge(symbols, merges)) << piece;
  }
}

TEST(BpeTest, RefusesBrokenModels) {
  for (const auto& [json, words] : std::vector<std::pair<std::string, std::string>>{
           {R"({"type": "BPE", "merges": []})", "vocab: missing"},
           {R"({"type": "BPE", "vocab": {"a": 0}})", "merges: missing"},
           {R"({"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]})", "'b'"},
           {R"({"type": "BPE", "vocab": {"a": 0}, "merges": ["a a"]})", "needs 'aa'"},
           {R"({"type": "BPE", "vocab": {"a": 0}, "merges": ["aa"]})", "not two tokens"},
           {R"({"type": "BPE", "vocab": {"a": 0}, "merges": [["a"]]})", "merge 0"},
           {R"({"type": "BPE", "vocab": {}, "merges": [], "dropout": 0.1})", "dropout"},
           {R"({"type": "BPE", "vocab": {}, "merges": [], "fuse_unk": 1})", "fuse_unk"}}) {
    const JsonFixture fixture(json);
    EXPECT_THAT(Bpe::Parse(fixture.json()), StatusIs(kInvalid, words)) << json;
  }
}

}  // namespace
}  // namespace attune
