#include "rollout/completion_api.h"

#include <memory>
#include <string>
#include <vector>

#include "common/check.h"
#include "gtest/gtest.h"
#include "rollout/policy_store.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/rollout/small_model.h"

namespace attune {
namespace {

using absl::StatusCode;
using nlohmann::json;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr int32_t kEos = 2;

const Tokenizer& SmallTokenizer() {
  static const Tokenizer& tokenizer = *[] {
    auto loaded = LoadTokenizer(kModelPath, 512);
    ATTUNE_CHECK(loaded.ok());
    return loaded->release();
  }();
  return tokenizer;
}

class CompletionApiTest : public testing::Test {
 protected:
  CompletionApiTest() {
    sampling_.set_num_generations(2);
    sampling_.set_temperature(0.5);
    sampling_.set_top_p(0.9);
    sampling_.set_top_k(0);
    sampling_.set_max_new_tokens(8);
  }

  CompletionQuestion Question() const {
    return {.tokenizer = SmallTokenizer(),
            .prompt = prompt_,
            .prompt_ids = prompt_ids_,
            .eos_ids = eos_ids_,
            .vocab_size = 512,
            .tokens_max = 8,
            .sampling = sampling_,
            .key = 0xfedcba9876543210};
  }

  // As vLLM answers.
  static json Answer(const json& ids, const json& logps, const std::string& finish = "length") {
    return {{"choices",
             {{{"index", 0},
               {"text", "?"},
               {"token_ids", ids},
               {"logprobs", {{"token_logprobs", logps}}},
               {"finish_reason", finish}}}}};
  }
  // As SGLang does: what has no token ids.
  static json TextAnswer(const std::string& text, const std::string& finish = "length") {
    return {{"choices", {{{"index", 0}, {"text", text}, {"finish_reason", finish}}}}};
  }

  absl::StatusOr<ExternalCompletion> Parse(const json& answer) const {
    return ParseCompletion(answer, Question());
  }
  void ExpectWrong(const json& answer, const std::string& why) const {
    EXPECT_THAT(Parse(answer), StatusIs(StatusCode::kInternal, why)) << answer.dump();
  }

