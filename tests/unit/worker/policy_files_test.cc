#include "worker/policy_files.h"

#include <cmath>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "common/files.h"
#include "gtest/gtest.h"
#include "model/layout.h"
#include "model/weights.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tiny_model.h"
#include "tests/unit/worker/reference_data.h"

namespace attune {
namespace {

class PolicyFilesTest : public testing::Test {
 protected:
  PolicyFilesTest() : policy_{TestConfig(), TestWeights()}, before_{policy_} {
    for (float& weight : policy_.weights) weight += 0.25f;
    request_.set_round(2);
    request_.mutable_input()->set_model_path(kModelPath);
    request_.mutable_objective()->set_ref_model_mixup_alpha(0.6);
    request_.mutable_objective()->set_ref_model_sync_rounds(2);
    request_.set_reference_output_path(directory_.File("reference-3"));
  }

  // What the next round would load.
  std::vector<float> Saved() {
    PolicyWeights reference = before_;
    std::string digest;
    EXPECT_OK(SaveMixedReference(request_, policy_, reference, &digest));
    v1::PolicySource source;
    source.set_checkpoint_path(request_.reference_output_path());
    source.mutable_version()->set_digest(digest);
    const auto loaded = LoadPolicyWeights(source);
    EXPECT_OK(loaded.status());
    return loaded.ok() ? loaded->weights : std::vector<float>();
  }

