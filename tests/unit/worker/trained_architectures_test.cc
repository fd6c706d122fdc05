// The trainer runs what the sampler runs: log-probabilities equal to the policy's bit for bit, and
// the values and gradients of the double-precision reference, for every architecture and option.
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

#include "absl/types/span.h"
#include "common/rng.h"
#include "gtest/gtest.h"
#include "model/policy.h"
#include "model/scorer.h"
#include "model/weights.h"
#include "tests/reference/model_factory.h"
#include "tests/reference/model_variants.h"
#include "tests/reference/reference_model.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tiny_model.h"
#include "tests/unit/worker/sequences.h"
#include "worker/differentiable_model.h"
#include "worker/pieces.h"

namespace attune {
namespace {

// The longest is longer than every window.
std::vector<Sequence> SomeSequences() {
  const CounterRng rng({7});
  uint64_t draw = 0;
  std::vector<Sequence> sequences;
  for (const auto& [prompt, completion] :
       {std::pair<int, int>{1, 4}, {12, 22}, {3, 1}, {5, kVariantPositions - 5}}) {
    Sequence sequence;
    for (int i = 0; i < prompt + completion; ++i) {
      const auto id = static_cast<int32_t>(rng.Uniform(draw++) * kVariantVocabulary);
      (i < prompt ? sequence.prompt : sequence.completion).push_back(id);
    }
    sequences.push_back(std::move(sequence));
  }
  return sequences;
}

std::vector<float> Floats(const at::Tensor& values) {
  return {values.data_ptr<float>(), values.data_ptr<float>() + values.numel()};
}

// The model whose numbers are compared, with its own parameters and gradients.
struct Trainee {
  Trainee(const ModelConfig& config, std::vector<float> weights,
          TensorType precision = TensorType::kF32, bool gradient_checkpointing = false)
      : parameters(std::move(weights)),
        gradients(parameters.size()),
        model(config, absl::MakeSpan(parameters), absl::MakeSpan(gradients), precision,
              gradient_checkpointing) {}

  std::vector<float> parameters;
  std::vector<double> gradients;
  DifferentiableModel model;
};

ReferenceTensors TensorsOf(const ModelConfig& config, absl::Span<const float> weights) {
  ReferenceTensors tensors;
  for (const TensorSpec& spec : WeightLayout(config)) {
    const auto begin = weights.begin() + spec.offset;
    tensors[spec.name] = {spec.shape, {begin, begin + spec.size}};
  }
  return tensors;
}

// log softmax where each target is predicted, in double precision: [targets][vocabulary].
std::vector<std::vector<double>> Distributions(const nlohmann::json& config,
                                               const ReferenceTensors& tensors,
                                               absl::Span<const Sequence> sequences) {
  std::vector<std::vector<double>> distributions;
  for (const Sequence& sequence : sequences) {
    const std::vector<int32_t> ids = sequence.ids();
    const auto logits = ReferenceLogits(config, tensors, ids);
    for (size_t i = sequence.prompt.size(); i < ids.size(); ++i) {
      std::vector<double>& logps = distributions.emplace_back(logits[i - 1]);
      double total = 0;
      for (const double logit : logps) total += std::exp(logit);
      for (double& logp : logps) logp -= std::log(total);
    }
  }
  return distributions;
}

// A model whose distributions those of every variant are compared with; none is it.
struct ReferenceModel {
  ReferenceModel() : variant(AllVariants().front()) {
    variant.name = "reference";  // which the weights depend on
    const ScratchDirectory directory;
    WriteVariant(variant, directory.path());
    config = LoadModelConfig(directory.path()).value();
    weights = LoadWeights(directory.path(), config).value();
  }

