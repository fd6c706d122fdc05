#include "coordinator/training_order.h"

#include <set>

#include "gtest/gtest.h"

namespace attune {
namespace {

v1::StreamPairsRequest Request(uint32_t epoch, uint32_t batch, uint32_t rank, uint32_t world) {
  v1::StreamPairsRequest request;
  request.set_round(1);
  request.set_epoch(epoch);
  request.set_batch_size(batch);
  request.set_rank(rank);
  request.set_world_size(world);
  return request;
}

// For each update, the pairs that all ranks together get.
std::vector<std::set<uint32_t>> Updates(uint32_t world, uint32_t epoch = 0) {
  std::vector<std::set<uint32_t>> updates(5);
  for (uint32_t rank = 0; rank < world; ++rank) {
    for (const PairSlot& slot : TrainingOrder(7, 37, Request(epoch, 8, rank, world))) {
      EXPECT_TRUE(updates.at(slot.update).insert(slot.pair).second) << "a pair twice";
    }
  }
  return updates;
}

TEST(TrainingOrderTest, UpdatesDoNotDependOnTheNumberOfRanks) {
  const auto one = Updates(1);
  size_t pairs = 0;
  for (const auto& update : one) pairs += update.size();
  EXPECT_EQ(pairs, 37u);
  EXPECT_EQ(one[4].size(), 5u);  // the last update is short
  for (uint32_t world : {2u, 3u, 7u, 16u}) EXPECT_EQ(Updates(world), one) << world << " ranks";
}

TEST(TrainingOrderTest, EveryEpochHasItsOwnOrder) { EXPECT_NE(Updates(1, 0), Updates(1, 1)); }

TEST(TrainingOrderTest, SumsTheLogpsOfTheReference) {
  v1::Pair pair;
  for (v1::Response* response : {pair.mutable_chosen(), pair.mutable_rejected()}) {
    for (float logp : {-1.0f, -2.0f}) {
      response->add_logps(logp);
      response->add_initial_logps(2 * logp);
    }
  }
  EXPECT_EQ(MakeTrainingPair(pair, v1::REFERENCE_PREVIOUS_ROUND, 0).chosen_reference_logp(), -3);
  EXPECT_EQ(MakeTrainingPair(pair, v1::REFERENCE_INITIAL, 0).chosen_reference_logp(), -6);
  EXPECT_EQ(MakeTrainingPair(pair, v1::REFERENCE_NONE, 0).rejected_reference_logp(), 0);
  EXPECT_EQ(MakeTrainingPair(pair, v1::REFERENCE_NONE, 0).rejected_rollout_logp(), -3);
}

}  // namespace
}  // namespace attune
