#include "worker/train_round.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "model/policy.h"
#include "model/scorer.h"
#include "model/tensor_type.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/worker/reference_data.h"

namespace attune {
namespace {

struct Outcome {
  std::vector<float> weights;
  v1::PairProbe probe;
  std::vector<v1::StepMetrics> steps;
  std::vector<Adapters> adapters;  // of rank 0, if there are any
};

// The share of one rank: updates are cut into contiguous runs, as the coordinator does.
std::vector<v1::TrainingPair> Share(const std::vector<v1::TrainingPair>& pairs, uint32_t batch,
                                    int rank, int ranks) {
  std::vector<v1::TrainingPair> mine;
  for (size_t first = 0; first < pairs.size(); first += batch) {
    const size_t size = std::min<size_t>(batch, pairs.size() - first);
    const size_t run = (size + ranks - 1) / ranks;
    for (size_t i = rank * run; i < std::min(size, (rank + 1) * run); ++i) {
      mine.push_back(pairs[first + i]);
      mine.back().set_update(static_cast<uint32_t>(first / batch));
      mine.back().set_position(static_cast<uint32_t>(i));
    }
  }
  return mine;
}

absl::StatusOr<Outcome> RunRound(const v1::TrainRoundRequest& request,
                                 const std::vector<v1::TrainingPair>& pairs, int ranks,
                                 int threads = 1, bool with_reference = false,
                                 const PolicyWeights& initial = {TestConfig(), TestWeights()}) {
  Outcome outcome;
  const uint32_t batch = request.training().per_device_train_batch_size() *
                         request.training().gradient_accumulation_steps();
  const absl::Status status = RunLocalRanks(ranks, [&](Collective& collective) -> absl::Status {
    const int rank = collective.rank();
    TrainRoundHooks hooks;
    hooks.stop = [] { return false; };
    hooks.pairs_of_epoch = [&](uint32_t) { return Share(pairs, batch, rank, ranks); };
    hooks.on_step = [&](const v1::StepMetrics& step) {
      if (rank == 0) outcome.steps.push_back(step);
    };
    PolicyWeights reference = {TestConfig(), TestWeights()};
    std::vector<Adapters> adapters;
    if (request.training().has_lora()) {
      ATTUNE_ASSIGN_OR_RETURN(adapters.emplace_back(), LoadAdapters(request, initial.config));
    }
    ATTUNE_ASSIGN_OR_RETURN(
        TrainedRound round,
        TrainRound(request, initial.config, initial.weights,
                   adapters.empty() ? nullptr : &adapters[0],
                   with_reference ? &reference : nullptr, collective, threads, hooks));
    if (rank == 0) outcome.weights = std::move(round.weights);
    if (rank == 0) outcome.probe = round.probe;
    if (rank == 0) outcome.adapters = std::move(adapters);
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return outcome;
}

void ExpectRecordedRun(const nlohmann::json& run, const v1::TrainRoundRequest& request) {
  ASSERT_OK_AND_ASSIGN(const Outcome outcome, RunRound(request, ReferencePairs(), 1));
  ASSERT_EQ(outcome.steps.size(), run["trace"].size());
  for (size_t i = 0; i < outcome.steps.size(); ++i) {
    const nlohmann::json& expected = run["trace"][i];
    const auto& actual = outcome.steps[i].values();
    EXPECT_NEAR(actual.at("loss"), expected["loss"].get<double>(), 2e-5) << "step " << i;
    EXPECT_NEAR(actual.at("rewards/margins"), expected["margin_mean"].get<double>(), 1e-4);
    // Rewards of the first update are zero up to rounding; which is the higher is chance.
    if (i > 0) {
      EXPECT_EQ(actual.at("rewards/accuracies"), expected["accuracy"].get<double>());
    }
    const double norm = expected["grad_norm"];
    EXPECT_NEAR(actual.at("grad_norm"), norm, 2e-4 * norm);
  }
  for (const TensorSpec& spec : WeightLayout(TestConfig())) {
    double sum = 0, squares = 0;
    for (int64_t i = spec.offset; i < spec.offset + spec.size; ++i) {
      sum += outcome.weights[i];
      squares += std::pow(outcome.weights[i], 2);
    }
    // Adam moves an element whose gradient is zero up to rounding by a whole step either way.
    const nlohmann::json& final = run["final_param_sum_and_norm"][spec.name];
    EXPECT_NEAR(sum, final[0].get<double>(), 5e-2) << spec.name;
    EXPECT_NEAR(std::sqrt(squares), final[1].get<double>(), 1e-3) << spec.name;
  }
}

TEST(TrainRoundTest, FollowsTheRecordedRunOfDpoWithAdamW) {
  const nlohmann::json& run = ReferenceRuns()["runs"][1];
  ASSERT_EQ(run["loss"], "sigmoid");
  v1::TrainRoundRequest request = ReferenceRequest();
  request.mutable_training()->set_num_train_epochs(static_cast<uint32_t>(run["trace"].size()));
  ExpectRecordedRun(run, request);
}

TEST(TrainRoundTest, FollowsTheRecordedRunOfConservativeDpo) {
  const nlohmann::json& run = ReferenceRuns()["runs"][2];
  ASSERT_EQ(run["loss"], "cdpo_0.1");
  v1::TrainRoundRequest request = ReferenceRequest();
  request.mutable_objective()->set_label_smoothing(0.1);
  request.mutable_training()->set_num_train_epochs(static_cast<uint32_t>(run["trace"].size()));
  ExpectRecordedRun(run, request);
}

v1::TrainRoundRequest SixUpdates() {
  v1::TrainRoundRequest request = ReferenceRequest();
  request.set_pairs(4);
  request.mutable_training()->set_per_device_train_batch_size(3);  // updates of 3 and 1 pairs
  request.mutable_training()->set_num_train_epochs(3);
  request.mutable_training()->set_max_grad_norm(1.0);
  return request;
}

void ExpectSameLosses(const Outcome& a, const Outcome& b, double tolerance) {
  ASSERT_EQ(a.steps.size(), b.steps.size());
  for (size_t i = 0; i < a.steps.size(); ++i) {
    for (const auto& [name, value] : a.steps[i].values()) {
      if (name == "rewards/accuracies" && i == 0) continue;  // a tie up to rounding
      if (name == "tokens_per_second" || absl::StartsWith(name, "time/")) continue;
      EXPECT_NEAR(b.steps[i].values().at(name), value, tolerance * (1 + std::abs(value)))
          << name << " of update " << i;
    }
  }
}

TEST(TrainRoundTest, MoreRanksChangeRoundingOnly) {
  ASSERT_OK_AND_ASSIGN(const Outcome one, RunRound(SixUpdates(), ReferencePairs(), 1));
  ASSERT_EQ(one.steps.size(), 6u);
  for (int ranks : {2, 3}) {  // a rank of two, or two of three, has no pair in the short updates
    ASSERT_OK_AND_ASSIGN(const Outcome many, RunRound(SixUpdates(), ReferencePairs(), ranks));
    ExpectSameLosses(one, many, 1e-5);
  }
}

TEST(TrainRoundTest, MicroBatchesChangeRoundingOnly) {
  v1::TrainRoundRequest request = ReferenceRequest();
  request.mutable_training()->set_num_train_epochs(4);
  ASSERT_OK_AND_ASSIGN(const Outcome whole, RunRound(request, ReferencePairs(), 1));
  request.mutable_training()->set_per_device_train_batch_size(1);
  request.mutable_training()->set_gradient_accumulation_steps(4);
  ASSERT_OK_AND_ASSIGN(const Outcome split, RunRound(request, ReferencePairs(), 1));
  ExpectSameLosses(whole, split, 3e-6);
}

TEST(TrainRoundTest, ThreadsChangeNothing) {
  v1::TrainRoundRequest request = SixUpdates();
  request.mutable_training()->set_per_device_train_batch_size(4);  // several pieces of rows
  ASSERT_OK_AND_ASSIGN(const Outcome one, RunRound(request, ReferencePairs(), 1, 1));
  ASSERT_OK_AND_ASSIGN(const Outcome three, RunRound(request, ReferencePairs(), 1, 3));
  EXPECT_EQ(one.weights, three.weights);
}

TEST(TrainRoundTest, IsTheSameBitForBitWhenRepeated) {
  for (int ranks : {1, 2}) {
    ASSERT_OK_AND_ASSIGN(const Outcome first, RunRound(SixUpdates(), ReferencePairs(), ranks));
    ASSERT_OK_AND_ASSIGN(const Outcome second, RunRound(SixUpdates(), ReferencePairs(), ranks));
    EXPECT_EQ(first.weights, second.weights);
  }
}

TEST(TrainRoundTest, ReportsEpochsTokensAndTheGapToTheRolloutLogProbabilities) {
  std::vector<v1::TrainingPair> pairs = ReferencePairs();
  v1::TrainingResponse& rejected = *pairs[2].mutable_rejected();
  rejected.set_rollout_logp(rejected.rollout_logp() + 0.5);
  ASSERT_OK_AND_ASSIGN(const Outcome outcome, RunRound(SixUpdates(), pairs, 2));
  const auto& first = outcome.steps[0];
  EXPECT_EQ(first.step(), 1u);
  EXPECT_EQ(first.steps(), 6u);
  EXPECT_NEAR(first.values().at("sampling/sampling_logp_difference/max"), 0.5, 1e-4);
  EXPECT_NEAR(first.values().at("logps/rejected_change"), -0.5 / 3, 1e-4);
  EXPECT_NEAR(first.values().at("logps/chosen_change"), 0, 1e-4);
  EXPECT_GT(outcome.steps[4].values().at("logps/chosen_change"), 0.01);
  EXPECT_FALSE(outcome.steps[1].values().contains("sampling/sampling_logp_difference/max"));
  EXPECT_EQ(outcome.steps[2].values().at("epoch"), 1.5);
  double tokens = 0;
  for (const v1::TrainingPair& pair : pairs) {
    tokens += 2 * pair.prompt_token_ids_size() + pair.chosen().token_ids_size() +
              pair.rejected().token_ids_size();
  }
  EXPECT_EQ(outcome.steps[1].values().at("num_tokens"), tokens);
  EXPECT_EQ(outcome.steps[5].values().at("num_tokens"), 3 * tokens);
  const auto& timed = outcome.steps[5].values();
  EXPECT_GT(timed.at("time/compute"), 0);
  EXPECT_GT(timed.at("tokens_per_second"), 0);
  EXPECT_LE(timed.at("time/compute") + timed.at("time/agreement") + timed.at("time/optimizer"),
            timed.at("time/step"));
}

std::vector<int32_t> Ids(const google::protobuf::RepeatedField<uint32_t>& ids) {
  return {ids.begin(), ids.end()};
}

// What the coordinator sends of a response whose log-probabilities `policy` recorded.
void Record(const Policy& policy, const v1::TrainingPair& pair, v1::TrainingResponse* response) {
  const std::vector<float> logps =
      CompletionLogProbs(policy, Ids(pair.prompt_token_ids()), Ids(response->token_ids())).value();
  response->set_rollout_logp(std::accumulate(logps.begin(), logps.end(), 0.0));
  response->mutable_reference_logps()->Assign(logps.begin(), logps.end());
}

TEST(TrainRoundTest, InBf16TrainsFullWeightsOnWhatASamplerInBf16Computes) {
  const auto policy = Policy::Create(TestConfig(), TestWeights(), TensorType::kBf16).value();
  std::vector<v1::TrainingPair> pairs = ReferencePairs();
  for (v1::TrainingPair& pair : pairs) {
    Record(*policy, pair, pair.mutable_chosen());
    Record(*policy, pair, pair.mutable_rejected());
  }
  v1::TrainRoundRequest request = SixUpdates();
  const auto gap = [](const Outcome& outcome) {
    return outcome.steps[0].values().at("sampling/sampling_logp_difference/max");
  };
  ASSERT_OK_AND_ASSIGN(const Outcome exact, RunRound(request, pairs, 1));
  EXPECT_GT(gap(exact), 1e-3);
  request.mutable_training()->set_precision(v1::PRECISION_BF16);
  ASSERT_OK_AND_ASSIGN(const Outcome rounded, RunRound(request, pairs, 1));
  EXPECT_EQ(gap(rounded), 0);
  EXPECT_LT(rounded.steps[4].values().at("loss"), rounded.steps[0].values().at("loss"));
  const auto fits_bf16 = [](float weight) { return FloatOfBf16(Bf16OfFloat(weight)) == weight; };
  EXPECT_LT(std::count_if(rounded.weights.begin(), rounded.weights.end(), fits_bf16),
            static_cast<int64_t>(rounded.weights.size() / 100));
  ASSERT_OK_AND_ASSIGN(const Outcome of_two_ranks, RunRound(request, pairs, 2));
  EXPECT_EQ(of_two_ranks.weights, rounded.weights);
}

TEST(TrainRoundTest, ProbesWhatTheRoundDidToItsPairs) {
  ASSERT_OK_AND_ASSIGN(const Outcome one, RunRound(SixUpdates(), ReferencePairs(), 1));
  EXPECT_EQ(one.probe.pairs(), 4u);
  EXPECT_GT(one.probe.accuracy(), 0.5);
  const auto policy = Policy::Create(TestConfig(), one.weights).value();
  double chosen = 0, rejected = 0;
  for (const v1::TrainingPair& pair : ReferencePairs()) {
    v1::TrainingPair after = pair;
    Record(*policy, pair, after.mutable_chosen());
    Record(*policy, pair, after.mutable_rejected());
    chosen += (after.chosen().rollout_logp() - pair.chosen().rollout_logp()) / 4;
    rejected += (after.rejected().rollout_logp() - pair.rejected().rollout_logp()) / 4;
  }
  EXPECT_NEAR(one.probe.chosen_change(), chosen, 1e-6);
  EXPECT_NEAR(one.probe.rejected_change(), rejected, 1e-6);
  EXPECT_GT(chosen, rejected);
  ASSERT_OK_AND_ASSIGN(const Outcome two, RunRound(SixUpdates(), ReferencePairs(), 2));
  EXPECT_NEAR(two.probe.chosen_change(), chosen, 1e-4);
  EXPECT_NEAR(two.probe.rejected_change(), rejected, 1e-4);
}

// Pairs that no constant tells apart: each is there in both orders, but for the first response
// token, which says which is better.
std::vector<v1::TrainingPair> LearnablePairs() {
  std::vector<v1::TrainingPair> pairs;
  for (const v1::TrainingPair& recorded : ReferencePairs()) {
    for (const bool turned : {false, true}) {
      v1::TrainingPair pair = recorded;
      if (turned) pair.mutable_chosen()->Swap(pair.mutable_rejected());
      pair.mutable_chosen()->set_token_ids(0, 300);
      pair.mutable_rejected()->set_token_ids(0, 301);
      pair.set_index(static_cast<uint32_t>(pairs.size()));
      pairs.push_back(std::move(pair));
    }
  }
  return pairs;
}

TEST(TrainRoundTest, ARewardModelLearnsToRankItsPairs) {
  v1::PolicySource source;
  source.set_model_path(kModelPath);
  ASSERT_OK_AND_ASSIGN(const PolicyWeights initial, LoadRewardModel(source, 7));
  v1::TrainRoundRequest request = ReferenceRequest();
  request.mutable_objective()->set_loss_type(0, v1::LOSS_TYPE_REWARD_MODEL);
  request.mutable_objective()->set_center_rewards_coefficient(0.01);
  request.set_pairs(8);
  request.mutable_training()->set_learning_rate(1e-3);
  request.mutable_training()->set_num_train_epochs(10);  // of two updates
  ASSERT_OK_AND_ASSIGN(const Outcome one,
                       RunRound(request, LearnablePairs(), 1, 1, false, initial));
  const auto& first = one.steps.front().values();
  const auto& last = one.steps.back().values();
  EXPECT_LT(first.at("rewards/accuracies"), 0.9);
  EXPECT_EQ(last.at("rewards/accuracies"), 1);
  EXPECT_LT(last.at("loss"), 0.5 * first.at("loss"));
  EXPECT_NEAR(last.at("mean_reward"), (last.at("rewards/chosen") + last.at("rewards/rejected")) / 2,
              1e-9);
  EXPECT_NEAR(last.at("rewards/margins"), last.at("rewards/chosen") - last.at("rewards/rejected"),
              1e-9);
  EXPECT_EQ(first.count("logps/chosen"), 0u);
  EXPECT_EQ(one.probe.accuracy(), 1);
  EXPECT_EQ(one.probe.chosen_change(), 0);
  for (int ranks : {2, 3}) {
    ASSERT_OK_AND_ASSIGN(const Outcome many,
                         RunRound(request, LearnablePairs(), ranks, 1, false, initial));
    ExpectSameLosses(one, many, 1e-5);
  }
}

v1::TrainRoundRequest SixUpdatesOfAdapters(v1::LossType loss) {
  v1::TrainRoundRequest request = SixUpdates();
  v1::TrainingSpec& training = *request.mutable_training();
  training.set_learning_rate(2e-3);
  training.set_weight_decay(0.01);
  training.mutable_lora()->set_r(4);
  training.mutable_lora()->set_lora_alpha(8);
  for (const char* target : {"q_proj", "v_proj", "down_proj"}) {
    training.mutable_lora()->add_target_modules(target);
  }
  request.mutable_objective()->set_loss_type(0, loss);
  request.mutable_objective()->set_fast_slow_alpha(0.1);
  request.mutable_objective()->set_slow_lr_ratio(0.5);
  request.set_seed(42);
  return request;
}

TEST(TrainRoundTest, OfAdaptersTheirTargetsAloneAreTrained) {
  const v1::TrainRoundRequest request = SixUpdatesOfAdapters(v1::LOSS_TYPE_SIGMOID);
  ASSERT_OK_AND_ASSIGN(const Outcome outcome, RunRound(request, ReferencePairs(), 1));
  // At B = 0 the policy is the one that sampled.
  EXPECT_NEAR(outcome.steps[0].values().at("loss"), std::log(2.0), 1e-5);
  EXPECT_LT(outcome.steps[4].values().at("loss"), outcome.steps[0].values().at("loss"));
  const std::vector<float> before = TestWeights();
  for (const TensorSpec& spec : WeightLayout(TestConfig())) {
    const bool same = std::equal(&before[spec.offset], &before[spec.offset] + spec.size,
                                 &outcome.weights[spec.offset]);
    const bool target = spec.name.find("q_proj") != std::string::npos ||
                        spec.name.find("v_proj") != std::string::npos ||
                        spec.name.find("down_proj") != std::string::npos;
    EXPECT_EQ(same, !target) << spec.name;
  }
  std::vector<float> merged = before;
  MergeAdapter(outcome.adapters[0].layout, before, outcome.adapters[0].fast,
               absl::MakeSpan(merged));
  EXPECT_EQ(merged, outcome.weights);
}

TEST(TrainRoundTest, AdaptersAreTheSameOnAnyNumberOfRanksAndThreads) {
  for (const v1::LossType loss : {v1::LOSS_TYPE_SIGMOID, v1::LOSS_TYPE_OFS_DPO}) {
    const v1::TrainRoundRequest request = SixUpdatesOfAdapters(loss);
    ASSERT_OK_AND_ASSIGN(const Outcome one, RunRound(request, ReferencePairs(), 1));
    ASSERT_OK_AND_ASSIGN(const Outcome again, RunRound(request, ReferencePairs(), 1, 3));
    EXPECT_EQ(one.weights, again.weights);
    EXPECT_EQ(one.adapters[0].slow, again.adapters[0].slow);
    for (int ranks : {2, 3}) {
      ASSERT_OK_AND_ASSIGN(const Outcome many, RunRound(request, ReferencePairs(), ranks));
      ExpectSameLosses(one, many, 1e-5);
      ASSERT_OK_AND_ASSIGN(const Outcome repeated, RunRound(request, ReferencePairs(), ranks));
      EXPECT_EQ(many.weights, repeated.weights);
    }
  }
}

TEST(TrainRoundTest, TheFastAdapterOfOfsDpoLeadsAndIsThePolicy) {
  v1::TrainRoundRequest request = SixUpdatesOfAdapters(v1::LOSS_TYPE_OFS_DPO);
  request.mutable_objective()->set_slow_lr_ratio(0.1);
  ASSERT_OK_AND_ASSIGN(const Outcome outcome, RunRound(request, ReferencePairs(), 1));
  const auto& first = outcome.steps[0].values();
  EXPECT_NEAR(first.at("loss/dpo"), std::log(2.0), 1e-5);
  EXPECT_NEAR(first.at("loss"), 1.1 * std::log(2.0), 1e-5);
  const auto& last = outcome.steps[4].values();
  EXPECT_LT(last.at("loss/dpo"), last.at("slow/loss/dpo"));
  EXPECT_GT(last.at("rewards/margins"), last.at("slow/rewards/margins"));
  const Adapters& adapters = outcome.adapters[0];
  EXPECT_FALSE(adapters.swapped);
  std::vector<float> merged = TestWeights();
  MergeAdapter(adapters.layout, TestWeights(), adapters.fast, absl::MakeSpan(merged));
  EXPECT_EQ(merged, outcome.weights);
  EXPECT_NE(adapters.fast, adapters.slow);
}

TEST(TrainRoundTest, TheAdapterWithTheLowerLossOverTheRoundBecomesThePolicy) {
  v1::TrainRoundRequest request = SixUpdatesOfAdapters(v1::LOSS_TYPE_OFS_DPO);
  request.mutable_training()->set_learning_rate(0.5);  // of the fast one: far too high
  request.mutable_objective()->set_slow_lr_ratio(0.002);
  ASSERT_OK_AND_ASSIGN(const Outcome outcome, RunRound(request, ReferencePairs(), 1));
  EXPECT_TRUE(outcome.adapters[0].swapped);
  std::vector<float> merged = TestWeights();
  MergeAdapter(outcome.adapters[0].layout, TestWeights(), outcome.adapters[0].fast,
               absl::MakeSpan(merged));
  EXPECT_EQ(merged, outcome.weights);
  double drift = 0;
  for (size_t i = 0; i < merged.size(); ++i) {
    drift = std::max<double>(drift, std::abs(merged[i] - TestWeights()[i]));
    if (i > 2000) break;
  }
  EXPECT_LT(drift, 0.1);
}

TEST(TrainRoundTest, RefusesOfsDpoWithoutAdapters) {
  v1::TrainRoundRequest request = SixUpdatesOfAdapters(v1::LOSS_TYPE_OFS_DPO);
  request.mutable_training()->clear_lora();
  EXPECT_THAT(RunRound(request, ReferencePairs(), 1),
              StatusIs(absl::StatusCode::kInvalidArgument, "training.lora is not set"));
}

TEST(TrainRoundTest, ALossThatIsNotFiniteFailsAllRanksAndNamesTheUpdate) {
  std::vector<v1::TrainingPair> pairs = ReferencePairs();
  pairs[3].mutable_chosen()->set_reference_logps(0, std::numeric_limits<float>::quiet_NaN());
  for (int ranks : {1, 2}) {
    EXPECT_THAT(RunRound(SixUpdates(), pairs, ranks),
                StatusIs(absl::StatusCode::kFailedPrecondition, "update 2 of 6: the loss is nan"));
  }
}

TEST(TrainRoundTest, RefusesAWrongNumberOfPairs) {
  std::vector<v1::TrainingPair> pairs = ReferencePairs();
  pairs.pop_back();
  EXPECT_THAT(RunRound(SixUpdates(), pairs, 2),
              StatusIs(absl::StatusCode::kInternal, "3 pairs came to all ranks"));
}

// Runs two ranks with hooks of their own and returns what each got.
std::vector<absl::Status> RunTwo(const std::function<void(int, TrainRoundHooks&)>& change) {
  std::vector<absl::Status> statuses(2);
  EXPECT_OK(RunLocalRanks(2, [&](Collective& collective) {
    const int rank = collective.rank();
    TrainRoundHooks hooks;
    hooks.stop = [] { return false; };
    hooks.pairs_of_epoch = [&](uint32_t) { return Share(ReferencePairs(), 3, rank, 2); };
    hooks.on_step = [](const v1::StepMetrics&) {};
    change(rank, hooks);
    statuses[rank] =
        TrainRound(SixUpdates(), TestConfig(), TestWeights(), nullptr, nullptr, collective, 1,
                   hooks)
            .status();
    return absl::OkStatus();
  }));
  return statuses;
}

TEST(TrainRoundTest, AllRanksStopWhenOneIsToldTo) {
  int updates = 0;
  const std::vector<absl::Status> statuses = RunTwo([&](int rank, TrainRoundHooks& hooks) {
    if (rank == 0) return;
    hooks.on_step = [&](const v1::StepMetrics&) { ++updates; };
    hooks.stop = [&] { return updates == 2; };
  });
  EXPECT_TRUE(absl::IsCancelled(statuses[0])) << statuses[0];
  EXPECT_TRUE(absl::IsCancelled(statuses[1])) << statuses[1];
  EXPECT_EQ(updates, 2);
}

TEST(TrainRoundTest, ARankThatFailsReportsWhyAndTheOthersAreAborted) {
  const std::vector<absl::Status> statuses = RunTwo([&](int rank, TrainRoundHooks& hooks) {
    if (rank == 0) return;
    hooks.pairs_of_epoch = [](uint32_t epoch) -> absl::StatusOr<std::vector<v1::TrainingPair>> {
      if (epoch == 1) return absl::InternalError("no pairs here");
      return Share(ReferencePairs(), 3, 1, 2);
    };
  });
  EXPECT_TRUE(absl::IsAborted(statuses[0])) << statuses[0];
  EXPECT_THAT(statuses[1], StatusIs(absl::StatusCode::kInternal, "no pairs here"));
}

}  // namespace
}  // namespace attune
