#include "model/scorer.h"

#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tiny_model.h"

namespace attune {
namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

std::shared_ptr<const Policy> MakePolicy(const ModelConfig& config) {
  return Policy::Create(config, TinyWeights(config, 5)).value();
}

ModelConfig RewardConfig(int64_t labels) {
  ModelConfig config = TinyConfig(/*tied=*/true);
  config.num_labels = labels;
  return config;
}

TEST(CompletionLogProbsTest, AreTheLogSoftmaxOfTheLogits) {
  const auto policy = MakePolicy(TinyConfig(false));
  ASSERT_OK_AND_ASSIGN(const std::vector<float> logps, CompletionLogProbs(*policy, {7, 3}, {5}));
  KvCache cache;
  const std::vector<float> state = policy->Forward({{&cache, 0, 7, false}, {&cache, 1, 3, true}});
  std::vector<float> logits(101);
  policy->Logits(state.data(), 1, logits.data());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
  ASSERT_EQ(1u, logps.size());
  EXPECT_NEAR(logits[5] - std::log(sum), logps[0], 1e-6);
}

TEST(CompletionLogProbsTest, OfAnEmptyCompletionAreNone) {
  ASSERT_OK_AND_ASSIGN(const auto logps,
                       CompletionLogProbs(*MakePolicy(TinyConfig(false)), {1}, {}));
  EXPECT_TRUE(logps.empty());
}

TEST(CompletionLogProbsTest, RefusesWhatDoesNotFit) {
  const auto policy = MakePolicy(TinyConfig(false));
  EXPECT_THAT(CompletionLogProbs(*policy, {1}, {-1}), StatusIs(kInvalid, "completion is -1"));
  EXPECT_THAT(CompletionLogProbs(*policy, {}, {1}), StatusIs(kInvalid, "no tokens"));
  EXPECT_THAT(CompletionLogProbs(*policy, {1}, std::vector<int32_t>(64, 1)),
              StatusIs(kInvalid, "max_position_embeddings, 64"));
  EXPECT_THAT(CompletionLogProbs(*MakePolicy(RewardConfig(1)), {1}, {1}),
              StatusIs(kInvalid, "sequence classifier"));
}

TEST(TopLogProbsTest, AreTheLikeliestOfTheVocabulary) {
  const auto policy = MakePolicy(TinyConfig(false));
  const std::vector<int32_t> prompt = {7, 3}, completion = {5, 9, 2};
  ASSERT_OK_AND_ASSIGN(const auto logps, CompletionLogProbs(*policy, prompt, completion));
  ASSERT_OK_AND_ASSIGN(const auto all, TopLogProbs(*policy, prompt, completion, 1000));
  ASSERT_OK_AND_ASSIGN(const auto some, TopLogProbs(*policy, prompt, completion, 4));
  ASSERT_EQ(all.size(), completion.size());
  for (size_t i = 0; i < all.size(); ++i) {
    ASSERT_EQ(all[i].size(), 101u);
    double sum = 0;
    for (size_t k = 0; k < all[i].size(); ++k) {
      sum += std::exp(all[i][k].logp);
      if (k > 0) EXPECT_LE(all[i][k].logp, all[i][k - 1].logp);
      if (all[i][k].id == completion[i]) EXPECT_EQ(all[i][k].logp, logps[i]);
    }
    EXPECT_NEAR(sum, 1, 1e-5);
    EXPECT_EQ(some[i], std::vector<TokenLogProb>(all[i].begin(), all[i].begin() + 4));
  }
  EXPECT_THAT(TopLogProbs(*policy, {}, completion, 4), StatusIs(kInvalid, "no tokens"));
}

TEST(SummedLogProbsTest, AreTheSumsOfCompletionLogProbs) {
  const auto policy = MakePolicy(TinyConfig(false));
  const std::vector<std::vector<int32_t>> completions = {{5}, {5, 9, 2}, {5, 9, 2}, {80, 1}};
  ASSERT_OK_AND_ASSIGN(const std::vector<double> sums,
                       SummedLogProbs(*policy, {7, 3}, completions));
  ASSERT_EQ(sums.size(), completions.size());
  for (size_t i = 0; i < completions.size(); ++i) {
    ASSERT_OK_AND_ASSIGN(const std::vector<float> logps,
                         CompletionLogProbs(*policy, {7, 3}, completions[i]));
    double sum = 0;
    for (const float logp : logps) sum += logp;
    EXPECT_NEAR(sums[i], sum, 1e-6);
  }
  EXPECT_THAT(SummedLogProbs(*policy, {1}, {{2}, std::vector<int32_t>(64, 1)}),
              StatusIs(kInvalid, "max_position_embeddings, 64"));
}

// Position by position, over more of them than one forward pass has.
TEST(CompletionHiddenSumTest, IsTheSumOfTheStatesThatPredictTheTokens) {
  ModelConfig config = TinyConfig(false);
  config.max_position_embeddings = 700;
  const auto policy = MakePolicy(config);
  for (const size_t length : {1, 2, 300, 600}) {
    std::vector<int32_t> ids = {7, 3, 11};
    for (size_t i = 0; i < length; ++i) ids.push_back(static_cast<int32_t>((17 * i + 5) % 101));
    KvCache cache;
    std::vector<double> sum(48);
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const std::vector<float> state =
          policy->Forward({{&cache, static_cast<int64_t>(i), ids[i], true}});
      for (size_t d = 0; i >= 2 && d < 48; ++d) sum[d] += state[d];
    }
    ASSERT_OK_AND_ASSIGN(
        const std::vector<float> result,
        CompletionHiddenSum(*policy, {7, 3, 11}, absl::MakeConstSpan(ids).subspan(3)));
    EXPECT_EQ(std::vector<float>(sum.begin(), sum.end()), result) << length << " tokens";
  }
}

