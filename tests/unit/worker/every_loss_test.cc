// Every loss through the trainer: what it adds up example by example, rank by rank, is the gradient
// of the loss of the whole update.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "absl/strings/ascii.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/worker/reference_data.h"
#include "worker/policy_files.h"
#include "worker/train_step.h"

namespace attune {
namespace {

constexpr int64_t kExamples = 4;

v1::TrainRoundRequest RequestOf(v1::LossType loss) {
  v1::TrainRoundRequest request = ReferenceRequest();
  v1::ObjectiveSpec& objective = *request.mutable_objective();
  objective.clear_loss_type();
  objective.add_loss_type(loss);
  objective.set_label_smoothing(loss == v1::LOSS_TYPE_EXO_PAIR ? 0.1 : 0);
  objective.set_discopop_tau(0.05);
  objective.set_simpo_gamma(0.5);
  objective.set_alphapo_alpha(0.1);
  objective.set_dpop_lambda(5);
  objective.set_r_dpo_lambda(0.01);
  objective.set_desirable_weight(1);
  objective.set_undesirable_weight(1.5);
  objective.set_ddo_alpha(2);
  objective.set_tdpo_alpha(0.5);
  objective.set_xpo_alpha(0.01);
  objective.set_modpo_weight(0.5);
  objective.set_anchor_tau(1);
  objective.set_beta_anchor_kl(0.1);
  objective.set_score_temperature(0.5);
  objective.add_view_weights(0.5);
  objective.add_view_weights(0.2);
  objective.set_center_rewards_coefficient(0.01);
  objective.set_score_margin(true);
  objective.set_fast_slow_alpha(0.3);
  return request;
}

// The recorded pairs with everything that some loss needs. The reference has sampled nothing.
std::vector<v1::TrainingPair> Examples(const TrainingObjective& objective) {
  std::vector<v1::TrainingPair> pairs = ReferencePairs();
  const std::vector<v1::TrainingPair> plain = pairs;
  for (size_t i = 0; i < pairs.size(); ++i) {
    v1::TrainingPair& pair = pairs[i];
    const v1::TrainingPair& next = plain[(i + 1) % plain.size()];
    pair.set_position(static_cast<uint32_t>(i));
    pair.set_target(0.6 + 0.1 * static_cast<double>(i));
    if (objective.responses == 3) *pair.add_others() = next.chosen();
    double score = 2;
    for (v1::TrainingResponse* response : {pair.mutable_chosen(), pair.mutable_rejected()}) {
      response->clear_reference_logps();
      response->set_score(score);
      response->set_win_rate(score / 2);
      response->set_margin(0.3 * score);
      score -= 1.5;
    }
    for (v1::TrainingResponse& other : *pair.mutable_others()) {
      other.clear_reference_logps();
      other.set_score(1);
      other.set_win_rate(0.5);
    }
    if (CorruptedSequences(objective.needs) > 0) {
      *pair.mutable_corrupted_prompt_token_ids() = next.prompt_token_ids();
    }
    if (objective.needs.mismatched) {
      *pair.add_mismatched() = next.chosen();
      *pair.add_mismatched() = next.rejected();
    }
  }
  return pairs;
}

PolicyWeights InitialModel(bool rewards) {
  v1::PolicySource source;
  source.set_model_path(kModelPath);
  return (rewards ? LoadRewardModel(source, /*seed=*/5) : LoadPolicyWeights(source)).value();
}

// A model in training, another that it is compared with, and a third that learns beside it.
class Models {
 public:
  explicit Models(bool rewards = false) : Models(InitialModel(rewards)) {}
  explicit Models(const PolicyWeights& initial)
      : config_(initial.config),
        weights_(initial.weights),
        reference_weights_(weights_),
        other_weights_(weights_),
        gradient_(weights_.size()),
        policy_(config_, absl::MakeSpan(weights_), absl::MakeSpan(gradient_)) {
    for (size_t i = 0; i < reference_weights_.size(); i += 3) reference_weights_[i] *= 0.98f;
    reference_ = std::make_unique<const DifferentiableModel>(
        config_, absl::MakeSpan(reference_weights_), absl::Span<double>());
    for (size_t i = 0; i < other_weights_.size(); i += 5) other_weights_[i] *= 1.01f;
    other_ = std::make_unique<const DifferentiableModel>(config_, absl::MakeSpan(other_weights_),
                                                         absl::Span<double>());
  }
  TrainingModels get() const { return {&config_, &policy_, reference_.get(), other_.get()}; }
  std::vector<double>& gradient() { return gradient_; }

