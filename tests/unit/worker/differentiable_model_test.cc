#include "worker/differentiable_model.h"

#include <cmath>
#include <vector>

#include <ATen/ATen.h>

#include "gtest/gtest.h"
#include "model/generator.h"
#include "model/policy.h"
#include "model/scorer.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/worker/reference_data.h"
#include "worker/objectives.h"
#include "worker/pair_batch.h"

namespace attune {
namespace {

std::vector<int32_t> Ids(const google::protobuf::RepeatedField<uint32_t>& ids) {
  return {ids.begin(), ids.end()};
}

class DifferentiableModelTest : public testing::Test {
 protected:
  std::vector<float> LogProbs(absl::Span<const v1::TrainingPair> pairs) {
    const PairBatch batch = MakePairBatch(pairs, config_).value();
    const at::Tensor logps = model_.TokenLogProbs(batch.sequences).detach();
    return {logps.data_ptr<float>(), logps.data_ptr<float>() + logps.numel()};
  }

  // Loss of the recorded objective; adds its gradient.
  double Backward(double label_smoothing = 0) {
    const PairBatch batch = MakePairBatch(pairs_, config_).value();
    const at::Tensor logps = SequenceSums(batch, model_.TokenLogProbs(batch.sequences));
    const at::Tensor loss =
        PreferenceLosses({LossKind::kSigmoid, 0.1, label_smoothing},
                         {logps.narrow(0, 0, 4), logps.narrow(0, 4, 4), batch.chosen_reference,
                          batch.rejected_reference, batch.target})
            .losses.mean();
    loss.backward();
    return loss.item<double>();
  }

  double GradientNorm(const TensorSpec& spec) const {
    double sum = 0;
    for (int64_t i = 0; i < spec.size; ++i) {
      sum += static_cast<double>(gradients_[spec.offset + i]) * gradients_[spec.offset + i];
    }
    return std::sqrt(sum);
  }

