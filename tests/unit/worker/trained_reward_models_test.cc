// Reward models of every architecture: the rewards of the trainer are those of the checkpoint it
// writes, bit for bit, and its updates are those of the double-precision reference.
#include <cmath>
#include <cstdint>
#include <string>
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
#include "tests/unit/worker/reference_data.h"
#include "worker/policy_files.h"
#include "worker/train_step.h"

namespace attune {
namespace {

constexpr double kCenter = 0.3;
constexpr uint32_t kPairs = 2;

v1::TrainRoundRequest RewardRequest() {
  v1::TrainRoundRequest request = ReferenceRequest();
  request.set_pairs(kPairs);
  v1::ObjectiveSpec& objective = *request.mutable_objective();
  objective.set_loss_type(0, v1::LOSS_TYPE_REWARD_MODEL);
  objective.set_center_rewards_coefficient(kCenter);
  objective.set_score_margin(true);
  return request;
}

std::vector<uint32_t> RandomIds(uint32_t count, uint64_t seed) {
  const CounterRng rng({seed});
  std::vector<uint32_t> ids;
  for (uint32_t i = 0; i < count; ++i) {
    ids.push_back(static_cast<uint32_t>(rng.Below(i, kVariantVocabulary)));
  }
  return ids;
}

// Longer than every window; one ends with padding where the model has such a token.
std::vector<v1::TrainingPair> SomePairs(int64_t padding) {
  std::vector<v1::TrainingPair> pairs(kPairs);
  for (uint32_t i = 0; i < kPairs; ++i) {
    pairs[i].set_index(i);
    pairs[i].set_position(i);
    for (uint32_t id : RandomIds(4 + 9 * i, 10 * i)) pairs[i].add_prompt_token_ids(id);
    for (uint32_t id : RandomIds(20, 10 * i + 1)) pairs[i].mutable_chosen()->add_token_ids(id);
    for (uint32_t id : RandomIds(5, 10 * i + 2)) pairs[i].mutable_rejected()->add_token_ids(id);
    pairs[i].mutable_chosen()->set_score(2 + i);
    pairs[i].mutable_rejected()->set_score(1.5);
  }
  if (padding >= 0) pairs[0].mutable_chosen()->add_token_ids(static_cast<uint32_t>(padding));
  return pairs;
}

std::vector<int32_t> IdsOf(const v1::TrainingPair& pair, const v1::TrainingResponse& response) {
  std::vector<int32_t> ids(pair.prompt_token_ids().begin(), pair.prompt_token_ids().end());
  ids.insert(ids.end(), response.token_ids().begin(), response.token_ids().end());
  return ids;
}

struct Trainee {
  explicit Trainee(const PolicyWeights& initial, TensorType precision = TensorType::kF32)
      : config(initial.config),
        weights(initial.weights),
        gradients(weights.size()),
        model(config, absl::MakeSpan(weights), absl::MakeSpan(gradients), precision) {}
  TrainingModels get() const { return {&config, &model, nullptr}; }

  ModelConfig config;
  std::vector<float> weights;
  std::vector<double> gradients;
  DifferentiableModel model;
};

class TrainedRewardModelsTest : public testing::TestWithParam<ModelVariant> {
 protected:
  void SetUp() override {
    WriteVariant(GetParam(), directory_.path());
    v1::PolicySource source;
    source.set_model_path(directory_.path());
    ASSERT_OK_AND_ASSIGN(initial_, LoadRewardModel(source, /*seed=*/7));
    pairs_ = SomePairs(initial_.config.pad_token_id);
    ASSERT_OK_AND_ASSIGN(objective_, TrainingObjectiveOf(RewardRequest()));
  }

  std::vector<float> TrainersRewards(TensorType precision) const {
    const at::NoGradGuard guard;
    const Trainee trainee(initial_, precision);
    std::vector<float> rewards;
    for (const v1::TrainingPair& pair : pairs_) {
      const at::Tensor values =
          ColumnsOfExamples(objective_, trainee.get(), {&pair, 1})->at(0).values;
      rewards.push_back(values[0][kRewardColumn].item<float>());
      rewards.push_back(values[1][kRewardColumn].item<float>());
    }
    return rewards;
  }

  std::vector<float> RewardsOf(const Policy& policy) const {
    std::vector<float> rewards;
    for (const v1::TrainingPair& pair : pairs_) {
      for (const v1::TrainingResponse* response : {&pair.chosen(), &pair.rejected()}) {
        const auto scores = ClassificationScores(policy, IdsOf(pair, *response));
        EXPECT_OK(scores.status());
        EXPECT_EQ(scores->size(), 1u);
        rewards.push_back(scores->front());
      }
    }
    return rewards;
  }

