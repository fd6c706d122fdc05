#include "coordinator/training_order.h"

#include <algorithm>

#include "common/rng.h"

namespace attune {
namespace {

constexpr uint64_t kShuffleTag = 0x7061697273;  // "pairs"

double Sum(const google::protobuf::RepeatedField<float>& logps) {
  double sum = 0;
  for (float logp : logps) sum += logp;
  return sum;
}

double ReferenceLogp(const v1::Response& response, v1::Reference reference) {
  switch (reference) {
    case v1::REFERENCE_NONE:
      return 0;
    case v1::REFERENCE_INITIAL:
      return Sum(response.initial_logps());
    default:
      return Sum(response.logps());
  }
}

}  // namespace

std::vector<PairSlot> TrainingOrder(uint64_t seed, uint32_t pairs,
                                    const v1::StreamPairsRequest& request) {
  const std::vector<uint32_t> order =
      Permutation(CounterRng({seed, kShuffleTag, request.round(), request.epoch()}), pairs);
  std::vector<PairSlot> slots;
  const uint32_t batch = request.batch_size();
  for (uint32_t begin = 0, update = 0; begin < pairs; begin += batch, ++update) {
    const uint32_t size = std::min(batch, pairs - begin);
    const uint32_t run = (size + request.world_size() - 1) / request.world_size();
    const uint32_t from = std::min(size, request.rank() * run);
    const uint32_t to = std::min(size, from + run);
    for (uint32_t i = from; i < to; ++i) slots.push_back({order[begin + i], update});
  }
  return slots;
}

v1::TrainingPair MakeTrainingPair(const v1::Pair& pair, v1::Reference reference, uint32_t update) {
  v1::TrainingPair training;
  training.set_index(pair.index());
  training.set_update(update);
  *training.mutable_prompt_token_ids() = pair.chosen().prompt_token_ids();
  *training.mutable_chosen_token_ids() = pair.chosen().token_ids();
  *training.mutable_rejected_token_ids() = pair.rejected().token_ids();
  training.set_chosen_reference_logp(ReferenceLogp(pair.chosen(), reference));
  training.set_rejected_reference_logp(ReferenceLogp(pair.rejected(), reference));
  training.set_chosen_rollout_logp(Sum(pair.chosen().logps()));
  training.set_rejected_rollout_logp(Sum(pair.rejected().logps()));
  training.set_target(pair.target());
  return training;
}

}  // namespace attune
