#include "model/tokenizer/stop_texts.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/rng.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

using Ids = std::vector<int32_t>;
using Texts = std::vector<std::string>;

struct Outcome {
  size_t tokens;  // that were pushed, the last one included
  int64_t begin;
  std::string shown;  // what TakeText gave, joined

  friend bool operator==(const Outcome&, const Outcome&) = default;
};

std::ostream& operator<<(std::ostream& out, const Outcome& outcome) {
  return out << outcome.tokens << " tokens, begin " << outcome.begin << ", '" << outcome.shown
             << "'";
}

int64_t FirstIn(const std::string& text, const Texts& stops) {
  size_t first = std::string::npos;
  for (const std::string& stop : stops) first = std::min(first, text.find(stop));
  return first == std::string::npos ? -1 : static_cast<int64_t>(first);
}

Outcome Feed(const Tokenizer& tokenizer, const Ids& prompt, const Ids& response,
             const Texts& stops) {
  StopTexts stop(&tokenizer, prompt, stops);
  Outcome outcome = {0, -1, ""};
  bool stopped = false;
  while (!stopped && outcome.tokens < response.size()) {
    stopped = stop.Push(response[outcome.tokens++]);
    outcome.shown += stop.TakeText();
  }
  if (!stopped) {
    stopped = stop.Finish();
    outcome.shown += stop.TakeText();
  }
  EXPECT_EQ(stopped, stop.begin() >= 0);
  outcome.begin = stop.begin();
  return outcome;
}

// Decodes everything after every token.
Outcome Reference(const Tokenizer& tokenizer, const Ids& prompt, const Ids& response,
                  const Texts& stops) {
  std::string text;
  for (size_t tokens = 1; tokens <= response.size(); ++tokens) {
    StreamDecoder decoder(&tokenizer, prompt);
    text.clear();
    for (size_t i = 0; i < tokens; ++i) text += decoder.Push(response[i]);
    const int64_t begin = FirstIn(text, stops);
    if (begin >= 0) return {tokens, begin, text.substr(0, static_cast<size_t>(begin))};
  }
  text = DecodeCompletion(tokenizer, prompt, response, {});
  const int64_t begin = FirstIn(text, stops);
  return {response.size(), begin, begin < 0 ? text : text.substr(0, static_cast<size_t>(begin))};
}

// Pieces of `text`, of which most occur in it, and some do not.
Texts RandomStops(const std::string& text, const CounterRng& rng) {
  Texts stops;
  for (uint64_t s = 0; s < 1 + rng.Below(0, 4); ++s) {
    const uint64_t size = 1 + rng.Below(4 * s + 1, 9);
    std::string stop = text.substr(rng.Below(4 * s + 2, text.size()), size);
    if (rng.Below(4 * s + 3, 3) == 0) stop += "~";
    stops.push_back(stop);
  }
  return stops;
}

class StopTextsTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(tokenizer_, Tokenizer::Load(ATTUNE_SOURCE_DIR + GetParam()));
  }

  std::unique_ptr<const Tokenizer> tokenizer_;
};

TEST_P(StopTextsTest, FindsWhatDecodingEverythingFinds) {
  int stopped = 0;
  for (uint64_t trial = 0; trial < 400; ++trial) {
    const CounterRng rng({trial});
    // The first ids of most vocabularies are bytes and single characters: many borders.
    const auto id_end = static_cast<uint64_t>(trial % 2 == 0 ? tokenizer_->vocab_size() : 262);
    Ids ids(2 + rng.Below(100, 30));
    for (size_t i = 0; i < ids.size(); ++i) {
      ids[i] = static_cast<int32_t>(rng.Below(200 + i, id_end));
    }
    const auto cut = ids.begin() + static_cast<ptrdiff_t>(rng.Below(101, ids.size()));
    const Ids prompt(ids.begin(), cut), response(cut, ids.end());
    const std::string text = DecodeCompletion(*tokenizer_, prompt, response, {});
    if (text.empty()) continue;
    const Texts stops = RandomStops(text, rng);
    const Outcome outcome = Feed(*tokenizer_, prompt, response, stops);
    ASSERT_EQ(Reference(*tokenizer_, prompt, response, stops), outcome) << "trial " << trial;
    stopped += outcome.begin >= 0;
  }
  EXPECT_GT(stopped, 100);
}

INSTANTIATE_TEST_SUITE_P(All, StopTextsTest,
                         testing::Values("/models/stories260k", "/tests/data/tokenizers/gpt2",
                                         "/tests/data/tokenizers/metaspace",
                                         "/tests/data/tokenizers/characters"));

class Gpt2StopTextsTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(tokenizer_,
                         Tokenizer::Load(ATTUNE_SOURCE_DIR "/tests/data/tokenizers/gpt2"));
  }
  Outcome FeedText(const std::string& text, const Texts& stops) {
    return Feed(*tokenizer_, {}, tokenizer_->Encode(text, false), stops);
  }

  std::unique_ptr<const Tokenizer> tokenizer_;
};

TEST_F(Gpt2StopTextsTest, EndsBeforeTheStopText) {
  EXPECT_EQ(FeedText("one\n\ntwo", {"\n\n"}).shown, "one");
  EXPECT_EQ(FeedText("one\n\ntwo", {"\n\n"}).begin, 3);
}

TEST_F(Gpt2StopTextsTest, FindsTheFirstOfSeveral) {
  EXPECT_EQ(FeedText("a question: an answer", {"answer", ": an", "tion:"}).begin, 6);
}

TEST_F(Gpt2StopTextsTest, FindsATextThatOverlapsItsOwnBeginning) {
  EXPECT_EQ(FeedText("xaabaaab", {"aaab"}).begin, 4);
}

TEST_F(Gpt2StopTextsTest, FindsACharacterOfManyTokens) {
  const Outcome outcome = FeedText("hm \U0001F600!", {"\U0001F600"});
  EXPECT_EQ(outcome.begin, 3);
  EXPECT_EQ(outcome.shown, "hm ");
}

TEST_F(Gpt2StopTextsTest, DoesNotFindTextOfThePrompt) {
  const Ids prompt = tokenizer_->Encode("stop", false);
  EXPECT_EQ(Feed(*tokenizer_, prompt, tokenizer_->Encode(" here", false), {"stop", "p here"}).begin,
            -1);
}

TEST_F(Gpt2StopTextsTest, ShowsTextAsSoonAsItCanBeNoStopText) {
  StopTexts stop(tokenizer_.get(), {}, {"END."});
  std::string shown;
  const auto push = [&](const std::string& text) {
    for (int32_t id : tokenizer_->Encode(text, false)) EXPECT_FALSE(stop.Push(id));
    return stop.TakeText();
  };
  EXPECT_EQ(push("the EN"), "the ");
  EXPECT_EQ(push("D"), "");
  EXPECT_EQ(push("S"), "ENDS");
  EXPECT_EQ(push("E"), "");
  EXPECT_FALSE(stop.Finish());
  EXPECT_EQ(stop.TakeText(), "E");
}

TEST_F(Gpt2StopTextsTest, NeverEndsWithoutStopTexts) {
  const Outcome outcome = FeedText("anything", {});
  EXPECT_EQ(outcome.begin, -1);
  EXPECT_EQ(outcome.shown, "anything");
}

}  // namespace
}  // namespace attune