  ScratchDirectory directory_;
  PolicyWeights policy_;
  const PolicyWeights before_;
  v1::TrainRoundRequest request_;
};

TEST_F(PolicyFilesTest, MixesThePolicyIntoTheReferenceAfterItsRounds) {
  const std::vector<float> saved = Saved();
  ASSERT_EQ(saved.size(), before_.weights.size());
  for (size_t i = 0; i < saved.size(); i += 1000) {
    EXPECT_NEAR(saved[i], before_.weights[i] + 0.6 * 0.25, 1e-6);
  }
}

TEST_F(PolicyFilesTest, KeepsTheReferenceBetweenThem) {
  request_.set_round(3);
  EXPECT_EQ(Saved(), before_.weights);
}

TEST_F(PolicyFilesTest, AnEarlierAttemptIsReplaced) { EXPECT_EQ(Saved(), Saved()); }

TEST_F(PolicyFilesTest, RefusesWeightsOfAnotherDigest) {
  v1::PolicySource source;
  source.set_model_path(kModelPath);
  source.mutable_version()->set_digest("another");
  EXPECT_THAT(LoadPolicyWeights(source), StatusIs(absl::StatusCode::kDataLoss, "has another"));
  source.mutable_version()->clear_digest();
  EXPECT_OK(LoadPolicyWeights(source).status());
}

v1::PolicySource ShippedModel() {
  v1::PolicySource source;
  source.set_model_path(kModelPath);
  return source;
}

TEST(RewardModelFilesTest, ALanguageModelGetsAScoreHeadOfTheSeed) {
  const PolicyWeights before = {TestConfig(), TestWeights()};
  ASSERT_OK_AND_ASSIGN(const PolicyWeights model, LoadRewardModel(ShippedModel(), 7));
  EXPECT_EQ(model.config.num_labels, 1);
  EXPECT_EQ(model.config.pad_token_id, 2);  // the end of a sequence
  const std::vector<TensorSpec> layout = WeightLayout(model.config);
  const TensorSpec& head = FindTensor(layout, "score.weight");
  EXPECT_EQ(head.shape, (std::vector<int64_t>{1, 64}));
  for (const TensorSpec& spec : WeightLayout(before.config)) {
    EXPECT_EQ(absl::MakeSpan(&model.weights[FindTensor(layout, spec.name).offset], spec.size),
              absl::MakeSpan(&before.weights[spec.offset], spec.size))
        << spec.name;
  }
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < head.size; ++i) {
    sum += model.weights[head.offset + i];
    squares += std::pow(model.weights[head.offset + i], 2);
  }
  // Of variance 1 / 65, within four standard errors.
  EXPECT_NEAR(sum / 64, 0, 4 * std::sqrt(1.0 / 65 / 64));
  EXPECT_NEAR(squares / 64, 1.0 / 65, 4 * std::sqrt(2.0 / 64) / 65);
  EXPECT_EQ(LoadRewardModel(ShippedModel(), 7)->weights, model.weights);
  EXPECT_NE(LoadRewardModel(ShippedModel(), 8)->weights, model.weights);
}

TEST(RewardModelFilesTest, AnUntiedLanguageHeadGoes) {
  const ScratchDirectory directory;
  const ModelConfig config = TinyConfig(/*tied=*/false);
  ASSERT_OK(WriteModel(directory.path(), config, TinyWeights(config, 3)));
  v1::PolicySource source;
  source.set_model_path(directory.path());
  ASSERT_OK_AND_ASSIGN(const PolicyWeights model, LoadRewardModel(source, 7));
  EXPECT_EQ(model.weights.size(),
            TinyWeights(config, 3).size() - (config.vocab_size - 1) * config.hidden_size);
}

TEST(RewardModelFilesTest, TheCheckpointIsARewardModelOfTransformers) {
  const ScratchDirectory directory;
  ASSERT_OK_AND_ASSIGN(const PolicyWeights model, LoadRewardModel(ShippedModel(), 7));
  v1::TrainRoundRequest request = ReferenceRequest();
  *request.mutable_input() = ShippedModel();
  request.set_output_path(directory.File("round-1"));
  const std::string digest = WeightsDigest(WeightLayout(model.config), model.weights);
  ASSERT_OK(SavePolicy(request, model, digest));
  const auto config = nlohmann::json::parse(
      ReadFile(JoinPath(request.output_path(), "config.json")).value());
  EXPECT_EQ(config["architectures"], nlohmann::json({"LlamaForSequenceClassification"}));
  EXPECT_EQ(config["num_labels"], 1);
  EXPECT_EQ(config["id2label"], nlohmann::json({{"0", "LABEL_0"}}));
  EXPECT_EQ(config["label2id"], nlohmann::json({{"LABEL_0", 0}}));
  EXPECT_EQ(config["pad_token_id"], 2);
  EXPECT_EQ(config["hidden_size"], 64);
  EXPECT_TRUE(FileExists(JoinPath(request.output_path(), "tokenizer.json")));
  // The next round goes on from it.
  v1::PolicySource next = ShippedModel();
  next.set_checkpoint_path(request.output_path());
  next.mutable_version()->set_digest(digest);
  ASSERT_OK_AND_ASSIGN(const PolicyWeights read, LoadRewardModel(next, 8));
  EXPECT_EQ(read.weights, model.weights);
  EXPECT_EQ(read.config.num_labels, 1);
  EXPECT_EQ(read.config.pad_token_id, 2);
  EXPECT_THAT(LoadPolicyWeights(next),
              StatusIs(absl::StatusCode::kInvalidArgument, "not a language model"));
}

TEST(RewardModelFilesTest, RefusesAClassifierOfSeveralLabels) {
  const ScratchDirectory directory;
  ASSERT_OK_AND_ASSIGN(PolicyWeights model, LoadRewardModel(ShippedModel(), 7));
  model.config.num_labels = 2;
  model.weights.resize(WeightCount(WeightLayout(model.config)));
  v1::TrainRoundRequest request = ReferenceRequest();
  *request.mutable_input() = ShippedModel();
  request.set_output_path(directory.File("two"));
  ASSERT_OK(SavePolicy(request, model, ""));
  v1::PolicySource source;
  source.set_model_path(request.output_path());
  EXPECT_THAT(LoadRewardModel(source, 7),
              StatusIs(absl::StatusCode::kInvalidArgument, "2 labels; must have 1"));
}

}  // namespace
}  // namespace attune
