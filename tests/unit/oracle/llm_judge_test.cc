#include "oracle/llm_judge.h"

#include <atomic>
#include <cmath>
#include <functional>
#include <limits>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "spec/answer_check.h"
#include "tests/testing/http_server.h"
#include "tests/testing/metric_value.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/oracle/candidates.h"
#include "tests/unit/oracle/model_directory.h"

namespace attune {
namespace {

using absl::StatusCode;
using nlohmann::json;
using testing::DoubleNear;
using testing::ElementsAre;

v1::OracleSpec Pairwise(const std::string& prompt_template = "{response_a}|{response_b}") {
  v1::OracleSpec spec;
  spec.set_kind(v1::ORACLE_KIND_LLM_JUDGE);
  spec.mutable_llm_judge()->set_mode(v1::LLM_JUDGE_MODE_PAIRWISE);
  spec.mutable_llm_judge()->set_prompt_template(prompt_template);
  return spec;
}

v1::OracleSpec Rating(std::initializer_list<std::string> ratings) {
  v1::OracleSpec spec;
  spec.set_kind(v1::ORACLE_KIND_LLM_JUDGE);
  spec.mutable_llm_judge()->set_mode(v1::LLM_JUDGE_MODE_RATING);
  for (const std::string& rating : ratings) spec.mutable_llm_judge()->add_ratings(rating);
  return spec;
}

// A model that answers A with a probability that is a function of the message.
AnswerModel AnswersA(std::function<double(const std::string&)> probability) {
  return [=](const std::string& message, absl::Span<const std::string> words) {
    EXPECT_THAT(words, ElementsAre("A", "B"));
    const double a = probability(message);
    return absl::StatusOr<std::vector<double>>({std::log(a), std::log(1 - a)});
  };
}

TEST(LlmJudgeTest, TextsThatLookLikePlacesAreNotFilledIn) {
  EXPECT_EQ(FillTemplate("{prompt}: {a} or {b}? {} {x} {prompt",
                         {{"{prompt}", "{a}{b}"}, {"{a}", "{b}"}, {"{b}", "{prompt}"}}),
            "{a}{b}: {b} or {prompt}? {} {x} {prompt");
  EXPECT_EQ(FillTemplate("", {{"{a}", "x"}}), "");
  EXPECT_EQ(FillTemplate("{{a}}", {{"{a}", "x"}}), "{x}");
}

TEST(LlmJudgeTest, PairsAreAskedInBothOrdersAndAveraged) {
  ASSERT_OK_AND_ASSIGN(const auto judge, MakeLlmJudge(Pairwise(), AnswersA([](const auto& message) {
                                                        return message == "x|y" ? 0.9 : 0.3;
                                                      }),
                                                      "m"));
  ASSERT_OK_AND_ASSIGN(const Verdict verdict, judge->Decide(CandidatesOf({"x", "y"})));
  EXPECT_THAT(verdict.preferences,
              ElementsAre(0.5, DoubleNear(0.8, 1e-9), DoubleNear(0.2, 1e-9), 0.5));
  EXPECT_THAT(verdict.scores, ElementsAre(DoubleNear(0.8, 1e-9), DoubleNear(0.2, 1e-9)));
  EXPECT_EQ(verdict.swaps, 1u);
  EXPECT_EQ(verdict.swaps_agreed, 1u);
  EXPECT_EQ(judge->oracle(), "llm_judge/1");
}

TEST(LlmJudgeTest, APositionBiasedJudgePrefersNothingAndAgreesNever) {
  ASSERT_OK_AND_ASSIGN(const auto judge,
                       MakeLlmJudge(Pairwise(), AnswersA([](const auto&) { return 0.9; }), "m"));
  ASSERT_OK_AND_ASSIGN(const Verdict verdict, judge->Decide(CandidatesOf({"x", "y", "z", "w"})));
  EXPECT_THAT(verdict.preferences, testing::Each(DoubleNear(0.5, 1e-9)));
  EXPECT_EQ(verdict.swaps, 6u);
  EXPECT_EQ(verdict.swaps_agreed, 0u);
}

TEST(LlmJudgeTest, AJudgeWithoutAnOpinionAgreesWithItself) {
  ASSERT_OK_AND_ASSIGN(const auto judge,
                       MakeLlmJudge(Pairwise(), AnswersA([](const auto&) { return 0.5; }), "m"));
  ASSERT_OK_AND_ASSIGN(const Verdict verdict, judge->Decide(CandidatesOf({"x", "y"})));
  EXPECT_EQ(verdict.swaps_agreed, 1u);
}

TEST(LlmJudgeTest, OneResponseNeedsNoQuestion) {
  ASSERT_OK_AND_ASSIGN(const auto judge,
                       MakeLlmJudge(Pairwise(), AnswersA([](const auto&) { return 0.9; }), "m"));
  ASSERT_OK_AND_ASSIGN(const Verdict verdict, judge->Decide(CandidatesOf({"x"})));
  EXPECT_THAT(verdict.scores, ElementsAre(0.5));
  EXPECT_EQ(verdict.swaps, 0u);
}

TEST(LlmJudgeTest, OneFailedQuestionIsAFailedJudgement) {
  int asked = 0;
  ASSERT_OK_AND_ASSIGN(const auto judge,
                       MakeLlmJudge(
                           Pairwise(),
                           [&](const auto&, auto) -> absl::StatusOr<std::vector<double>> {
                             if (++asked == 4) return absl::UnavailableError("away");
                             return std::vector<double>{-1, -1};
                           },
                           "m"));
  EXPECT_THAT(judge->Decide(CandidatesOf({"x", "y", "z"})),
              StatusIs(StatusCode::kUnavailable, "comparing responses 2 and 0: away"));
}

TEST(LlmJudgeTest, RatesByTheMeanValueOfTheWords) {
  const auto answer = [](const std::string& message, absl::Span<const std::string> words) {
    EXPECT_THAT(words, ElementsAre("no", "so", "yes"));
    EXPECT_TRUE(absl::StrContains(message, "no, so, yes"));
    // Need not be normalised.
    return absl::StatusOr<std::vector<double>>(
        absl::StrContains(message, "fine words")
            ? std::vector<double>{std::log(1), std::log(2), std::log(5)}
            : std::vector<double>{0, -std::numeric_limits<double>::infinity(), -1000});
  };
  ASSERT_OK_AND_ASSIGN(const auto judge, MakeLlmJudge(Rating({"no", "so", "yes"}), answer, "m"));
  ASSERT_OK_AND_ASSIGN(const Verdict verdict, judge->Decide(CandidatesOf({"fine words", "w"})));
  EXPECT_THAT(verdict.scores, ElementsAre(DoubleNear((1 + 4 + 15) / 8.0, 1e-9), 1.0));
  EXPECT_TRUE(verdict.preferences.empty());
}

TEST(LlmJudgeTest, RatingsMustDiffer) {
  for (const auto& ratings : {Rating({"good", "Good"}), Rating({"a", ""}), Rating({" a", "b"})}) {
    EXPECT_THAT(MakeLlmJudge(ratings, nullptr, "m"),
                StatusIs(StatusCode::kInvalidArgument, "oracle.llm_judge.ratings"));
  }
}

TEST(LlmJudgeTest, ShowsPromptAnswerAndResponses) {
  std::string seen;
  const AnswerModel answer = AnswersA([&](const std::string& message) {
    seen = message;
    return 0.5;
  });
  ASSERT_OK_AND_ASSIGN(
      auto judge, MakeLlmJudge(Pairwise("{prompt} {gold} {response_a} {response_b}"), answer, "m"));
  v1::Candidates item = CandidatesOf({"x", "y"}, "42", "six times seven");
  EXPECT_OK(judge->Decide(item));
  EXPECT_EQ(seen, "six times seven 42 y x");
  item.set_messages(R"([{"role": "user", "content": "one"}])");
  EXPECT_OK(judge->Decide(item));
  EXPECT_EQ(seen, "six times seven 42 y x");
  item.set_messages(R"([{"role": "system", "content": "be brief"},
                        {"role": "user", "content": "hello"}])");
  EXPECT_OK(judge->Decide(item));
  EXPECT_EQ(seen, "system: be brief\n\nuser: hello 42 y x");
  ASSERT_OK_AND_ASSIGN(judge, MakeLlmJudge(Pairwise(""), answer, "m"));  // the built-in template
  EXPECT_OK(judge->Decide(CandidatesOf({"apples", "pears"}, "", "What fruit?")));
  for (const char* part :
       {"What fruit?", "Response A\npears\n", "Response B\napples\n", "A or B"}) {
    EXPECT_THAT(seen, testing::HasSubstr(part));
  }
}

TEST(LlmJudgeTest, ItsDigestIsOfAllThatDecides) {
  std::set<std::string> digests;
  for (const auto& [spec, model] :
       {std::pair(Pairwise(), "m"), std::pair(Pairwise(), "n"),
        std::pair(Pairwise("{response_b}"), "m"), std::pair(Rating({"a", "b"}), "m"),
        std::pair(Rating({"b", "a"}), "m")}) {
    ASSERT_OK_AND_ASSIGN(const auto judge, MakeLlmJudge(spec, nullptr, model));
    digests.insert(judge->digest());
  }
  EXPECT_EQ(digests.size(), 5u);
}

class ChatLlmJudgeTest : public testing::Test {
 protected:
  void SetUp() override {
    endpoints_ = std::make_unique<Endpoints>(metrics_);
    spec_.mutable_llm_judge()->set_model("stub");
    v1::CallSpec& calls = *spec_.mutable_calls();
    calls.set_timeout_seconds(60);
    calls.set_max_attempts(2);
    calls.set_max_concurrency(2);
    calls.set_breaker_failures(100);
    calls.set_breaker_seconds(3600);
    calls.set_cache_entries(100);
  }

