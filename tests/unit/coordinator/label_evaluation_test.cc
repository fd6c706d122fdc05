#include "coordinator/label_evaluation.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/statistics.h"
#include "gmock/gmock.h"

namespace attune {
namespace {

using testing::ElementsAre;

// Prompts whose responses have these labels.
Dataset Labelled(const std::vector<std::vector<double>>& labels) {
  Dataset dataset;
  for (const std::vector<double>& scores : labels) {
    v1::Prompt& prompt = dataset.prompts.emplace_back();
    prompt.set_index(static_cast<uint32_t>(dataset.prompts.size() - 1));
    prompt.set_text(absl::StrCat("prompt ", prompt.index()));
    for (double score : scores) {
      v1::GivenResponse* response = prompt.add_given();
      response->set_text(absl::StrCat("worth ", score));
      response->set_score(score);
    }
  }
  return dataset;
}

v1::Judgment Rewards(uint32_t prompt, const std::vector<double>& rewards) {
  v1::Judgment judgment;
  judgment.set_prompt_index(prompt);
  judgment.mutable_scores()->Assign(rewards.begin(), rewards.end());
  return judgment;
}

v1::JobSpec OfflineJob() {
  v1::JobSpec spec;
  spec.mutable_model()->set_path("/models/m");
  spec.mutable_oracle()->set_kind(v1::ORACLE_KIND_DATASET);
  spec.mutable_objective()->add_loss_type(v1::LOSS_TYPE_SIGMOID);
  spec.mutable_objective()->set_beta(0.3);
  return spec;
}

TEST(LabelEvaluationTest, AsksForTheRewardsOfHeldOutResponsesWithDifferentLabels) {
  Dataset dataset = Labelled({{1, 0}, {1, 0}, {2, 2}, {}, {1}, {0, 1, 2}});
  dataset.prompts[5].set_messages("[]");
  dataset.prompts[5].set_gold("42");
  const v1::JudgeRequest request =
      LabelJudgeRequest(OfflineJob(), "/ckpt/round-1", dataset, {1, 2, 3, 4, 5});
  ASSERT_EQ(request.items_size(), 2);
  EXPECT_EQ(request.items(0).prompt_index(), 1u);
  EXPECT_EQ(request.items(0).prompt(), "prompt 1");
  EXPECT_THAT(request.items(1).responses(), ElementsAre("worth 0", "worth 1", "worth 2"));
  EXPECT_EQ(request.items(1).response_tokens_size(), 3);
  EXPECT_EQ(request.items(1).messages(), "[]");
  EXPECT_EQ(request.items(1).gold(), "42");
}

TEST(LabelEvaluationTest, APolicysRewardsAreItsLogRatiosToTheInitialModel) {
  const v1::JudgeRequest request = LabelJudgeRequest(OfflineJob(), "/ckpt/round-1", {}, {});
  EXPECT_EQ(request.spec().kind(), v1::ORACLE_KIND_IMPLICIT_REWARD);
  EXPECT_EQ(request.spec().path(), "/ckpt/round-1");
  EXPECT_EQ(request.spec().reference_path(), "/models/m");
  EXPECT_EQ(request.spec().beta(), 0.3);
}

TEST(LabelEvaluationTest, ARewardModelsRewardsAreItsOutputs) {
  v1::JobSpec spec = OfflineJob();
  spec.mutable_objective()->set_loss_type(0, v1::LOSS_TYPE_REWARD_MODEL);
  const v1::JudgeRequest request = LabelJudgeRequest(spec, "/ckpt/round-2", {}, {});
  EXPECT_EQ(request.spec().kind(), v1::ORACLE_KIND_REWARD_MODEL);
  EXPECT_EQ(request.spec().path(), "/ckpt/round-2");
  EXPECT_FALSE(request.spec().has_beta());
  EXPECT_EQ(request.spec().reference_path(), "");
}

TEST(LabelEvaluationTest, IsForJobsThatSampleNothing) {
  v1::JobSpec spec = OfflineJob();
  EXPECT_TRUE(EvaluatesByLabels(spec));
  spec.mutable_oracle()->set_kind(v1::ORACLE_KIND_LEXICON);
  EXPECT_FALSE(EvaluatesByLabels(spec));
  spec.mutable_objective()->set_loss_type(0, v1::LOSS_TYPE_REWARD_MODEL);
  EXPECT_TRUE(EvaluatesByLabels(spec));
}

TEST(LabelEvaluationTest, CountsPairsWithDifferentLabelsAndTakesTiesForWrong) {
  const Dataset dataset = Labelled({{1, 0}, {2, 0, 1}, {1, 1, 0}, {0, 1}});
  const v1::Evaluation evaluation =
      EvaluateByLabels(dataset, {Rewards(0, {0.5, 0.5}),       // a tie: 0 of 1
                                 Rewards(1, {9, -1, -2}),      // 2 > 0, 2 > 1, but not 1 > 0
                                 Rewards(2, {3, 1, 2}),        // equal labels are no pair: 1 of 2
                                 Rewards(3, {-1, 1})});        // 1 of 1
  EXPECT_EQ(evaluation.prompts(), 4u);
  EXPECT_EQ(evaluation.pairs(), 7u);
  EXPECT_DOUBLE_EQ(evaluation.accuracy(), 4.0 / 7);
  EXPECT_DOUBLE_EQ(evaluation.accuracy_low(), WilsonInterval(4, 7).low);
  EXPECT_DOUBLE_EQ(evaluation.accuracy_high(), WilsonInterval(4, 7).high);
}

TEST(LabelEvaluationTest, LeavesOutJudgementsThatFailed) {
  const Dataset dataset = Labelled({{1, 0}, {1, 0}});
  v1::Judgment failed = Rewards(0, {});
  failed.set_failure("out of memory");
  const v1::Evaluation evaluation = EvaluateByLabels(dataset, {failed, Rewards(1, {1, 0})});
  EXPECT_EQ(evaluation.prompts(), 1u);
  EXPECT_EQ(evaluation.pairs(), 1u);
  EXPECT_EQ(evaluation.accuracy(), 1);
  const v1::Evaluation nothing = EvaluateByLabels(dataset, {failed});
  EXPECT_EQ(nothing.pairs(), 0u);
  EXPECT_EQ(nothing.accuracy(), 0);
}

}  // namespace
}  // namespace attune