 private:
  const ModelConfig config_;
  std::vector<float> weights_;
  std::vector<float> reference_weights_;
  std::vector<float> other_weights_;
  std::vector<double> gradient_;
  DifferentiableModel policy_;
  std::unique_ptr<const DifferentiableModel> reference_;
  std::unique_ptr<const DifferentiableModel> other_;
};

absl::StatusOr<ExampleColumns> OneExample(const TrainingObjective& objective,
                                          const TrainingModels& models,
                                          const v1::TrainingPair& pair) {
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<ExampleColumns> columns,
                          ColumnsOfExamples(objective, models, {&pair, 1}));
  return columns[0];
}

struct Update {
  double loss = 0;
  std::vector<double> gradient;
};

// As the trainer does it, on several ranks.
Update OverRanks(const TrainingObjective& objective, const std::vector<v1::TrainingPair>& pairs,
                 int ranks, size_t pass_pairs = 2) {
  Update update;
  EXPECT_OK(RunLocalRanks(ranks, [&](Collective& collective) -> absl::Status {
    Models models(objective.needs.rewards);
    std::vector<v1::TrainingPair> mine;
    for (size_t i = collective.rank(); i < pairs.size(); i += ranks) mine.push_back(pairs[i]);
    RunningMean rewards;
    ATTUNE_ASSIGN_OR_RETURN(
        const CoupledLosses coupled,
        EvaluateTogether(objective, models.get(), mine, kExamples, collective, false, &rewards));
    ATTUNE_ASSIGN_OR_RETURN(
        const UpdateSums result,
        AccumulateGradients(objective, models.get(), coupled, mine, pass_pairs, kExamples));
    std::vector<double> sums = models.gradient();
    sums.push_back(result.loss / kExamples);
    ATTUNE_RETURN_IF_ERROR(collective.AllReduceSum(absl::MakeSpan(sums)));
    if (collective.rank() != 0) return absl::OkStatus();
    update.loss = sums.back();
    sums.pop_back();
    update.gradient = std::move(sums);
    return absl::OkStatus();
  }));
  return update;
}

// One graph over the whole update: slow, large, and without any of the trainer's arrangements.
Update InOneGraph(TrainingObjective objective, const std::vector<v1::TrainingPair>& pairs) {
  Models models(objective.needs.rewards);
  std::vector<at::Tensor> columns;
  for (const v1::TrainingPair& pair : pairs) {
    columns.push_back(OneExample(objective, models.get(), pair).value().values);
  }
  const LossBatch batch = LossBatchOf(objective, at::stack(columns));
  if (objective.needs.running_mean) {
    objective.objective.options.bco_shift =
        UpdateRewardMean({}, batch, objective.objective.options.beta).mean;
  }
  const at::Tensor loss = Evaluate(objective.objective, batch).loss;
  loss.backward();
  return {loss.item<double>(), {models.gradient().begin(), models.gradient().end()}};
}

void ExpectSameUpdate(const Update& actual, const Update& expected, const std::string& name) {
  EXPECT_NEAR(actual.loss, expected.loss, 1e-9 * (1 + std::abs(expected.loss))) << name;
  double largest = 0, difference = 0;
  for (size_t i = 0; i < expected.gradient.size(); ++i) {
    largest = std::max(largest, std::abs(expected.gradient[i]));
    difference = std::max(difference, std::abs(actual.gradient[i] - expected.gradient[i]));
  }
  EXPECT_GT(largest, 1e-8) << name << " has no gradient";
  EXPECT_LE(difference, 2e-5 * largest) << name;  // of fp32 gradients of each example
}

class EveryLossTest : public testing::TestWithParam<int> {
 protected:
  v1::LossType loss() const { return static_cast<v1::LossType>(GetParam()); }
};

std::string ParameterName(const testing::TestParamInfo<int>& info) {
  return v1::LossType_Name(static_cast<v1::LossType>(info.param)).substr(10);
}

INSTANTIATE_TEST_SUITE_P(All, EveryLossTest, testing::Range(1, v1::LossType_ARRAYSIZE),
                         ParameterName);

TEST_P(EveryLossTest, AddsUpToTheGradientOfTheWholeUpdate) {
  v1::TrainRoundRequest request = RequestOf(loss());
  const LossNeeds needs = FindLoss(absl::AsciiStrToLower(ParameterName({GetParam(), 0})))->needs;
  request.set_responses(needs.groups || needs.gold ? 3 : 2);
  ASSERT_OK_AND_ASSIGN(const TrainingObjective objective, TrainingObjectiveOf(request));
  const std::vector<v1::TrainingPair> examples = Examples(objective);
  const Update expected = InOneGraph(objective, examples);
  ExpectSameUpdate(OverRanks(objective, examples, 1), expected, "one rank");
  ExpectSameUpdate(OverRanks(objective, examples, 3), expected, "three ranks");
}

TEST(TrainedLossesTest, JobFilesAndTheTableOfLossesHaveTheSameNames) {
  std::vector<std::string> names, table;
  for (int i = 1; i < v1::LossType_ARRAYSIZE; ++i) {
    names.push_back(absl::AsciiStrToLower(ParameterName({i, 0})));
  }
  for (const Loss& loss : AllLosses()) table.push_back(loss.name);
  std::sort(names.begin(), names.end());
  std::sort(table.begin(), table.end());
  EXPECT_EQ(names, table);
  EXPECT_EQ(AllLossNeeds().size(), table.size());
}

TEST(TrainedLossesTest, SumsOfLossesAndWeightsOfTokensAndPairs) {
  v1::TrainRoundRequest request = RequestOf(v1::LOSS_TYPE_SIGMOID);
  v1::ObjectiveSpec& spec = *request.mutable_objective();
  const auto expect_same = [&](const std::string& name) {
    ASSERT_OK_AND_ASSIGN(const TrainingObjective objective, TrainingObjectiveOf(request));
    const std::vector<v1::TrainingPair> examples = Examples(objective);
    ExpectSameUpdate(OverRanks(objective, examples, 2), InOneGraph(objective, examples), name);
  };
  spec.set_use_weighting(true);
  expect_same("wpo");
  spec.set_use_weighting(false);
  spec.set_ld_alpha(0.3);
  expect_same("ld-dpo");
  spec.set_ld_alpha(1);
  spec.set_sampo(true);
  expect_same("sampo");
  spec.set_sampo(false);
  spec.set_f_divergence_type(v1::F_DIVERGENCE_TYPE_JS_DIVERGENCE);
  expect_same("js");
  spec.add_loss_type(v1::LOSS_TYPE_BCO_PAIR);
  spec.add_loss_type(v1::LOSS_TYPE_SFT);
  for (double weight : {0.8, 0.2, 1.0}) spec.add_loss_weights(weight);
  expect_same("mpo");
}

TEST(TrainedLossesTest, RecordedReferenceLogpsTakeThePlaceOfTheModel) {
  const v1::TrainRoundRequest request = RequestOf(v1::LOSS_TYPE_SIGMOID);
  ASSERT_OK_AND_ASSIGN(const TrainingObjective objective, TrainingObjectiveOf(request));
  const Models models;
  TrainingModels without = models.get();
  without.reference = nullptr;
  v1::TrainingPair pair = ReferencePairs()[0];
  const auto reference = [&](const TrainingModels& which, int64_t sequence) {
    return OneExample(objective, which, pair)
        .value()
        .values[sequence][kReferenceLogpColumn]
        .item<double>();
  };
  EXPECT_NEAR(reference(without, 0), pair.chosen().rollout_logp(), 1e-5);
  EXPECT_EQ(reference(without, 0), reference(models.get(), 0));
  pair.mutable_chosen()->clear_reference_logps();  // one side is not enough
  EXPECT_EQ(reference(without, 1), 0);
  EXPECT_NE(reference(models.get(), 1), 0);
}

TEST(TrainedLossesTest, TheRejectedResponseFollowsItsOwnPrompt) {
  const v1::TrainRoundRequest request = RequestOf(v1::LOSS_TYPE_KTO);
  ASSERT_OK_AND_ASSIGN(const TrainingObjective objective, TrainingObjectiveOf(request));
  const Models models;
  const v1::TrainingPair first = Examples(objective)[0], second = Examples(objective)[1];
  ASSERT_FALSE(std::equal(
      first.prompt_token_ids().begin(), first.prompt_token_ids().end(),
      second.prompt_token_ids().begin(), second.prompt_token_ids().end()));
  v1::TrainingPair unpaired = first;
  *unpaired.mutable_rejected() = second.rejected();
  *unpaired.mutable_rejected_prompt_token_ids() = second.prompt_token_ids();
  const auto logps = [&](const v1::TrainingPair& pair) {
    const at::Tensor values = OneExample(objective, models.get(), pair).value().values;
    return values.detach().select(1, kLogpColumn).contiguous();
  };
  const at::Tensor actual = logps(unpaired);
  EXPECT_TRUE(at::equal(actual[0], logps(first)[0]));
  EXPECT_TRUE(at::equal(actual[1], logps(second)[1]));
  // Responses of another example are scored after these prompts: the chosen one, the rejected one.
  v1::TrainingPair after_second = second;
  *after_second.mutable_mismatched() = first.mismatched();
  EXPECT_TRUE(at::equal(actual[2], logps(first)[2]));
  EXPECT_TRUE(at::equal(actual[3], logps(after_second)[3]));
  EXPECT_FALSE(at::equal(actual[3], logps(first)[3]));
}

TEST(TrainedLossesTest, RefuseExamplesThatLackSomething) {
  const auto refusal = [](v1::LossType loss, uint32_t responses) {
    v1::TrainRoundRequest request = RequestOf(loss);
    request.set_responses(responses);
    const TrainingObjective objective = TrainingObjectiveOf(request).value();
    const Models all;
    TrainingModels models = all.get();
    models.reference = models.other = nullptr;
    return OneExample(objective, models, ReferencePairs()[1]).status();
  };
  const auto invalid = absl::StatusCode::kInvalidArgument;
  EXPECT_THAT(refusal(v1::LOSS_TYPE_ADPO, 5), StatusIs(invalid, "pair 1 has 2 responses instead"));
  EXPECT_THAT(refusal(v1::LOSS_TYPE_KTO, 2), StatusIs(invalid, "0 mismatched responses"));
  EXPECT_THAT(refusal(v1::LOSS_TYPE_REALIGN, 2), StatusIs(invalid, "no corrupted prompt"));
  EXPECT_THAT(refusal(v1::LOSS_TYPE_TDPO2, 2), StatusIs(invalid, "needs a reference model"));
  EXPECT_THAT(refusal(v1::LOSS_TYPE_OFS_DPO, 2), StatusIs(invalid, "needs a second adapter"));
}

TEST(TrainedLossesTest, TheSlowAdapterOfOfsDpoChasesAndTheFastOneRunsAway) {
  v1::TrainRoundRequest request = RequestOf(v1::LOSS_TYPE_OFS_DPO);
  ASSERT_OK_AND_ASSIGN(TrainingObjective objective, TrainingObjectiveOf(request));
  const std::vector<v1::TrainingPair> examples = Examples(objective);
  const double fast = InOneGraph(objective, examples).loss;
  objective.objective.options.slow_adapter = true;
  const Update slow = InOneGraph(objective, examples);
  ExpectSameUpdate(OverRanks(objective, examples, 2), slow, "slow");
  request.mutable_objective()->set_loss_type(0, v1::LOSS_TYPE_SIGMOID);
  const double dpo = InOneGraph(TrainingObjectiveOf(request).value(), examples).loss;
  EXPECT_GT(fast, dpo);
  EXPECT_LT(slow.loss, dpo);
}

}  // namespace
}  // namespace attune
