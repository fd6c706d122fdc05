#include "oracle/model_judges.h"

#include <cmath>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "common/files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/scorer.h"
#include "nlohmann/json.hpp"
#include "tests/testing/status_matchers.h"
#include "tests/unit/oracle/candidates.h"
#include "tests/unit/oracle/model_directory.h"

namespace attune {
namespace {

using absl::StatusCode;
using testing::DoubleNear;
using testing::ElementsAre;

using Ids = std::vector<int32_t>;

constexpr char kChatTemplate[] =
    "{% for message in messages %}<{{ message['content'] }}>{% endfor %}";

std::shared_ptr<const Policy> LanguageModel(uint64_t seed) {
  return Policy::Create(TinyConfig(false), TinyWeights(TinyConfig(false), seed)).value();
}

Ids Ended(const std::string& text) {
  Ids ids = TokensOf(text);
  ids.push_back(0);
  return ids;
}

double LogProb(const Policy& policy, const std::string& prompt, const Ids& completion) {
  const std::vector<float> logps = CompletionLogProbs(policy, TokensOf(prompt), completion).value();
  return std::accumulate(logps.begin(), logps.end(), 0.0);
}

v1::OracleSpec SpecOf(const std::string& path, const std::string& reference = "",
                      double beta = 0.1) {
  v1::OracleSpec spec;
  spec.set_path(path);
  spec.set_reference_path(reference);
  spec.set_beta(beta);
  return spec;
}

// The head applied to the state of the last token, in double; token by token, without the scorer.
double SlowReward(uint64_t seed, const Ids& ids) {
  const ModelConfig config = ClassifierConfig(1);
  const std::vector<float> weights = TinyWeights(config, seed);
  const auto policy = Policy::Create(config, weights).value();
  KvCache cache;
  std::vector<float> state;
  for (size_t i = 0; i < ids.size(); ++i) {
    state = policy->Forward({{&cache, static_cast<int64_t>(i), ids[i], true}});
  }
  const size_t head = FindTensor(WeightLayout(config), "score.weight").offset;
  double reward = 0;
  for (size_t i = 0; i < state.size(); ++i) {
    reward += static_cast<double>(weights[head + i]) * state[i];
  }
  return reward;
}

TEST(RewardModelJudgeTest, IsTheHeadAtTheEndOfTheSequence) {
  const ScratchDirectory directory;
  ASSERT_OK(WriteClassifier(directory.path(), /*labels=*/1, /*seed=*/3));
  ModelCache models;
  ASSERT_OK_AND_ASSIGN(const auto judge, MakeRewardModelJudge(SpecOf(directory.path()), models));
  ASSERT_OK_AND_ASSIGN(const Verdict verdict,
                       judge->Decide(CandidatesOf({" yes", "", "no"}, "", "Is it?")));
  EXPECT_THAT(verdict.scores, ElementsAre(DoubleNear(SlowReward(3, Ended("Is it? yes")), 1e-5),
                                          DoubleNear(SlowReward(3, Ended("Is it?")), 1e-5),
                                          DoubleNear(SlowReward(3, Ended("Is it?no")), 1e-5)));
  EXPECT_GT(std::abs(verdict.scores[0] - verdict.scores[2]), 1e-3);  // or the test says nothing
  EXPECT_EQ(judge->oracle(), "reward_model/1");
  EXPECT_EQ(judge->digest(), models.Load(directory.path()).value()->digest);
}

TEST(RewardModelJudgeTest, MessagesGoThroughTheChatTemplateOfTheModel) {
  const ScratchDirectory directory;
  ASSERT_OK(WriteClassifier(directory.path(), /*labels=*/1, /*seed=*/3));
  v1::Candidates item = CandidatesOf({"yes"});
  item.set_messages(R"([{"role": "user", "content": "Is it?"}])");
  ModelCache models;
  ASSERT_OK_AND_ASSIGN(const auto without, MakeRewardModelJudge(SpecOf(directory.path()), models));
  EXPECT_THAT(without->Decide(item), StatusIs(StatusCode::kInvalidArgument, "has messages, but"));
  ASSERT_OK(WriteFile(directory.File("chat_template.jinja"), kChatTemplate));
  ASSERT_OK_AND_ASSIGN(const auto judge, MakeRewardModelJudge(SpecOf(directory.path()), models));
  ASSERT_OK_AND_ASSIGN(const Verdict verdict, judge->Decide(item));
  EXPECT_THAT(verdict.scores, ElementsAre(DoubleNear(SlowReward(3, Ended("<Is it?>yes")), 1e-5)));
}

TEST(RewardModelJudgeTest, RefusesOtherModels) {
  const ScratchDirectory language_model, labels;
  ASSERT_OK(WriteLanguageModel(language_model.path(), 1));
  ASSERT_OK(WriteClassifier(labels.path(), /*labels=*/2, /*seed=*/1));
  ModelCache models;
  EXPECT_THAT(MakeRewardModelJudge(SpecOf(language_model.path()), models),
              StatusIs(StatusCode::kInvalidArgument, "without a score head"));
  EXPECT_THAT(MakeRewardModelJudge(SpecOf(labels.path()), models),
              StatusIs(StatusCode::kInvalidArgument, "has num_labels 2"));
  EXPECT_THAT(MakeRewardModelJudge(SpecOf(labels.File("absent")), models),
              StatusIs(StatusCode::kInvalidArgument, "oracle.path: cannot load the model"));
}

TEST(RewardModelJudgeTest, ATextBeyondTheContextIsAFailure) {
  const ScratchDirectory directory;
  ASSERT_OK(WriteClassifier(directory.path(), /*labels=*/1, /*seed=*/3));
  ModelCache models;
  ASSERT_OK_AND_ASSIGN(const auto judge, MakeRewardModelJudge(SpecOf(directory.path()), models));
  EXPECT_OK(judge->Decide(CandidatesOf({std::string(61, 'a')}, "", "ab")));
  EXPECT_THAT(judge->Decide(CandidatesOf({"a", std::string(62, 'a')}, "", "ab")),
              StatusIs(StatusCode::kInvalidArgument,
                       "response 1: the prompt of 2 tokens, the response of 63 exceed "
                       "max_position_embeddings of the oracle's model, 64"));
}

TEST(ImplicitRewardJudgeTest, IsTheScaledLogRatioOfTheResponse) {
  const ScratchDirectory trained, reference;
  ASSERT_OK(WriteLanguageModel(trained.path(), 1));
  ASSERT_OK(WriteLanguageModel(reference.path(), 2));
  ModelCache models;
  ASSERT_OK_AND_ASSIGN(
      const auto judge,
      MakeImplicitRewardJudge(SpecOf(trained.path(), reference.path(), 0.25), models));
  ASSERT_OK_AND_ASSIGN(const Verdict verdict, judge->Decide(CandidatesOf({"yes", ""}, "", "So?")));
  const auto ratio = [](const std::string& response) {
    return LogProb(*LanguageModel(1), "So?", Ended(response)) -
           LogProb(*LanguageModel(2), "So?", Ended(response));
  };
  EXPECT_THAT(verdict.scores, ElementsAre(DoubleNear(0.25 * ratio("yes"), 1e-12),
                                          DoubleNear(0.25 * ratio(""), 1e-12)));
  EXPECT_GT(std::abs(verdict.scores[0]), 1e-3);
  EXPECT_EQ(judge->oracle(), "implicit_reward/1");
}

TEST(ImplicitRewardJudgeTest, DigestIsOfBothModelsAndBeta) {
  const ScratchDirectory one, other;
  ASSERT_OK(WriteLanguageModel(one.path(), 1));
  ASSERT_OK(WriteLanguageModel(other.path(), 2));
  ModelCache models;
  const auto digest = [&](const std::string& path, const std::string& reference, double beta) {
    return MakeImplicitRewardJudge(SpecOf(path, reference, beta), models).value()->digest();
  };
  const std::string base = digest(one.path(), other.path(), 0.1);
  EXPECT_EQ(digest(one.path(), other.path(), 0.1), base);
  EXPECT_NE(digest(other.path(), one.path(), 0.1), base);
  EXPECT_NE(digest(one.path(), other.path(), 0.2), base);
}

TEST(ImplicitRewardJudgeTest, RefusesModelsThatDoNotBelongTogether) {
  const ScratchDirectory model, classifier, smaller;
  ASSERT_OK(WriteLanguageModel(model.path(), 1));
  ASSERT_OK(WriteClassifier(classifier.path(), /*labels=*/1, /*seed=*/1));
  ModelConfig config = TinyConfig(false);
  config.vocab_size = 97;
  ASSERT_OK(WriteModel(smaller.path(), config, TinyWeights(config, 1)));
  ASSERT_OK(WriteTokenizer(smaller.path()));
  ModelCache models;
  EXPECT_THAT(MakeImplicitRewardJudge(SpecOf(model.path(), classifier.path()), models),
              StatusIs(StatusCode::kInvalidArgument, "is a sequence classification model"));
  EXPECT_THAT(MakeImplicitRewardJudge(SpecOf(model.path(), smaller.path()), models),
              StatusIs(StatusCode::kInvalidArgument, "has a vocabulary of 97"));
  EXPECT_THAT(MakeImplicitRewardJudge(SpecOf(model.path(), model.File("absent")), models),
              StatusIs(StatusCode::kInvalidArgument, "oracle.reference_path: cannot load"));
}

TEST(ReflectionScoresTest, AgreeWithTheDerivedNumbers) {
  ASSERT_OK_AND_ASSIGN(const std::string content,
                       ReadFile(ATTUNE_SOURCE_DIR "/tests/data/golden/derived/dro_r3_core.json"));
  const nlohmann::json golden = nlohmann::json::parse(content)["cases"][0];
  const auto scores = ReflectionScores(
      golden["inputs"]["ref_token_logps_given_cot"].get<std::vector<std::vector<float>>>(),
      golden["inputs"]["ref_token_logps_masked_cot"].get<std::vector<float>>());
  const auto wanted = golden["outputs"]["r3"].get<std::vector<double>>();
  ASSERT_EQ(scores.size(), wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) EXPECT_NEAR(scores[i], wanted[i], 1e-6);
}

TEST(ReflectionScoresTest, OnlyTokensThatDependOnTheReasoningCount) {
  EXPECT_THAT(ReflectionScores({{-1, -3}, {-1, -1}}, {-5, -2}), ElementsAre(-1, 1));
}

TEST(ReflectionScoresTest, WhereNoTokenDependsOnItTheMeanCounts) {
  EXPECT_THAT(ReflectionScores({{-1, -2}}, {-3, -3}), ElementsAre(1.5));
  // A mean of thirds would leave a deviation behind, and weights made of rounding errors.
  const std::vector<float> row = {-0.1f, -0.7f};
  EXPECT_THAT(ReflectionScores({row, row, row}, {-0.1f, -1.7f}),
              testing::Each(DoubleNear(0.5, 1e-7)));
}

TEST(R3JudgeTest, IsHowMuchTheResponseRaisesTheAnswer) {
  const ScratchDirectory directory;
  ASSERT_OK(WriteLanguageModel(directory.path(), 1));
  ModelCache models;
  ASSERT_OK_AND_ASSIGN(const auto judge, MakeR3Judge(SpecOf(directory.path()), models));
  ASSERT_OK_AND_ASSIGN(const Verdict verdict,
                       judge->Decide(CandidatesOf({"well,", "", "I think"}, " 42", "Why?")));
  const auto policy = LanguageModel(1);
  const Ids answer = TokensOf(" 42");
  std::vector<std::vector<float>> logps;
  for (const char* text : {"Why?well,", "Why?", "Why?I think"}) {
    logps.push_back(CompletionLogProbs(*policy, TokensOf(text), answer).value());
  }
  const std::vector<double> wanted = ReflectionScores(logps, logps[1]);
  ASSERT_EQ(verdict.scores.size(), 3u);
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(verdict.scores[i], wanted[i], 1e-12);
  EXPECT_EQ(verdict.scores[1], 0);  // an empty response changes nothing
  EXPECT_NE(verdict.scores[0], 0);
  EXPECT_TRUE(verdict.preferences.empty());
  EXPECT_EQ(judge->oracle(), "r3/1");
}

TEST(R3JudgeTest, FailsWithoutAnAnswerOrRoomForIt) {
  const ScratchDirectory directory;
  ASSERT_OK(WriteLanguageModel(directory.path(), 1));
  ModelCache models;
  ASSERT_OK_AND_ASSIGN(const auto judge, MakeR3Judge(SpecOf(directory.path()), models));
  EXPECT_THAT(judge->Decide(CandidatesOf({"a"})),
              StatusIs(StatusCode::kInvalidArgument, "has no answer"));
  EXPECT_THAT(judge->Decide(CandidatesOf({"a", std::string(60, 'a')}, "abc", "ab")),
              StatusIs(StatusCode::kInvalidArgument,
                       "response 1: the prompt of 2 tokens, the response of 60 and the answer of "
                       "3 exceed max_position_embeddings of the oracle's model, 64"));
}

}  // namespace
}  // namespace attune
