#include "coordinator/training_order.h"

#include <algorithm>

#include "common/rng.h"
#include "coordinator/objective_spec.h"

namespace attune {
namespace {

constexpr uint64_t kShuffleTag = 0x7061697273;  // "pairs"

double Sum(const google::protobuf::RepeatedField<float>& logps) {
  double sum = 0;
  for (float logp : logps) sum += logp;
  return sum;
}

const google::protobuf::RepeatedField<float>* ReferenceLogps(const v1::ObjectiveSpec& objective,
                                                              uint32_t round,
                                                              const v1::Response& response) {
  switch (objective.reference()) {
    case v1::REFERENCE_PREVIOUS_ROUND:
      return response.policy().round() + 1 == round ? &response.logps() : nullptr;
    case v1::REFERENCE_ROLLOUT:
      return &response.logps();
    case v1::REFERENCE_INITIAL:
      return &response.initial_logps();
    default:
      return nullptr;
  }
}

v1::TrainingResponse MakeTrainingResponse(const v1::ObjectiveSpec& objective, uint32_t round,
                                          const v1::Response& response) {
  v1::TrainingResponse training;
  *training.mutable_token_ids() = response.token_ids();
  const auto* reference_logps = ReferenceLogps(objective, round, response);
  if (reference_logps != nullptr) *training.mutable_reference_logps() = *reference_logps;
  training.set_rollout_logp(Sum(response.logps()));
  return training;
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
    for (uint32_t i = from; i < to; ++i) {
      slots.push_back({order[begin + i], update, i, order[begin + (i + 1) % size]});
    }
  }
  return slots;
}

v1::TrainingPair MakeTrainingPair(const v1::ObjectiveSpec& objective, uint32_t round,
                                  const PairSlot& slot, const v1::Pair& pair,
                                  const v1::Pair& next) {
  const LossNeeds needs = NeedsOf(objective);
  const auto response = [&](const v1::Response& from, double score, double win_rate,
                            double margin = 0) {
    v1::TrainingResponse training = MakeTrainingResponse(objective, round, from);
    training.set_score(score);
    training.set_win_rate(win_rate);
    training.set_margin(margin);
    return training;
  };
  v1::TrainingPair training;
  training.set_index(slot.pair);
  training.set_update(slot.update);
  training.set_position(slot.position);
  *training.mutable_prompt_token_ids() = pair.chosen().prompt_token_ids();
  *training.mutable_chosen() =
      response(pair.chosen(), pair.chosen_score(), pair.chosen_win_rate(), pair.chosen_margin());
  *training.mutable_rejected() = response(pair.rejected(), pair.rejected_score(),
                                          pair.rejected_win_rate(), pair.rejected_margin());
  const auto& rejected_prompt = pair.rejected().prompt_token_ids();
  if (!std::equal(rejected_prompt.begin(), rejected_prompt.end(),
                  training.prompt_token_ids().begin(), training.prompt_token_ids().end())) {
    *training.mutable_rejected_prompt_token_ids() = rejected_prompt;
  }
  training.set_target(pair.target());
  if (needs.opponent && pair.chosen().provenance() == v1::PROVENANCE_OPPONENT) {
    training.mutable_chosen()->Swap(training.mutable_rejected());
    training.set_target(1 - pair.target());
  }
  if (needs.groups || needs.gold) {
    for (const v1::RankedResponse& other : pair.others()) {
      *training.add_others() = response(other.response(), other.score(), other.win_rate());
    }
  }
  if (needs.corrupted || needs.views) {
    *training.mutable_corrupted_prompt_token_ids() = pair.chosen().corrupted_prompt_token_ids();
  }
  if (needs.mismatched) {
    *training.add_mismatched()->mutable_token_ids() = next.chosen().token_ids();
    *training.add_mismatched()->mutable_token_ids() = next.rejected().token_ids();
  }
  return training;
}

}  // namespace attune
