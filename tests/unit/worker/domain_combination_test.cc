#include "worker/domain_combination.h"

#include <limits>
#include <utility>
#include <vector>

#include "common/status_macros.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/worker/reference_data.h"
#include "worker/train_round.h"

namespace attune {
namespace {

v1::TrainRoundRequest RequestOf() {
  v1::TrainRoundRequest request = ReferenceRequest();
  request.mutable_objective()->set_loss_type(0, v1::LOSS_TYPE_OFS_DPO);
  request.mutable_objective()->set_fast_slow_alpha(0.1);
  request.mutable_objective()->set_slow_lr_ratio(0.5);
  v1::TrainingSpec& training = *request.mutable_training();
  training.set_learning_rate(2e-3);
  training.set_num_train_epochs(6);
  training.mutable_lora()->set_r(4);
  training.mutable_lora()->set_lora_alpha(8);
  training.mutable_lora()->add_target_modules("q_proj");
  training.mutable_lora()->add_target_modules("down_proj");
  return request;
}

std::vector<v1::TrainingPair> Turned(std::vector<v1::TrainingPair> pairs) {
  for (v1::TrainingPair& pair : pairs) pair.mutable_chosen()->Swap(pair.mutable_rejected());
  return pairs;
}

// What one rank makes of `adapters` in a round on `pairs`.
Adapters Train(const v1::TrainRoundRequest& request, const std::vector<v1::TrainingPair>& pairs,
               Adapters adapters) {
  TrainRoundHooks hooks;
  hooks.stop = [] { return false; };
  hooks.on_step = [](const v1::StepMetrics&) {};
  hooks.pairs_of_epoch = [&](uint32_t) { return pairs; };
  hooks.first_pairs = [&](uint32_t count) {
    return std::vector<v1::TrainingPair>(pairs.begin(), pairs.begin() + count);
  };
  EXPECT_OK(RunLocalRanks(1, [&](Collective& ranks) {
    return TrainRound(request, TestConfig(), TestWeights(), &adapters, nullptr, ranks, 1, hooks)
        .status();
  }));
  return adapters;
}

// The weights of the adapter that learned pairs and the one that learned them turned around.
std::vector<double> Weigh(const Domains& domains, const LoraLayout& layout, int ranks) {
  std::vector<double> weights;
  const v1::TrainRoundRequest request = RequestOf();
  const ModelConfig config = TestConfig();
  const std::vector<float> base = TestWeights();
  EXPECT_OK(RunLocalRanks(ranks, [&](Collective& collective) -> absl::Status {
    const TrainedPolicyOptions options = {{.beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8},
                                          TensorType::kF32};
    TrainedPolicy policy(config, options, collective, layout, base, domains[0].adapter);
    const TrainingModels models = {
        .config = &config, .policy = &policy.model(), .reference = nullptr};
    ATTUNE_ASSIGN_OR_RETURN(
        const std::vector<double> found,
        WeighDomains(request, domains, models, policy, collective, [] { return false; }));
    if (collective.rank() == 0) weights = found;
    return absl::OkStatus();
  }));
  return weights;
}

TEST(DomainCombinationTest, WeighsAdaptersByWhatTheyDoToTheRememberedPairs) {
  const v1::TrainRoundRequest request = RequestOf();
  const Adapters fresh = LoadAdapters(request, TestConfig()).value();
  const std::vector<v1::TrainingPair> pairs = ReferencePairs();
  const std::vector<float> good = Train(request, pairs, fresh).fast;
  const std::vector<float> bad = Train(request, Turned(pairs), fresh).fast;
  const std::vector<double> weights = Weigh({{bad, pairs}, {good, pairs}}, fresh.layout, 1);
  ASSERT_EQ(weights.size(), 2u);
  EXPECT_NEAR(weights[0] + weights[1], 1, 1e-12);
  EXPECT_GT(weights[1], 0.9);
  // Each domain speaks up for itself.
  const std::vector<double> both = Weigh({{bad, Turned(pairs)}, {good, pairs}}, fresh.layout, 1);
  EXPECT_GT(both[0], 0.2);
  EXPECT_GT(both[1], 0.2);
  for (int ranks : {2, 3}) {
    EXPECT_NEAR(Weigh({{bad, pairs}, {good, pairs}}, fresh.layout, ranks)[1], weights[1], 1e-5);
  }
}

TEST(DomainCombinationTest, ALossThatIsNotFiniteIsAnError) {
  const Adapters fresh = LoadAdapters(RequestOf(), TestConfig()).value();
  std::vector<v1::TrainingPair> pairs = ReferencePairs();
  pairs[0].mutable_chosen()->set_reference_logps(0, std::numeric_limits<float>::quiet_NaN());
  const Domains domains = {{fresh.fast, pairs}, {fresh.slow, pairs}};
  const ModelConfig config = TestConfig();
  const std::vector<float> base = TestWeights();
  EXPECT_THAT(
      RunLocalRanks(1,
                    [&](Collective& ranks) {
                      TrainedPolicy policy(config, {}, ranks, fresh.layout, base, fresh.fast);
                      const TrainingModels models = {
                          .config = &config, .policy = &policy.model(), .reference = nullptr};
                      return WeighDomains(RequestOf(), domains, models, policy, ranks,
                                          [] { return false; })
                          .status();
                    }),
      StatusIs(absl::StatusCode::kFailedPrecondition, "adapters of 2 domains"));
}

TEST(DomainCombinationTest, DomainsAreRememberedAfterTheirLastRoundAndCombinedInEveryLaterOne) {
  v1::TrainRoundRequest request = RequestOf();
  const std::vector<v1::TrainingPair> first = ReferencePairs(), second = Turned(first);
  request.mutable_objective()->set_domain_memory(3);  // the only round of the first domain
  const Adapters one = Train(request, first, LoadAdapters(request, TestConfig()).value());
  ASSERT_EQ(one.domains.size(), 1u);
  EXPECT_EQ(one.domains[0].adapter, one.fast);
  EXPECT_EQ(one.domains[0].pairs.size(), 3u);
  EXPECT_EQ(one.domain_weights, (std::vector<double>{1}));

  request.mutable_objective()->set_domain_memory(0);  // the second domain goes on
  const Adapters two = Train(request, second, one);
  EXPECT_EQ(two.domains.size(), 1u);
  ASSERT_EQ(two.domain_weights.size(), 2u);
  EXPECT_GT(two.domain_weights[0], 0.05);  // not forgotten
  EXPECT_GT(two.domain_weights[1], 0.05);

  request.mutable_objective()->set_domain_memory(2);
  const Adapters three = Train(request, second, two);
  ASSERT_EQ(three.domains.size(), 2u);
  EXPECT_EQ(three.domains[1].pairs.size(), 2u);
  EXPECT_EQ(three.fast, CombinedAdapter(three.domains, three.domain_weights));
  EXPECT_NE(three.fast, three.domains[1].adapter);
}

}  // namespace
}  // namespace attune