  absl::StatusOr<Verdict> Decide(const std::string& address) {
    spec_.set_endpoint(address);
    ATTUNE_ASSIGN_OR_RETURN(const auto judge, MakeChatLlmJudge(spec_, *endpoints_, http_));
    return judge->Decide(CandidatesOf({"x", "yy"}));
  }

  double Value(const std::string& name, const std::string& more = "") {
    return MetricValue(metrics_,
                       absl::StrCat("attune_oracle_", name, "{oracle=\"llm_judge/1\"", more, "}"));
  }

  v1::OracleSpec spec_ = Pairwise();
  Metrics& metrics_ = ServedMetrics();
  std::unique_ptr<Endpoints> endpoints_;
  HttpClient http_;
};

std::string ChatAnswer(const std::string& first, double p, const std::string& second, double q) {
  return HttpAnswer(
      "200 OK",
      absl::StrCat(R"({"choices": [{"message": {"content": "A"}, "logprobs": {"content": [)",
                   R"({"top_logprobs": [{"token": ")", first, R"(", "logprob": )", std::log(p),
                   R"(}, {"token": ")", second, R"(", "logprob": )", std::log(q), "}]}]}}]}"));
}

TEST_F(ChatLlmJudgeTest, AveragesOutThePositionBiasOfAnEndpoint) {
  HttpTestServer server([](const std::string&) { return ChatAnswer(" A", 0.9, " b", 0.1); });
  ASSERT_OK_AND_ASSIGN(const Verdict verdict, Decide(server.url()));
  EXPECT_THAT(verdict.preferences, testing::Each(DoubleNear(0.5, 1e-5)));
  EXPECT_EQ(verdict.swaps, 1u);
  EXPECT_EQ(verdict.swaps_agreed, 0u);
  EXPECT_OK(Decide(server.url()));
  EXPECT_EQ(Value("calls_total", ",outcome=\"ok\""), 2);
  EXPECT_EQ(Value("cache_hits_total"), 1);
}

TEST_F(ChatLlmJudgeTest, FindsThePreferredResponseInBothOrders) {
  HttpTestServer server([](const std::string& request) {
    const json body = json::parse(HttpBody(request));
    return body["messages"][0]["content"] == "x|yy" ? ChatAnswer("B", 0.9, "A", 0.1)
                                                    : ChatAnswer("A", 0.7, "B", 0.3);
  });
  ASSERT_OK_AND_ASSIGN(const Verdict verdict, Decide(server.url()));
  EXPECT_THAT(verdict.scores, ElementsAre(DoubleNear(0.2, 1e-5), DoubleNear(0.8, 1e-5)));
  EXPECT_EQ(verdict.swaps_agreed, 1u);
}

TEST_F(ChatLlmJudgeTest, AnAnswerWithoutTheWordsFailsTheJudgementAndNotTheCall) {
  spec_.mutable_calls()->set_breaker_failures(1);
  HttpTestServer server([](const std::string&) { return ChatAnswer("I", 0.9, "The", 0.1); });
  for (int i = 1; i < 4; ++i) {
    EXPECT_THAT(Decide(server.url()),
                StatusIs(StatusCode::kFailedPrecondition, "none of the words A, B"));
    EXPECT_EQ(Value("calls_total", ",outcome=\"ok\""), i);
  }
}

TEST_F(ChatLlmJudgeTest, AnAnswerThatIsBrokenIsAskedForAgain) {
  std::atomic<int> requests = 0;
  HttpTestServer server([&](const std::string&) {
    return requests++ == 0 ? HttpAnswer("200 OK", "{}") : ChatAnswer("A", 0.5, "B", 0.5);
  });
  EXPECT_OK(Decide(server.url()));
  EXPECT_EQ(requests, 3);
  EXPECT_EQ(Value("calls_total", ",outcome=\"bad_answer\""), 1);
}

TEST_F(ChatLlmJudgeTest, RefusesAKeyThatIsNotThere) {
  spec_.mutable_llm_judge()->set_api_key_variable("ATTUNE_TEST_NO_SUCH_VARIABLE");
  EXPECT_THAT(Decide("http://127.0.0.1:1"),
              StatusIs(StatusCode::kInvalidArgument, "ATTUNE_TEST_NO_SUCH_VARIABLE"));
}

TEST(LocalLlmJudgeTest, AsksAModelOfThisProcess) {
  ASSERT_OK_AND_ASSIGN(const std::string directory, MakeTemporaryDirectory("attune-llm"));
  ASSERT_OK(WriteLanguageModel(directory, /*seed=*/5));
  ModelCache models;
  v1::OracleSpec spec = Pairwise("{response_a} or {response_b}? ");
  spec.set_path(directory);
  ASSERT_OK_AND_ASSIGN(const auto judge, MakeLocalLlmJudge(spec, models));
  ASSERT_OK_AND_ASSIGN(const Verdict verdict, judge->Decide(CandidatesOf({"x", "yy", "z"})));
  EXPECT_OK(CheckAnswer(verdict.scores, verdict.preferences, 3));
  EXPECT_EQ(verdict.swaps, 3u);
  EXPECT_NE(verdict.preferences[1], 0.5);
  spec.set_path("/nowhere/at/all");
  EXPECT_THAT(MakeLocalLlmJudge(spec, models),
              StatusIs(StatusCode::kInvalidArgument, "oracle.path: "));
  EXPECT_OK(RemoveAll(directory));
}

}  // namespace
}  // namespace attune
