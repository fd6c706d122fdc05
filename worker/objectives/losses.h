// All losses by name, and weighted sums of them.
#ifndef ATTUNE_WORKER_OBJECTIVES_LOSSES_H_
#define ATTUNE_WORKER_OBJECTIVES_LOSSES_H_

#include <vector>

#include <ATen/core/Tensor.h>

#include "absl/strings/string_view.h"
#include "worker/objectives/loss.h"

namespace attune {

const std::vector<Loss>& AllLosses();

// Null when there is no loss of that name.
const Loss* FindLoss(absl::string_view name);

struct WeightedLoss {
  const Loss* loss;
  double weight;
};

// sum over k of weight_k mean(losses_k), as TRL's loss_type list with loss_weights: sigmoid and sft
// make RPO, sigmoid, bco_pair and sft make MPO.
struct Objective {
  std::vector<WeightedLoss> losses;  // at least one; all on pairs, or all on groups
  LossOptions options;
};

struct ObjectiveValue {
  at::Tensor loss;  // a scalar, float64, with gradients
  Rewards rewards;  // of the first loss
};

// Of the whole update. Every column that the losses need is defined (CHECK).
ObjectiveValue Evaluate(const Objective& objective, const LossBatch& batch);

}  // namespace attune

#endif  // ATTUNE_WORKER_OBJECTIVES_LOSSES_H_