  // The mean loss of the pairs in double precision, of transformers' padding too.
  double ReferenceLoss(const ReferenceTensors& tensors) const {
    double sum = 0;
    for (const v1::TrainingPair& pair : pairs_) {
      const auto reward = [&](const v1::TrainingResponse& response) {
        std::vector<int32_t> ids = IdsOf(pair, response);
        while (ids.back() == initial_.config.pad_token_id) ids.pop_back();
        return ReferenceScores(GetParam().config, tensors, ids).at(0);
      };
      const double chosen = reward(pair.chosen()), rejected = reward(pair.rejected());
      const double margin = pair.chosen().score() - pair.rejected().score();
      sum += std::log1p(std::exp(-(chosen - rejected - margin))) +
             kCenter * std::pow(chosen + rejected, 2);
    }
    return sum / kPairs;
  }

  const ScratchDirectory directory_;
  PolicyWeights initial_;
  TrainingObjective objective_;
  std::vector<v1::TrainingPair> pairs_;
};

std::string NameOf(const testing::TestParamInfo<ModelVariant>& info) { return info.param.name; }
INSTANTIATE_TEST_SUITE_P(All, TrainedRewardModelsTest, testing::ValuesIn(AllVariants()), NameOf);

TEST_P(TrainedRewardModelsTest, TheCheckpointGivesTheTrainersRewardsBitForBit) {
  const ScratchDirectory scratch;
  v1::TrainRoundRequest request = RewardRequest();
  request.mutable_input()->set_model_path(directory_.path());
  request.set_output_path(scratch.File("round-1"));
  ASSERT_OK(SavePolicy(request, initial_, ""));
  ASSERT_OK_AND_ASSIGN(const auto policy, Policy::Load(request.output_path()));
  EXPECT_EQ(policy->config().num_labels, 1);
  EXPECT_EQ(RewardsOf(*policy), TrainersRewards(TensorType::kF32));
  ASSERT_OK_AND_ASSIGN(const auto rounded,
                       Policy::Create(policy->config(), initial_.weights, TensorType::kBf16));
  EXPECT_EQ(RewardsOf(*rounded), TrainersRewards(TensorType::kBf16));
}

// The loss, and its slope along a random direction within each stored tensor, score.weight among
// them: the reference's by central differences, and that of the trainer's gradient.
TEST_P(TrainedRewardModelsTest, UpdatesAreThoseOfTheDoublePrecisionReference) {
  constexpr double kStep = 1e-6;
  Trainee trainee(initial_);
  ASSERT_OK_AND_ASSIGN(
      const UpdateSums sums,
      AccumulateGradients(objective_, trainee.get(), {}, pairs_, /*pass_pairs=*/2, kPairs));
  const std::vector<double>& gradient = trainee.gradients;
  ReferenceTensors tensors;
  for (const TensorSpec& spec : WeightLayout(initial_.config)) {
    const auto begin = initial_.weights.begin() + spec.offset;
    tensors[spec.name] = {spec.shape, {begin, begin + spec.size}};
  }
  const double loss = ReferenceLoss(tensors);
  EXPECT_NEAR(sums.loss / kPairs, loss, 1e-4 * (1 + loss));
  for (const TensorSpec& spec : WeightLayout(initial_.config)) {
    const std::vector<float> direction =
        RandomFloats(static_cast<size_t>(spec.size), static_cast<uint64_t>(spec.offset + 1));
    std::vector<double>& values = tensors[spec.name].values;
    const std::vector<double> kept = values;
    const auto loss_at = [&](double step) {
      for (size_t i = 0; i < values.size(); ++i) values[i] = kept[i] + step * direction[i];
      return ReferenceLoss(tensors);
    };
    const double expected = (loss_at(kStep) - loss_at(-kStep)) / (2 * kStep);
    values = kept;
    double slope = 0, norm = 0;
    for (int64_t i = 0; i < spec.size; ++i) {
      slope += gradient[spec.offset + i] * direction[i];
      norm += gradient[spec.offset + i] * gradient[spec.offset + i];
    }
    // Positions that no sequence reaches, and k's biases, have no gradient but by rounding.
    EXPECT_NEAR(slope, expected, 2e-5 * std::sqrt(norm) + 1e-7) << spec.name;
  }
}

}  // namespace
}  // namespace attune