  ModelVariant variant;
  ModelConfig config;
  std::vector<float> weights;
};

// Columns of every target, from the distributions of the policy and of its reference.
struct ExpectedColumns {
  ExpectedColumns(absl::Span<const int64_t> targets, const std::vector<std::vector<double>>& policy,
                  const std::vector<std::vector<double>>& reference) {
    for (size_t t = 0; t < targets.size(); ++t) {
      const std::vector<double>& p = policy[t];
      const std::vector<double>& r = reference[t];
      double kl = 0;
      double squares = 0;
      for (size_t v = 0; v < p.size(); ++v) {
        kl += std::exp(r[v]) * (r[v] - p[v]);
        squares += std::exp(2 * p[v]);
      }
      logps.push_back(p[targets[t]]);
      reference_kl.push_back(kl);
      log_sum_squares.push_back(std::log(squares));
    }
  }

  std::vector<double> logps;
  std::vector<double> reference_kl;
  std::vector<double> log_sum_squares;
};

std::string NameOf(const testing::TestParamInfo<ModelVariant>& info) { return info.param.name; }

class TrainedArchitecturesTest : public testing::TestWithParam<ModelVariant> {
 protected:
  void SetUp() override {
    WriteVariant(GetParam(), directory_.path());
    ASSERT_OK_AND_ASSIGN(config_, LoadModelConfig(directory_.path()));
    ASSERT_OK_AND_ASSIGN(weights_, LoadWeights(directory_.path(), config_));
  }

  void ExpectTheSamplersLogProbs(const Policy& policy, TensorType precision) {
    std::vector<float> expected;
    Trainee trainee(config_, weights_, precision);
    for (const Sequence& sequence : sequences_) {
      ASSERT_OK_AND_ASSIGN(const std::vector<float> logps,
                           CompletionLogProbs(policy, sequence.prompt, sequence.completion));
      EXPECT_EQ(Floats(trainee.model.TokenLogProbs(Pack({&sequence, 1}))), logps);
      expected.insert(expected.end(), logps.begin(), logps.end());
    }
    EXPECT_EQ(Floats(trainee.model.TokenLogProbs(Pack(sequences_))), expected);
  }

  std::vector<std::vector<double>> ReferenceDistributions(
      absl::Span<const Sequence> sequences) const {
    return Distributions(reference_.variant.config,
                         TensorsOf(reference_.config, reference_.weights), sequences);
  }

