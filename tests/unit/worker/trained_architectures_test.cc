// The trainer runs what the sampler runs: log-probabilities equal to the policy's bit for bit, and
// the gradients of the double-precision reference, for every architecture and option.
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
#include "worker/differentiable_model.h"
#include "worker/pieces.h"

namespace attune {
namespace {

struct Sequence {
  std::vector<int32_t> prompt;
  std::vector<int32_t> completion;

  std::vector<int32_t> ids() const {
    std::vector<int32_t> ids = prompt;
    ids.insert(ids.end(), completion.begin(), completion.end());
    return ids;
  }
};

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

PackedSequences Pack(absl::Span<const Sequence> sequences) {
  PackedSequences packed;
  packed.offsets = {0};
  for (const Sequence& sequence : sequences) {
    const std::vector<int32_t> ids = sequence.ids();
    const auto begin = static_cast<int64_t>(packed.tokens.size());
    packed.tokens.insert(packed.tokens.end(), ids.begin(), ids.end() - 1);
    packed.offsets.push_back(static_cast<int64_t>(packed.tokens.size()));
    for (size_t i = sequence.prompt.size(); i < ids.size(); ++i) {
      packed.target_rows.push_back(begin + static_cast<int64_t>(i) - 1);
      packed.targets.push_back(ids[i]);
    }
  }
  return packed;
}

std::vector<float> Floats(const at::Tensor& values) {
  return {values.data_ptr<float>(), values.data_ptr<float>() + values.numel()};
}

// The model whose numbers are compared, with its own parameters and gradients.
struct Trainee {
  Trainee(const ModelConfig& config, std::vector<float> weights,
          TensorType precision = TensorType::kF32)
      : parameters(std::move(weights)),
        gradients(parameters.size()),
        model(config, absl::MakeSpan(parameters), absl::MakeSpan(gradients), precision) {}

  std::vector<float> parameters;
  std::vector<float> gradients;
  DifferentiableModel model;
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

  // The sum of the log-probabilities under `tensors`, each with its weight, in double precision.
  double Objective(const ReferenceTensors& tensors, absl::Span<const Sequence> sequences,
                   const at::Tensor& weights) const {
    double sum = 0;
    int64_t target = 0;
    for (const Sequence& sequence : sequences) {
      const std::vector<int32_t> ids = sequence.ids();
      const auto logits = ReferenceLogits(GetParam().config, tensors, ids);
      for (size_t i = sequence.prompt.size(); i < ids.size(); ++i) {
        double total = 0;
        for (const double logit : logits[i - 1]) total += std::exp(logit);
        sum += weights[target++].item<double>() * (logits[i - 1][ids[i]] - std::log(total));
      }
    }
    return sum;
  }

  const ScratchDirectory directory_;
  const std::vector<Sequence> sequences_ = SomeSequences();
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

// Along a random direction within each stored tensor, so that every element counts: the slope of
// the reference by central differences, and the gradient's. They differ by fp32 rounding, which is
// small beside the gradient's norm; a gradient that lacks a term, or has one twice, is not.
TEST_P(TrainedArchitecturesTest, HasTheGradientsOfTheDoublePrecisionReference) {
  constexpr double kStep = 1e-6;
  const auto sequences = absl::MakeConstSpan(sequences_).subspan(0, 2);
  Trainee trainee(config_, weights_);
  const at::Tensor logps = trainee.model.TokenLogProbs(Pack(sequences));
  const at::Tensor token_weights =
      at::tensor(RandomFloats(static_cast<size_t>(logps.numel()), /*seed=*/3));
  (logps * token_weights).sum().backward();
  const std::vector<TensorSpec> layout = WeightLayout(config_);
  ReferenceTensors tensors;
  for (const TensorSpec& spec : layout) {
    const auto begin = weights_.begin() + spec.offset;
    tensors[spec.name] = {spec.shape, {begin, begin + spec.size}};
  }
  for (const TensorSpec& spec : layout) {
    const std::vector<float> direction =
        RandomFloats(static_cast<size_t>(spec.size), static_cast<uint64_t>(spec.offset + 1));
    std::vector<double>& values = tensors[spec.name].values;
    const std::vector<double> kept = values;
    const auto objective_at = [&](double step) {
      for (size_t i = 0; i < values.size(); ++i) values[i] = kept[i] + step * direction[i];
      return Objective(tensors, sequences, token_weights);
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

TEST_P(TrainedArchitecturesTest, HasTheSameGradientsWithAnyNumberOfThreads) {
  const auto gradients_with = [&](int threads) {
    SetPieceThreads(threads);
    Trainee trainee(config_, weights_);
    trainee.model.TokenLogProbs(Pack(sequences_)).sum().backward();
    SetPieceThreads(1);
    return trainee.gradients;
  };
  EXPECT_EQ(gradients_with(1), gradients_with(3));
}

}  // namespace
}  // namespace attune
