#include "worker/differentiable_model.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "model/policy.h"
#include "model/scorer.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/worker/reference_runs.h"
#include "tests/unit/worker/sequences.h"

namespace attune {
namespace {

// The responses of the recorded pairs: all chosen ones, then all rejected ones.
std::vector<Sequence> RecordedSequences() {
  std::vector<Sequence> sequences;
  for (const char* side : {"chosen_ids", "rejected_ids"}) {
    for (const nlohmann::json& pair : ReferenceRuns()["pairs"]) {
      sequences.push_back({pair["prompt_ids"], pair[side]});
    }
  }
  return sequences;
}

std::vector<float> Floats(const at::Tensor& values) {
  return {values.data_ptr<float>(), values.data_ptr<float>() + values.numel()};
}

// [sequences] float64.
at::Tensor Sums(const at::Tensor& logps, absl::Span<const Sequence> sequences) {
  std::vector<at::Tensor> sums;
  int64_t begin = 0;
  for (const Sequence& sequence : sequences) {
    const auto size = static_cast<int64_t>(sequence.completion.size());
    sums.push_back(logps.narrow(0, begin, size).to(at::kDouble).sum());
    begin += size;
  }
  return at::stack(sums);
}

class DifferentiableModelTest : public testing::Test {
 protected:
  // DPO's loss as recorded; adds its gradient.
  double Backward() {
    const nlohmann::json& recorded = ReferenceRuns()["reference_logps"];
    const at::Tensor sums = Sums(model_.TokenLogProbs(batch_), sequences_);
    at::Tensor losses = at::zeros({}, at::kDouble);
    for (int64_t i = 0; i < 4; ++i) {
      const at::Tensor log_ratios =
          (sums[i] - recorded[i][0].get<double>()) - (sums[4 + i] - recorded[i][1].get<double>());
      losses = losses - at::log_sigmoid(0.1 * log_ratios);
    }
    const at::Tensor loss = losses / 4;
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
  const std::vector<Sequence> sequences_ = RecordedSequences();
  const PackedSequences batch_ = Pack(sequences_);
  std::vector<float> parameters_ = TestWeights();
  std::vector<double> gradients_ = std::vector<double>(parameters_.size());
  DifferentiableModel model_{config_, absl::MakeSpan(parameters_), absl::MakeSpan(gradients_)};
};

TEST_F(DifferentiableModelTest, GivesTheSamplersLogProbabilitiesBitForBit) {
  ASSERT_OK_AND_ASSIGN(const auto policy, Policy::Load(kModelPath));
  std::vector<float> expected;
  for (const Sequence& sequence : sequences_) {
    ASSERT_OK_AND_ASSIGN(const std::vector<float> logps,
                         CompletionLogProbs(*policy, sequence.prompt, sequence.completion));
    expected.insert(expected.end(), logps.begin(), logps.end());
  }
  EXPECT_EQ(Floats(model_.TokenLogProbs(batch_)), expected);
}

TEST_F(DifferentiableModelTest, DoesNotDependOnHowSequencesArePacked) {
  std::vector<float> apart;
  for (const Sequence& sequence : sequences_) {
    const std::vector<float> alone = Floats(model_.TokenLogProbs(Pack({&sequence, 1})));
    apart.insert(apart.end(), alone.begin(), alone.end());
  }
  EXPECT_EQ(Floats(model_.TokenLogProbs(batch_)), apart);
}

TEST_F(DifferentiableModelTest, AgreesWithTheRecordedReferenceLogProbabilities) {
  const at::Tensor sums = Sums(model_.TokenLogProbs(batch_), sequences_);
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
  const std::vector<double> once = gradients_;
  Backward();
  for (size_t i = 0; i < once.size(); ++i) {
    ASSERT_EQ(gradients_[i], 2 * once[i]) << i;
  }
}

TEST_F(DifferentiableModelTest, FollowsTheRecordedRunOfGradientDescent) {
  const nlohmann::json& run = ReferenceRuns()["runs"][0];
  ASSERT_EQ(run["optimizer"], "sgd");
  for (const nlohmann::json& step : run["trace"]) {
    EXPECT_NEAR(Backward(), step["loss"].get<double>(), 2e-6) << "step " << step["step"];
    for (size_t i = 0; i < parameters_.size(); ++i) {
      parameters_[i] -= static_cast<float>(run["lr"].get<double>() * gradients_[i]);
      gradients_[i] = 0;
    }
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
  std::vector<double> gradients(parameters.size());
  const DifferentiableModel model(untied, absl::MakeSpan(parameters), absl::MakeSpan(gradients));
  const at::Tensor logps = model.TokenLogProbs(batch_);
  EXPECT_TRUE(at::equal(logps, model_.TokenLogProbs(batch_)));
  logps.sum().backward();
  model_.TokenLogProbs(batch_).sum().backward();
  const TensorSpec& head = FindTensor(layout, "lm_head.weight");
  const TensorSpec& embeddings = FindTensor(layout, "model.embed_tokens.weight");
  const TensorSpec& tied = FindTensor(tied_layout, "model.embed_tokens.weight");
  for (int64_t i = 0; i < tied.size; ++i) {
    const double sum = gradients[head.offset + i] + gradients[embeddings.offset + i];
    ASSERT_NEAR(gradients_[tied.offset + i], sum, 1e-4 + 1e-5 * std::abs(sum));
  }
}

TEST_F(DifferentiableModelTest, QuestionsChangeNoBitOfLogProbs) {
  const std::vector<float> logps = Floats(model_.TokenLogProbs(batch_));
  const DifferentiableModel frozen(config_, absl::MakeSpan(parameters_), {});
  const TargetColumns bare = model_.ScoreTargets(batch_, {});
  EXPECT_FALSE(bare.reference_kl.defined());
  EXPECT_FALSE(bare.log_sum_squares.defined());
  EXPECT_EQ(Floats(bare.logps), logps);
  EXPECT_EQ(Floats(model_.ScoreTargets(batch_, {&frozen, true}).logps), logps);
}

TEST_F(DifferentiableModelTest, AFrozenModelGivesTheSameColumnsAndNoGradients) {
  std::vector<float> reference_parameters = parameters_;
  for (float& parameter : reference_parameters) parameter *= 1.01f;
  DifferentiableModel frozen(config_, absl::MakeSpan(parameters_), {});
  const DifferentiableModel reference(config_, absl::MakeSpan(reference_parameters), {});
  const TargetColumns expected = model_.ScoreTargets(batch_, {&reference, true});
  const TargetColumns columns = frozen.ScoreTargets(batch_, {&reference, true});
  EXPECT_EQ(Floats(columns.logps), Floats(expected.logps));
  EXPECT_EQ(Floats(columns.reference_kl), Floats(expected.reference_kl));
  EXPECT_EQ(Floats(columns.log_sum_squares), Floats(expected.log_sum_squares));
  EXPECT_GT(expected.reference_kl.min().item<float>(), 0);
  EXPECT_TRUE(expected.reference_kl.requires_grad());
  EXPECT_FALSE(columns.logps.requires_grad());
  EXPECT_FALSE(columns.reference_kl.requires_grad());
  parameters_ = reference_parameters;
  EXPECT_EQ(Floats(frozen.TokenLogProbs(batch_)), Floats(reference.TokenLogProbs(batch_)));
}

TEST_F(DifferentiableModelTest, APolicyThatIsItsReferenceHasNoKlAndNoGradientOfIt) {
  for (const TensorType precision : {TensorType::kF32, TensorType::kBf16}) {
    const DifferentiableModel policy(config_, absl::MakeSpan(parameters_),
                                     absl::MakeSpan(gradients_), precision);
    const DifferentiableModel frozen(config_, absl::MakeSpan(parameters_), {}, precision);
    for (const DifferentiableModel* reference : {&frozen, &policy}) {
      const at::Tensor kl = policy.ScoreTargets(batch_, {reference}).reference_kl;
      EXPECT_TRUE(at::equal(kl, at::zeros_like(kl)));
      kl.sum().backward();
    }
  }
  for (const double gradient : gradients_) ASSERT_EQ(gradient, 0);
}

}  // namespace
}  // namespace attune