  v1::SamplingSpec sampling_;
  const std::string prompt_ = "Once upon a time";
  const std::vector<int32_t> prompt_ids_ = SmallTokenizer().Encode(prompt_, true);
  std::vector<int32_t> eos_ids_ = {kEos};
};

TEST_F(CompletionApiTest, SaysEverythingAboutSampling) {
  const json body = CompletionBody(Question(), "m");
  EXPECT_EQ(body["model"], "m");
  EXPECT_EQ(body["prompt"], json(prompt_ids_));
  EXPECT_EQ(body["n"], 1);
  EXPECT_EQ(body["max_tokens"], 8);
  EXPECT_EQ(body["temperature"], 0.5);
  EXPECT_EQ(body["top_p"], 0.9);
  EXPECT_EQ(body["top_k"], -1);
  EXPECT_EQ(body["min_p"], 0);
  EXPECT_EQ(body["repetition_penalty"], 1);
  EXPECT_EQ(body["min_tokens"], 0);
  EXPECT_EQ(body["seed"], 0x76543210);
  EXPECT_EQ(body["logprobs"], 1);
  EXPECT_EQ(body["return_token_ids"], true);
  EXPECT_FALSE(body.contains("stop"));
  sampling_.set_top_k(5);
  sampling_.set_min_p(0.25);
  sampling_.set_repetition_penalty(1.5);
  sampling_.set_min_new_tokens(3);
  sampling_.add_stop("END");
  const json other = CompletionBody(Question(), "m");
  EXPECT_EQ(other["top_k"], 5);
  EXPECT_EQ(other["min_p"], 0.25);
  EXPECT_EQ(other["repetition_penalty"], 1.5);
  EXPECT_EQ(other["min_tokens"], 3);
  EXPECT_EQ(other["stop"], json({"END"}));
}

TEST_F(CompletionApiTest, TakesTheTokensThatTheServerNames) {
  ASSERT_OK_AND_ASSIGN(const ExternalCompletion named, Parse(Answer({7, 9}, {-1.5, 1e-7})));
  EXPECT_THAT(named.token_ids, ElementsAre(7, 9));
  EXPECT_THAT(named.logps, ElementsAre(-1.5f, 0.0f));
  EXPECT_EQ(named.finish_reason, v1::FINISH_REASON_LENGTH);

  json spelled = Answer(nullptr, {-1, -2});
  spelled["choices"][0]["logprobs"]["tokens"] = {"token_id:7", "token_id:9"};
  ASSERT_OK_AND_ASSIGN(const ExternalCompletion from_spelled, Parse(spelled));
  EXPECT_THAT(from_spelled.token_ids, ElementsAre(7, 9));

  json llama_cpp = TextAnswer("?");
  llama_cpp["choices"][0]["logprobs"]["content"] = {{{"id", 7}, {"logprob", -1}},
                                                    {{"id", 9}, {"logprob", -2}}};
  ASSERT_OK_AND_ASSIGN(const ExternalCompletion from_content, Parse(llama_cpp));
  EXPECT_THAT(from_content.token_ids, ElementsAre(7, 9));
  EXPECT_THAT(from_content.logps, ElementsAre(-1, -2));
}

TEST_F(CompletionApiTest, EncodesATextWithoutTokens) {
  ASSERT_OK_AND_ASSIGN(const ExternalCompletion completion, Parse(TextAnswer(", there was")));
  EXPECT_EQ(DecodeCompletion(SmallTokenizer(), prompt_ids_, completion.token_ids, {}),
            ", there was");
  EXPECT_THAT(completion.logps, IsEmpty());
  ExpectWrong(TextAnswer("a\xEF\xBF\xBD<s>"), "decodes to another one");
}

TEST_F(CompletionApiTest, BelievesLogProbabilitiesOfATextOnlyIfTheyAreOfItsTokens) {
  json answer = TextAnswer(", there was", "stop");
  ASSERT_OK_AND_ASSIGN(const ExternalCompletion encoded, Parse(answer));
  std::vector<std::string> tokens;
  for (size_t i = 0; i + 1 < encoded.token_ids.size(); ++i) {
    tokens.push_back(SmallTokenizer().Decode({&encoded.token_ids[i], 1}, false));
  }
  json& logprobs = answer["choices"][0]["logprobs"];
  logprobs = {{"tokens", tokens}, {"token_logprobs", std::vector<double>(tokens.size(), -1)}};
  ASSERT_OK_AND_ASSIGN(const ExternalCompletion matching, Parse(answer));
  EXPECT_EQ(matching.logps.size(), tokens.size());
  EXPECT_EQ(matching.token_ids.size(), tokens.size() + 1);  // the end of sequence
  logprobs["tokens"][0] = "other";
  ASSERT_OK_AND_ASSIGN(const ExternalCompletion others, Parse(answer));
  EXPECT_THAT(others.logps, IsEmpty());
  logprobs["tokens"][0] = tokens[0];
  logprobs["token_logprobs"].erase(0);
  ASSERT_OK_AND_ASSIGN(const ExternalCompletion fewer, Parse(answer));
  EXPECT_THAT(fewer.logps, IsEmpty());
}

TEST_F(CompletionApiTest, AResponseThatStoppedEndsWithTheEndOfSequence) {
  ASSERT_OK_AND_ASSIGN(const auto without, Parse(Answer({7}, {-1}, "stop")));
  EXPECT_THAT(without.token_ids, ElementsAre(7, kEos));
  EXPECT_THAT(without.logps, ElementsAre(-1));
  EXPECT_EQ(without.finish_reason, v1::FINISH_REASON_STOP);
  ASSERT_OK_AND_ASSIGN(const auto with, Parse(Answer({7, kEos}, {-1, -2}, "stop")));
  EXPECT_THAT(with.token_ids, ElementsAre(7, kEos));
  ASSERT_OK_AND_ASSIGN(const auto at_the_limit, Parse(Answer({kEos}, {-1}, "length")));
  EXPECT_EQ(at_the_limit.finish_reason, v1::FINISH_REASON_STOP);
  ASSERT_OK_AND_ASSIGN(const auto empty, Parse(Answer(json::array(), json::array(), "stop")));
  EXPECT_THAT(empty.token_ids, ElementsAre(kEos));
  eos_ids_.clear();
  ExpectWrong(Answer({7}, {-1}, "stop"), "the policy has no end-of-sequence id");
}

TEST_F(CompletionApiTest, AStopTextIsAnEndToo) {
  sampling_.add_stop(" was");
  const std::vector<int32_t> ids =
      EncodeCompletion(SmallTokenizer(), prompt_, prompt_ids_, ", there was");
  const std::vector<double> logps(ids.size(), -1);
  ASSERT_OK_AND_ASSIGN(const auto stopped, Parse(Answer(ids, logps, "stop")));
  EXPECT_EQ(stopped.token_ids, ids);
  EXPECT_EQ(stopped.finish_reason, v1::FINISH_REASON_STOP);
  ExpectWrong(Answer({7}, {-1}, "stop"), "neither an end of sequence nor a text of sampling.stop");
}

TEST_F(CompletionApiTest, AWrongAnswerIsNoResponse) {
  ExpectWrong(json::array(), "does not have one choice");
  ExpectWrong({{"choices", json::array()}}, "does not have one choice");
  json two = Answer({7}, {-1});
  two["choices"].push_back(two["choices"][0]);
  ExpectWrong(two, "does not have one choice");
  ExpectWrong({{"choices", {7}}}, "has neither token ids nor a text");
  ExpectWrong(Answer({512}, {-1}), "has the token 512, the policy has the ids 0-511");
  ExpectWrong(Answer({-1}, {-1}), "has the token -1");
  ExpectWrong(Answer({1.5}, {-1}), "has the token 1.5");
  ExpectWrong(Answer({"7"}, {-1}), "has the token \"7\"");
  ExpectWrong(Answer({18446744073709551615u}, {-1}), "has the token 18446744073709551615");
  ExpectWrong(Answer({7, 9}, {-1}), "has 2 tokens, but 1 log-probabilities");
  ExpectWrong(Answer({7}, {-1, -1}), "has 1 tokens, but 2 log-probabilities");
  ExpectWrong(Answer({7}, {nullptr}), "is no number of at most 0");
  ExpectWrong(Answer({7}, {0.5}), "is no number of at most 0");
  ExpectWrong(Answer({7}, {"-1"}), "is no number of at most 0");
  ExpectWrong(Answer({7}, {-1}, "abort"), "a finish_reason that is neither stop nor length");
  ExpectWrong(Answer(json::array(), json::array()), "has no tokens");
  ExpectWrong(Answer(json(std::vector<int>(9, 7)), json(std::vector<int>(9, -1))),
              "has 9 tokens, 8 were asked for");
  ExpectWrong(Answer(json(std::vector<int>(8, 7)), json(std::vector<int>(8, -1)), "stop"),
              "has 9 tokens, 8 were asked for");
  ExpectWrong(Answer({kEos, 7}, {-1, -1}), "goes on after an end of sequence");
}

TEST_F(CompletionApiTest, AnAnswerToAnotherPromptIsRefused) {
  json answer = Answer({7}, {-1});
  answer["usage"]["prompt_tokens"] = prompt_ids_.size();
  EXPECT_OK(Parse(answer));
  answer["usage"]["prompt_tokens"] = prompt_ids_.size() + 1;
  ExpectWrong(answer, "is to another prompt: it has");
  answer = Answer({7}, {-1});
  answer["choices"][0]["prompt_token_ids"] = prompt_ids_;
  EXPECT_OK(Parse(answer));
  answer["choices"][0]["prompt_token_ids"][0] = 5;
  ExpectWrong(answer, "prompt_token_ids are not those that were sent");
}

TEST(SamplerStalenessTest, IsThatOfTheWeightsThatTheServerSaysItHas) {
  v1::PolicyVersion policy;
  policy.set_round(5);
  policy.set_digest("abc");
  json entry = {{"id", "m"}};
  const auto staleness = [&] {
    return SamplerStaleness({{"data", {{{"id", "other"}}, entry}}}, "m", policy);
  };
  EXPECT_EQ(staleness().value_or(100), 5u);
  entry["attune_round"] = 3;
  EXPECT_EQ(staleness().value_or(100), 2u);
  entry["attune_round"] = 9;
  EXPECT_EQ(staleness().value_or(100), 0u);
  entry["attune_round"] = -1;
  EXPECT_EQ(staleness().value_or(100), 5u);
  entry["attune_digest"] = "abd";
  EXPECT_EQ(staleness().value_or(100), 5u);
  entry["attune_digest"] = "abc";
  EXPECT_EQ(staleness().value_or(100), 0u);
}

TEST(SamplerStalenessTest, AServerWithoutTheModelIsRefused) {
  EXPECT_THAT(SamplerStaleness({{"data", {{{"id", "other"}}}}}, "m", {}),
              StatusIs(StatusCode::kFailedPrecondition, "has no model \"m\", but"));
  EXPECT_THAT(SamplerStaleness({{"data", 7}}, "m", {}),
              StatusIs(StatusCode::kInternal, "is no list of models"));
}

}  // namespace
}  // namespace attune
