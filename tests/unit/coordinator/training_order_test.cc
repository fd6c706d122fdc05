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

TEST(TrainingOrderTest, PlacesPairsWithinTheirUpdate) {
  std::set<uint32_t> positions;
  for (uint32_t rank = 0; rank < 3; ++rank) {
    const std::vector<PairSlot> slots = TrainingOrder(7, 5, Request(0, 5, rank, 3));
    for (size_t i = 0; i < slots.size(); ++i) {
      EXPECT_TRUE(positions.insert(slots[i].position).second);
      if (i + 1 < slots.size()) EXPECT_EQ(slots[i].next, slots[i + 1].pair);
    }
  }
  EXPECT_EQ(positions, (std::set<uint32_t>{0, 1, 2, 3, 4}));
  const std::vector<PairSlot> all = TrainingOrder(7, 5, Request(0, 5, 0, 1));
  EXPECT_EQ(all.back().next, all.front().pair);
}

// Of round 2: chosen -1 -2, rejected -3 -6; twice that under the initial policy.
v1::Pair MakePair() {
  v1::Pair pair;
  float scale = 1;
  for (v1::Response* response : {pair.mutable_chosen(), pair.mutable_rejected()}) {
    response->mutable_policy()->set_round(1);
    response->add_prompt_token_ids(5);
    response->add_corrupted_prompt_token_ids(6);
    for (float logp : {-1.0f, -2.0f}) {
      response->add_token_ids(static_cast<uint32_t>(10 * scale));
      response->add_logps(scale * logp);
      response->add_initial_logps(2 * scale * logp);
    }
    scale = 3;
  }
  pair.set_chosen_score(4);
  pair.set_rejected_score(1);
  pair.set_target(0.75);
  pair.set_chosen_margin(0.5);
  return pair;
}

v1::TrainingPair Training(v1::LossType loss, v1::Reference reference,
                          const v1::Pair& pair = MakePair(), uint32_t round = 2) {
  v1::ObjectiveSpec objective;
  objective.add_loss_type(loss);
  objective.set_reference(reference);
  v1::Pair next;
  next.mutable_chosen()->add_token_ids(77);
  next.mutable_rejected()->add_token_ids(88);
  return MakeTrainingPair(objective, round, {9, 1, 2, 3}, pair, next);
}

std::vector<float> ReferenceLogps(const v1::TrainingPair& pair) {
  return {pair.rejected().reference_logps().begin(), pair.rejected().reference_logps().end()};
}

TEST(TrainingOrderTest, SendsWhatTheReferenceRecorded) {
  const auto logps = [](v1::Reference reference, uint32_t round = 2) {
    return ReferenceLogps(Training(v1::LOSS_TYPE_SIGMOID, reference, MakePair(), round));
  };
  EXPECT_EQ(logps(v1::REFERENCE_PREVIOUS_ROUND), (std::vector<float>{-3, -6}));
  EXPECT_EQ(logps(v1::REFERENCE_ROLLOUT), (std::vector<float>{-3, -6}));
  EXPECT_EQ(logps(v1::REFERENCE_INITIAL), (std::vector<float>{-6, -12}));
  for (v1::Reference computed :
       {v1::REFERENCE_NONE, v1::REFERENCE_MIXED, v1::REFERENCE_MODEL}) {
    EXPECT_TRUE(logps(computed).empty());
  }
  // A replayed pair was sampled by another policy than the one its new round began with.
  EXPECT_TRUE(logps(v1::REFERENCE_PREVIOUS_ROUND, 3).empty());
  EXPECT_EQ(logps(v1::REFERENCE_ROLLOUT, 3), (std::vector<float>{-3, -6}));
}

TEST(TrainingOrderTest, SendsPlacesScoresAndTargets) {
  const v1::TrainingPair pair = Training(v1::LOSS_TYPE_MODPO, v1::REFERENCE_ROLLOUT);
  EXPECT_EQ(pair.index(), 9u);
  EXPECT_EQ(pair.update(), 1u);
  EXPECT_EQ(pair.position(), 2u);
  EXPECT_EQ(pair.chosen().rollout_logp(), -3);
  EXPECT_EQ(pair.chosen().score(), 4);
  EXPECT_EQ(pair.chosen().margin(), 0.5);
  EXPECT_EQ(pair.target(), 0.75);
  EXPECT_EQ(pair.mismatched_size(), 0);
  EXPECT_EQ(pair.corrupted_prompt_token_ids_size(), 0);
}

