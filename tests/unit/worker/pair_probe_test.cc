#include "worker/pair_probe.h"

#include <algorithm>
#include <vector>

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/worker/reference_data.h"
#include "worker/policy_files.h"

namespace attune {
namespace {

constexpr uint32_t kBatch = 3;

// The recorded pairs, changed by known amounts since they were sampled, in updates of three.
std::vector<v1::TrainingPair> Pairs() {
  std::vector<v1::TrainingPair> pairs = ReferencePairs();
  for (uint32_t i = 0; i < pairs.size(); ++i) {
    pairs[i].set_update(i / kBatch);
    pairs[i].set_position(i % kBatch);
    const double change = 0.5 * i;
    v1::TrainingResponse& chosen = *pairs[i].mutable_chosen();
    v1::TrainingResponse& rejected = *pairs[i].mutable_rejected();
    chosen.set_rollout_logp(chosen.rollout_logp() - change);
    rejected.set_rollout_logp(rejected.rollout_logp() - 1.25);
  }
  return pairs;
}

absl::StatusOr<v1::PairProbe> Probe(const PolicyWeights& policy, bool rewards,
                                    const std::vector<v1::TrainingPair>& pairs, int ranks) {
  v1::PairProbe result;
  const absl::Status status = RunLocalRanks(ranks, [&](Collective& collective) -> absl::Status {
    std::vector<float> weights = policy.weights;
    const DifferentiableModel model(policy.config, absl::MakeSpan(weights), absl::Span<double>());
    std::vector<v1::TrainingPair> mine;
    for (size_t i = collective.rank(); i < pairs.size(); i += ranks) mine.push_back(pairs[i]);
    ATTUNE_ASSIGN_OR_RETURN(
        const v1::PairProbe probe,
        ProbePairs({&policy.config, &model, nullptr}, rewards, PairsToProbe(mine, kBatch), kBatch,
                   static_cast<uint32_t>(pairs.size()), collective, /*stop=*/false));
    if (collective.rank() == 0) result = probe;
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return result;
}

TEST(PairProbeTest, MeasuresWhatChangedSinceThePairsWereSampled) {
  const PolicyWeights policy = {TestConfig(), TestWeights()};
  ASSERT_OK_AND_ASSIGN(const v1::PairProbe probe, Probe(policy, false, Pairs(), 1));
  EXPECT_EQ(probe.pairs(), 4u);
  EXPECT_NEAR(probe.chosen_change(), 0.75, 1e-4);  // 0, 0.5, 1 and 1.5
  EXPECT_NEAR(probe.rejected_change(), 1.25, 1e-4);
  EXPECT_EQ(probe.accuracy(), 0.25);
  for (int ranks : {2, 3, 5}) {  // more ranks than pairs too
    ASSERT_OK_AND_ASSIGN(const v1::PairProbe same, Probe(policy, false, Pairs(), ranks));
    EXPECT_EQ(same.SerializeAsString(), probe.SerializeAsString()) << ranks << " ranks";
  }
}

TEST(PairProbeTest, OfARewardModelCountsPairsThatItRanksRight) {
  v1::PolicySource source;
  source.set_model_path(kModelPath);
  ASSERT_OK_AND_ASSIGN(const PolicyWeights model, LoadRewardModel(source, 3));
  ASSERT_OK_AND_ASSIGN(const v1::PairProbe probe, Probe(model, true, Pairs(), 2));
  std::vector<v1::TrainingPair> turned = Pairs();
  for (v1::TrainingPair& pair : turned) pair.mutable_chosen()->Swap(pair.mutable_rejected());
  ASSERT_OK_AND_ASSIGN(const v1::PairProbe other, Probe(model, true, turned, 2));
  EXPECT_EQ(probe.accuracy() + other.accuracy(), 1);
  EXPECT_EQ(probe.chosen_change(), 0);
  EXPECT_EQ(probe.rejected_change(), 0);
}

TEST(PairProbeTest, TakesTheFirstPairsOfTheOrderAndOnlyPairs) {
  std::vector<v1::TrainingPair> pairs(300);
  for (uint32_t i = 0; i < pairs.size(); ++i) {
    pairs[i].set_index(i);
    pairs[i].set_update(i / 8);
    pairs[i].set_position(i % 8);
    pairs[i].add_others();
    pairs[i].add_mismatched();
  }
  const std::vector<v1::TrainingPair> first = PairsToProbe(pairs, 8);
  ASSERT_EQ(first.size(), 256u);
  EXPECT_EQ(first.back().index(), 255u);
  EXPECT_EQ(first[0].others_size() + first[0].mismatched_size(), 0);
}

TEST(PairProbeTest, FailsOnAllRanksWithTheReasonOfOne) {
  std::vector<v1::TrainingPair> pairs = Pairs();
  pairs[0].mutable_chosen()->clear_token_ids();
  EXPECT_THAT(Probe({TestConfig(), TestWeights()}, false, pairs, 2),
              StatusIs(absl::StatusCode::kInvalidArgument, "pair 0, chosen response"));
  pairs = Pairs();
  pairs[3].set_position(2);  // a place that a round of four pairs does not have
  EXPECT_THAT(Probe({TestConfig(), TestWeights()}, false, pairs, 1),
              StatusIs(absl::StatusCode::kInternal, "pair 3 is number 2 of update 1"));
}

}  // namespace
}  // namespace attune
