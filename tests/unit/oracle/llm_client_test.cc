#include "oracle/llm_client.h"

#include <cmath>
#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/scorer.h"
#include "oracle/judge_endpoint.h"
#include "tests/testing/http_server.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/oracle/model_directory.h"

namespace attune {
namespace {

using absl::StatusCode;
using nlohmann::json;
using testing::DoubleNear;
using testing::ElementsAre;

constexpr double kImpossible = -std::numeric_limits<double>::infinity();

const std::vector<std::string>& Letters() {
  static const auto& words = *new std::vector<std::string>{"A", "B"};
  return words;
}

const std::vector<std::string>& Ratings() {
  static const auto& words =
      *new std::vector<std::string>{"bad", "poor", "fair", "good", "excellent"};
  return words;
}

// An answer with these probabilities of the first token.
json Answer(const std::vector<std::pair<std::string, double>>& tokens) {
  json top = json::array();
  for (const auto& [token, probability] : tokens) {
    top.push_back({{"token", token}, {"logprob", std::log(probability)}, {"bytes", nullptr}});
  }
  return {{"choices",
           {{{"index", 0},
             {"message", {{"role", "assistant"}, {"content", tokens[0].first}}},
             {"logprobs", {{"content", {{{"token", tokens[0].first}, {"top_logprobs", top}}}}}}}}}};
}

json TextAnswer(const std::string& text) {
  return {{"choices", {{{"message", {{"role", "assistant"}, {"content", text}}}}}}};
}

std::vector<double> Exp(std::vector<double> logps) {
  for (double& value : logps) value = std::exp(value);
  return logps;
}

TEST(LlmClientTest, AWordMatchesWhateverItsCaseAndSpace) {
  EXPECT_EQ(MatchWord("A", Letters()), 0);
  EXPECT_EQ(MatchWord(" b", Letters()), 1);
  EXPECT_EQ(MatchWord("\nB.", Letters()), 1);
  EXPECT_EQ(MatchWord("A is better", Letters()), 0);
  EXPECT_EQ(MatchWord("An", Letters()), -1);
  EXPECT_EQ(MatchWord("A\u00e9", Letters()), -1);
  EXPECT_EQ(MatchWord("", Letters()), -1);
  EXPECT_EQ(MatchWord(" ", Letters()), -1);
}

TEST(LlmClientTest, AFirstTokenMatchesTheOnlyWordThatBeginsWithIt) {
  EXPECT_EQ(MatchWord(" Excell", Ratings()), 4);
  EXPECT_EQ(MatchWord("goodness", Ratings()), -1);
  EXPECT_EQ(MatchWord("go", {"good", "gorgeous"}), -1);
  EXPECT_EQ(MatchWord("good", {"goodish", "good"}), 1);
}

TEST(LlmClientTest, SumsTheTokensOfAWord) {
  ASSERT_OK_AND_ASSIGN(
      const auto logps,
      ParseChatAnswer(Answer({{"A", 0.5}, {" a", 0.2}, {"B", 0.1}, {"The", 0.1}}), Letters()));
  EXPECT_THAT(Exp(logps), ElementsAre(DoubleNear(0.7, 1e-9), DoubleNear(0.1, 1e-9)));
}

TEST(LlmClientTest, AWordThatIsNotListedIsNoMoreLikelyThanItCanBe) {
  ASSERT_OK_AND_ASSIGN(auto logps, ParseChatAnswer(Answer({{"A", 0.9}, {"I", 0.06}}), Letters()));
  EXPECT_THAT(Exp(logps), ElementsAre(DoubleNear(0.9, 1e-9), DoubleNear(0.04, 1e-9)));
  ASSERT_OK_AND_ASSIGN(logps, ParseChatAnswer(Answer({{"A", 0.5}, {"I", 0.01}}), Letters()));
  EXPECT_THAT(Exp(logps), ElementsAre(DoubleNear(0.5, 1e-9), DoubleNear(0.01, 1e-9)));
  // Four words share what is left.
  ASSERT_OK_AND_ASSIGN(logps, ParseChatAnswer(Answer({{"good", 0.6}}), Ratings()));
  EXPECT_THAT(Exp(logps),
              ElementsAre(DoubleNear(0.1, 1e-9), DoubleNear(0.1, 1e-9), DoubleNear(0.1, 1e-9),
                          DoubleNear(0.6, 1e-9), DoubleNear(0.1, 1e-9)));
}

TEST(LlmClientTest, NoWordIsNoAnswer) {
  EXPECT_THAT(ParseChatAnswer(Answer({{"I", 0.9}, {"The", 0.1}}), Letters()),
              StatusIs(StatusCode::kFailedPrecondition, "none of the words A, B: \"I The\""));
  EXPECT_THAT(ParseChatAnswer(TextAnswer("As an AI"), Letters()),
              StatusIs(StatusCode::kFailedPrecondition, "none of the words A, B: \"As an AI\""));
  EXPECT_THAT(ParseChatAnswer(TextAnswer(""), Letters()),
              StatusIs(StatusCode::kFailedPrecondition, "none of the words"));
}

TEST(LlmClientTest, WithoutLogProbabilitiesTheTextDecides) {
  EXPECT_THAT(*ParseChatAnswer(TextAnswer(" B"), Letters()), ElementsAre(kImpossible, 0.0));
  json answer = TextAnswer("A");
  answer["choices"][0]["logprobs"] = nullptr;
  EXPECT_THAT(*ParseChatAnswer(answer, Letters()), ElementsAre(0.0, kImpossible));
  answer["choices"][0]["logprobs"] = {{"content", json::array()}};
  EXPECT_THAT(*ParseChatAnswer(answer, Letters()), ElementsAre(0.0, kImpossible));
}

TEST(LlmClientTest, RefusesWhatIsNoChatAnswer) {
  for (const char* text :
       {"null", "[]", "{}", R"({"choices": []})", R"({"choices": [{}]})", R"({"choices": [1]})",
        R"({"choices": [{"message": {"content": null}}]})",
        R"({"choices": [{"logprobs": {"content": [{"top_logprobs": [{"token": "A"}]}]}}]})",
        R"({"choices": [{"logprobs": {"content":
            [{"top_logprobs": [{"token": "A", "logprob": 2}]}]}}]})"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseChatAnswer(json::parse(text), Letters()),
                StatusIs(StatusCode::kInternal, "the answer has "));
  }
}