  const ScratchDirectory directory_;
  const std::vector<Sequence> sequences_ = SomeSequences();
  const ReferenceModel reference_;
  ModelConfig config_;
  std::vector<float> weights_;
};
INSTANTIATE_TEST_SUITE_P(All, TrainedArchitecturesTest, testing::ValuesIn(AllVariants()), NameOf);

TEST_P(TrainedArchitecturesTest, GivesTheSamplersLogProbabilitiesBitForBitHoweverPacked) {
  ASSERT_OK_AND_ASSIGN(const std::shared_ptr<const Policy> policy, Policy::Load(directory_.path()));
  ExpectTheSamplersLogProbs(*policy, TensorType::kF32);
}

TEST_P(TrainedArchitecturesTest, GivesTheLogProbabilitiesOfASamplerInBf16) {
  ASSERT_OK_AND_ASSIGN(const std::shared_ptr<const Policy> policy,
                       Policy::Create(config_, weights_, TensorType::kBf16));
  ExpectTheSamplersLogProbs(*policy, TensorType::kBf16);
}

TEST_P(TrainedArchitecturesTest, HasTheColumnsOfTheDoublePrecisionReference) {
  const ExpectedColumns expected(
      Pack(sequences_).targets,
      Distributions(GetParam().config, TensorsOf(config_, weights_), sequences_),
      ReferenceDistributions(sequences_));
  const Trainee trainee(config_, weights_);
  const Trainee reference(reference_.config, reference_.weights);
  const TargetColumns columns =
      trainee.model.ScoreTargets(Pack(sequences_), {&reference.model, /*log_sum_squares=*/true});
  const auto expect_near = [](const at::Tensor& actual, const std::vector<double>& values) {
    EXPECT_LT((actual - at::tensor(values)).abs().max().item<double>(), 1e-4);
  };
  expect_near(columns.logps, expected.logps);
  expect_near(columns.reference_kl, expected.reference_kl);
  expect_near(columns.log_sum_squares, expected.log_sum_squares);
}

TEST_P(TrainedArchitecturesTest, GivesTheSameBitsFrozen) {
  for (const TensorType precision : {TensorType::kF32, TensorType::kBf16}) {
    Trainee trainee(config_, weights_, precision);
    const DifferentiableModel frozen(config_, absl::MakeSpan(trainee.parameters), {}, precision);
    const at::Tensor logps = frozen.TokenLogProbs(Pack(sequences_));
    EXPECT_FALSE(logps.requires_grad());
    EXPECT_EQ(Floats(logps), Floats(trainee.model.TokenLogProbs(Pack(sequences_))));
  }
}

// Of a sum of log-probabilities and KL divergences with random weights, along a random direction
// within each stored tensor, so that every element counts: the slope of the reference by central
// differences, and the gradient's. They differ by fp32 rounding, which is small beside the
// gradient's norm; a gradient that lacks a term, or has one twice, is not.
TEST_P(TrainedArchitecturesTest, HasTheGradientsOfTheDoublePrecisionReference) {
  constexpr double kStep = 1e-6;
  const auto sequences = absl::MakeConstSpan(sequences_).subspan(0, 2);
  Trainee trainee(config_, weights_);
  Trainee reference(reference_.config, reference_.weights);
  const TargetColumns columns =
      trainee.model.ScoreTargets(Pack(sequences), {.reference = &reference.model});
  const auto targets = static_cast<size_t>(columns.logps.numel());
  const std::vector<float> logp_weights = RandomFloats(targets, /*seed=*/3);
  const std::vector<float> kl_weights = RandomFloats(targets, /*seed=*/4);
  (columns.logps * at::tensor(logp_weights) + columns.reference_kl * at::tensor(kl_weights))
      .sum()
      .backward();
  EXPECT_EQ(reference.gradients, std::vector<double>(reference.gradients.size()));
  const auto reference_distributions = ReferenceDistributions(sequences);
  ReferenceTensors tensors = TensorsOf(config_, weights_);
  for (const TensorSpec& spec : WeightLayout(config_)) {
    const std::vector<float> direction =
        RandomFloats(static_cast<size_t>(spec.size), static_cast<uint64_t>(spec.offset + 1));
    std::vector<double>& values = tensors[spec.name].values;
    const std::vector<double> kept = values;
    const auto objective_at = [&](double step) {
      for (size_t i = 0; i < values.size(); ++i) values[i] = kept[i] + step * direction[i];
      const ExpectedColumns moved(Pack(sequences).targets,
                                  Distributions(GetParam().config, tensors, sequences),
                                  reference_distributions);
      double sum = 0;
      for (size_t t = 0; t < targets; ++t) {
        sum += logp_weights[t] * moved.logps[t] + kl_weights[t] * moved.reference_kl[t];
      }
      return sum;
    };
    const double expected = (objective_at(kStep) - objective_at(-kStep)) / (2 * kStep);
    values = kept;
    double slope = 0;
    double norm = 0;
    for (int64_t i = 0; i < spec.size; ++i) {
      const double gradient = trainee.gradients[spec.offset + i];
      slope += gradient * direction[i];
      norm += gradient * gradient;
    }
    EXPECT_NEAR(slope, expected, 1e-5 * std::sqrt(norm)) << spec.name;
  }
}

// As another number of threads, running layers again changes no bit.
TEST_P(TrainedArchitecturesTest, HasTheSameGradientsHoweverTheyAreComputed) {
  const auto gradients_with = [&](int threads, bool gradient_checkpointing = false) {
    SetPieceThreads(threads);
    Trainee trainee(config_, weights_, TensorType::kF32, gradient_checkpointing);
    trainee.model.TokenLogProbs(Pack(sequences_)).sum().backward();
    SetPieceThreads(1);
    return trainee.gradients;
  };
  const std::vector<double> plain = gradients_with(1);
  EXPECT_EQ(plain, gradients_with(3));
  EXPECT_EQ(plain, gradients_with(1, true));
}

}  // namespace
}  // namespace attune