TEST(TrainingOrderTest, SendsThePromptOfARejectedResponseThatHasItsOwn) {
  v1::Pair pair = MakePair();
  EXPECT_EQ(Training(v1::LOSS_TYPE_KTO, v1::REFERENCE_ROLLOUT, pair)
                .rejected_prompt_token_ids_size(), 0);
  pair.mutable_rejected()->set_prompt_token_ids(0, 4);
  const v1::TrainingPair unpaired = Training(v1::LOSS_TYPE_KTO, v1::REFERENCE_ROLLOUT, pair);
  EXPECT_EQ(unpaired.prompt_token_ids(0), 5u);
  ASSERT_EQ(unpaired.rejected_prompt_token_ids_size(), 1);
  EXPECT_EQ(unpaired.rejected_prompt_token_ids(0), 4u);
}

TEST(TrainingOrderTest, SendsWhatOnlySomeLossesNeed) {
  const v1::TrainingPair kto = Training(v1::LOSS_TYPE_KTO, v1::REFERENCE_ROLLOUT);
  ASSERT_EQ(kto.mismatched_size(), 2);
  EXPECT_EQ(kto.mismatched(0).token_ids(0), 77u);
  EXPECT_EQ(kto.mismatched(1).token_ids(0), 88u);
  const v1::TrainingPair realign = Training(v1::LOSS_TYPE_REALIGN, v1::REFERENCE_ROLLOUT);
  EXPECT_EQ(realign.corrupted_prompt_token_ids(0), 6u);
  v1::Pair list = MakePair();
  list.add_others()->set_score(2);
  EXPECT_EQ(Training(v1::LOSS_TYPE_SIGMOID, v1::REFERENCE_ROLLOUT, list).others_size(), 0);
  EXPECT_EQ(Training(v1::LOSS_TYPE_ADPO, v1::REFERENCE_ROLLOUT, list).others(0).score(), 2);
}

TEST(TrainingOrderTest, AgainstAnOpponentChosenIsThePolicysResponse) {
  v1::Pair pair = MakePair();
  pair.mutable_chosen()->set_provenance(v1::PROVENANCE_OPPONENT);
  const v1::TrainingPair lost = Training(v1::LOSS_TYPE_XPO, v1::REFERENCE_ROLLOUT, pair);
  EXPECT_EQ(lost.chosen().token_ids(0), 30u);
  EXPECT_EQ(lost.target(), 0.25);
  EXPECT_EQ(Training(v1::LOSS_TYPE_SIGMOID, v1::REFERENCE_ROLLOUT, pair).target(), 0.75);
  pair.mutable_chosen()->set_provenance(v1::PROVENANCE_STUDENT);
  EXPECT_EQ(Training(v1::LOSS_TYPE_XPO, v1::REFERENCE_ROLLOUT, pair).target(), 0.75);
}

TEST(TrainingOrderTest, AnUnpairedRejectedResponseKeepsItsPrompt) {
  v1::Pair pair = MakePair();
  EXPECT_EQ(Training(v1::LOSS_TYPE_KTO, v1::REFERENCE_ROLLOUT, pair)
                .rejected_prompt_token_ids_size(), 0);
  pair.mutable_rejected()->set_prompt_index(4);
  pair.mutable_rejected()->set_prompt_token_ids(0, 66);
  const v1::TrainingPair training = Training(v1::LOSS_TYPE_KTO, v1::REFERENCE_ROLLOUT, pair);
  ASSERT_EQ(training.rejected_prompt_token_ids_size(), 1);
  EXPECT_EQ(training.rejected_prompt_token_ids(0), 66u);
  EXPECT_EQ(training.prompt_token_ids(0), 5u);
}

}  // namespace
}  // namespace attune