TEST(CompletionHiddenSumTest, OfAnEmptyCompletionIsZero) {
  ASSERT_OK_AND_ASSIGN(const auto sum,
                       CompletionHiddenSum(*MakePolicy(TinyConfig(false)), {1}, {}));
  EXPECT_EQ(std::vector<float>(48, 0.0f), sum);
}

TEST(CompletionHiddenSumTest, RefusesWhatDoesNotFit) {
  const auto policy = MakePolicy(TinyConfig(false));
  EXPECT_THAT(CompletionHiddenSum(*policy, {1}, {-1}), StatusIs(kInvalid, "completion is -1"));
  EXPECT_THAT(CompletionHiddenSum(*policy, {}, {1}), StatusIs(kInvalid, "no tokens"));
  EXPECT_THAT(CompletionHiddenSum(*MakePolicy(RewardConfig(1)), {1}, {1}),
              StatusIs(kInvalid, "sequence classifier"));
  const ModelConfig config = TinyConfig(true);
  std::vector<float> weights = TinyWeights(config, 5);
  weights[weights.size() / 2] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(CompletionHiddenSum(*Policy::Create(config, weights).value(), {1}, {1}),
              StatusIs(absl::StatusCode::kFailedPrecondition, "not finite"));
}

TEST(ClassificationScoresTest, AreTheHeadAppliedToTheLastToken) {
  const ModelConfig config = RewardConfig(3);
  const std::vector<float> weights = TinyWeights(config, 5);
  const auto policy = Policy::Create(config, weights).value();
  ASSERT_OK_AND_ASSIGN(const std::vector<float> scores, ClassificationScores(*policy, {4, 9, 2}));
  KvCache cache;
  const std::vector<float> state =
      policy->Forward({{&cache, 0, 4, false}, {&cache, 1, 9, false}, {&cache, 2, 2, true}});
  const std::vector<TensorSpec> layout = WeightLayout(config);
  const float* const head = &weights[FindTensor(layout, "score.weight").offset];
  ASSERT_EQ(3u, scores.size());
  for (int label = 0; label < 3; ++label) {
    double wanted = 0;
    for (int i = 0; i < 48; ++i) wanted += static_cast<double>(head[label * 48 + i]) * state[i];
    EXPECT_NEAR(wanted, scores[label], 1e-5);
  }
}

TEST(ClassificationScoresTest, PassOverPaddingAtTheEnd) {
  ModelConfig config = RewardConfig(1);
  config.pad_token_id = 2;
  const auto policy = Policy::Create(config, TinyWeights(config, 5)).value();
  ASSERT_OK_AND_ASSIGN(const std::vector<float> plain, ClassificationScores(*policy, {4, 2, 9}));
  ASSERT_OK_AND_ASSIGN(const std::vector<float> padded,
                       ClassificationScores(*policy, {4, 2, 9, 2, 2}));
  EXPECT_EQ(plain, padded);
  ASSERT_OK_AND_ASSIGN(const std::vector<float> one, ClassificationScores(*policy, {2}));
  EXPECT_EQ(one, ClassificationScores(*policy, {2, 2}).value());
}

TEST(ClassificationScoresTest, RefusesALanguageModelAndWhatDoesNotFit) {
  EXPECT_THAT(ClassificationScores(*MakePolicy(TinyConfig(true)), {1}),
              StatusIs(kInvalid, "no score head"));
  const auto policy = MakePolicy(RewardConfig(1));
  EXPECT_THAT(ClassificationScores(*policy, {}), StatusIs(kInvalid, "no tokens"));
  EXPECT_THAT(ClassificationScores(*policy, {101}), StatusIs(kInvalid, "is 101"));
}

TEST(ClassificationScoresTest, TellsWhenTheyAreNotFinite) {
  const ModelConfig config = RewardConfig(1);
  std::vector<float> weights = TinyWeights(config, 5);
  weights.back() = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(ClassificationScores(*Policy::Create(config, weights).value(), {1}),
              StatusIs(absl::StatusCode::kFailedPrecondition, "not finite"));
}

}  // namespace
}  // namespace attune