TEST(LlmClientTest, AsksAnEndpointForOneTokenAndItsAlternatives) {
  json seen;
  std::string head;
  HttpTestServer server([&](const std::string& request) {
    head = request.substr(0, request.size() - HttpBody(request).size());
    seen = json::parse(HttpBody(request));
    return HttpAnswer("200 OK", Answer({{"A", 0.75}, {"B", 0.25}}).dump());
  });
  ASSERT_OK_AND_ASSIGN(const auto metrics, Metrics::Create("", "oracle"));
  Endpoints endpoints(*metrics);
  HttpClient http;
  v1::CallSpec calls;
  calls.set_timeout_seconds(60);
  calls.set_max_attempts(1);
  calls.set_max_concurrency(1);
  calls.set_breaker_failures(1);
  const AnswerModel ask = MakeChatClient(
      calls, "judge-7b", "secret", endpoints.Find("llm_judge/1", server.url() + "/v1/"), http);
  ASSERT_OK_AND_ASSIGN(const auto logps, ask("Which?", Letters()));
  EXPECT_THAT(Exp(logps), ElementsAre(DoubleNear(0.75, 1e-9), DoubleNear(0.25, 1e-9)));
  EXPECT_THAT(head, testing::HasSubstr("POST /v1/chat/completions "));
  EXPECT_THAT(head, testing::HasSubstr("Authorization: Bearer secret\r\n"));
  EXPECT_EQ(seen, json::parse(R"({"model": "judge-7b", "max_tokens": 1, "temperature": 0,
      "messages": [{"role": "user", "content": "Which?"}], "logprobs": true,
      "top_logprobs": 20})"));
}

class LocalClientTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(directory_, MakeTemporaryDirectory("attune-llm"));
    ASSERT_OK(WriteLanguageModel(directory_, /*seed=*/3));
  }
  void TearDown() override { EXPECT_OK(RemoveAll(directory_)); }

  // Of the completion of a prompt, by the model in the directory.
  double Probability(const std::string& prompt, const std::string& completion) {
    const auto policy = Policy::Load(directory_);
    const auto logps = CompletionLogProbs(**policy, TokensOf(prompt), TokensOf(completion));
    double sum = 0;
    for (const float logp : *logps) sum += logp;
    return std::exp(sum);
  }

  std::string directory_;
  ModelCache models_;
};

TEST_F(LocalClientTest, AWordIsItselfOrItselfAfterASpace) {
  ASSERT_OK_AND_ASSIGN(const auto model, models_.Load(directory_));
  ASSERT_OK_AND_ASSIGN(const auto logps, MakeLocalClient(model)("Which?", {"A", "good"}));
  EXPECT_THAT(
      Exp(logps),
      ElementsAre(
          DoubleNear(Probability("Which?", "A") + Probability("Which?", " A"), 1e-6),
          DoubleNear(Probability("Which?", "good") + Probability("Which?", " good"), 1e-6)));
}

TEST_F(LocalClientTest, TheMessageIsThatOfAUserWhereThereIsAChatTemplate) {
  ASSERT_OK(WriteFile(JoinPath(directory_, "chat_template.jinja"),
                      "{{ messages[0].role }}>{{ messages[0].content }}<"));
  ASSERT_OK_AND_ASSIGN(const auto model, models_.Load(directory_));
  ASSERT_OK_AND_ASSIGN(const auto logps, MakeLocalClient(model)("Which?", {"A"}));
  EXPECT_NEAR(std::exp(logps[0]),
              Probability("user>Which?<", "A") + Probability("user>Which?<", " A"), 1e-6);
}

TEST_F(LocalClientTest, AMessageThatDoesNotFitIsRefused) {
  ASSERT_OK_AND_ASSIGN(const auto model, models_.Load(directory_));
  EXPECT_THAT(MakeLocalClient(model)(std::string(64, 'a'), {"A"}),
              StatusIs(StatusCode::kInvalidArgument, "max_position_embeddings, 64"));
}

}  // namespace
}  // namespace attune