  const ModelConfig config_ = TestConfig();
  const std::vector<v1::TrainingPair> pairs_ = ReferencePairs();
  std::vector<float> parameters_ = TestWeights();
  std::vector<float> gradients_ = std::vector<float>(parameters_.size());
  DifferentiableModel model_{config_, absl::MakeSpan(parameters_), absl::MakeSpan(gradients_)};
};

TEST_F(DifferentiableModelTest, GivesTheSamplersLogProbabilitiesBitForBit) {
  ASSERT_OK_AND_ASSIGN(const auto policy, Policy::Load(kModelPath));
  std::vector<float> expected;
  for (const bool chosen : {true, false}) {
    for (const v1::TrainingPair& pair : pairs_) {
      ASSERT_OK_AND_ASSIGN(
          const std::vector<float> logps,
          CompletionLogProbs(*policy, Ids(pair.prompt_token_ids()),
                             Ids(chosen ? pair.chosen_token_ids() : pair.rejected_token_ids())));
      expected.insert(expected.end(), logps.begin(), logps.end());
    }
  }
  EXPECT_EQ(LogProbs(pairs_), expected);
}

TEST_F(DifferentiableModelTest, DoesNotDependOnHowSequencesArePacked) {
  const std::vector<float> together = LogProbs(pairs_);
  std::vector<float> chosen, rejected;
  for (const v1::TrainingPair& pair : pairs_) {
    const std::vector<float> alone = LogProbs({&pair, 1});
    chosen.insert(chosen.end(), alone.begin(), alone.begin() + pair.chosen_token_ids_size());
    rejected.insert(rejected.end(), alone.begin() + pair.chosen_token_ids_size(), alone.end());
  }
  chosen.insert(chosen.end(), rejected.begin(), rejected.end());
  EXPECT_EQ(together, chosen);
}

TEST_F(DifferentiableModelTest, AgreesWithTheRecordedReferenceLogProbabilities) {
  const PairBatch batch = MakePairBatch(pairs_, config_).value();
  const at::Tensor sums = SequenceSums(batch, model_.TokenLogProbs(batch.sequences));
  for (int i = 0; i < 8; ++i) {
    const double expected = ReferenceRuns()["reference_logps"][i % 4][i / 4];
    EXPECT_NEAR(sums[i].item<double>(), expected, 1e-5 * std::abs(expected));
  }
}

TEST_F(DifferentiableModelTest, HasTheRecordedGradientNormOfEveryTensor) {
  const nlohmann::json& step = ReferenceRuns()["runs"][0]["trace"][0];
  EXPECT_NEAR(Backward(), step["loss"].get<double>(), 1e-6);
  const std::vector<TensorSpec> layout = WeightLayout(config_);
  ASSERT_EQ(step["grad_norm_by_tensor"].size(), layout.size());
  for (const TensorSpec& spec : layout) {
    const double expected = step["grad_norm_by_tensor"][spec.name];
    EXPECT_NEAR(GradientNorm(spec), expected, 2e-5 * expected) << spec.name;
  }
}

TEST_F(DifferentiableModelTest, AddsGradientsUpOverBackwardPasses) {
  Backward();
  const std::vector<float> once = gradients_;
  Backward();
  for (size_t i = 0; i < once.size(); ++i) {  // added up in another order: rounding differs
    ASSERT_NEAR(gradients_[i], 2 * once[i], 1e-6 + 1e-5 * std::abs(once[i])) << i;
  }
}

TEST_F(DifferentiableModelTest, FollowsTheRecordedRunOfGradientDescent) {
  const nlohmann::json& run = ReferenceRuns()["runs"][0];
  ASSERT_EQ(run["optimizer"], "sgd");
  for (const nlohmann::json& step : run["trace"]) {
    EXPECT_NEAR(Backward(), step["loss"].get<double>(), 2e-6) << "step " << step["step"];
    for (size_t i = 0; i < parameters_.size(); ++i) {
      parameters_[i] -= run["lr"].get<float>() * gradients_[i];
      gradients_[i] = 0;
    }
    model_.ParametersChanged();
  }
}

TEST_F(DifferentiableModelTest, UntiedHeadsGetTheirOwnGradient) {
  ModelConfig untied = config_;
  untied.tie_word_embeddings = false;
  const std::vector<TensorSpec> layout = WeightLayout(untied);
  const std::vector<TensorSpec> tied_layout = WeightLayout(config_);
  std::vector<float> parameters(WeightCount(layout));
  for (const TensorSpec& spec : layout) {
    const std::string name =
        spec.name == "lm_head.weight" ? "model.embed_tokens.weight" : spec.name;
    const TensorSpec& from = FindTensor(tied_layout, name);
    std::copy_n(&parameters_[from.offset], from.size, &parameters[spec.offset]);
  }
  std::vector<float> gradients(parameters.size());
  const DifferentiableModel model(untied, absl::MakeSpan(parameters), absl::MakeSpan(gradients));
  const PairBatch batch = MakePairBatch(pairs_, untied).value();
  const at::Tensor logps = model.TokenLogProbs(batch.sequences);
  EXPECT_TRUE(at::equal(logps, model_.TokenLogProbs(batch.sequences)));
  logps.sum().backward();
  model_.TokenLogProbs(batch.sequences).sum().backward();
  const TensorSpec& head = FindTensor(layout, "lm_head.weight");
  const TensorSpec& embeddings = FindTensor(layout, "model.embed_tokens.weight");
  const TensorSpec& tied = FindTensor(tied_layout, "model.embed_tokens.weight");
  for (int64_t i = 0; i < tied.size; ++i) {
    const float sum = gradients[head.offset + i] + gradients[embeddings.offset + i];
    ASSERT_NEAR(gradients_[tied.offset + i], sum, 1e-4 + 1e-5 * std::abs(sum));
  }
}

}  // namespace
}  // namespace attune
