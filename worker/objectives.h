// Preference losses as pure functions of summed log-probabilities. With
//   lw = logp(chosen) - logp_ref(chosen),  ll = logp(rejected) - logp_ref(rejected),  h = lw - ll
// and y, the probability that the chosen response is preferred, every loss here is the
// cross-entropy of sigmoid(beta h) against y:
//
//   loss = -y log sigmoid(beta h) - (1 - y) log sigmoid(-beta h)
//
// They differ in y:
//   kSigmoid  y = 1 - label_smoothing for hard labels: DPO (Rafailov et al. 2023, eq. 7), and
//             conservative DPO with smoothing. A soft target t is smoothed alike:
//             y = t (1 - label_smoothing) + (1 - t) label_smoothing.
//   kDno      y = t: Direct Nash Optimization, Algorithm 1 (Rosset et al. 2024), where
//             t = sigmoid(win-rate gap) and beta is the paper's eta.
#ifndef ATTUNE_WORKER_OBJECTIVES_H_
#define ATTUNE_WORKER_OBJECTIVES_H_

#include <ATen/core/Tensor.h>

namespace attune {

enum class LossKind { kSigmoid, kDno };

struct Objective {
  LossKind loss;
  double beta;
  double label_smoothing;  // kSigmoid only
};

// All of shape [pairs] and one floating type; the first two carry gradients.
struct PairLogProbs {
  at::Tensor chosen;
  at::Tensor rejected;
  at::Tensor chosen_reference;
  at::Tensor rejected_reference;
  at::Tensor target;  // t
};

struct PairLosses {
  at::Tensor losses;            // [pairs]
  at::Tensor chosen_rewards;    // beta lw, [pairs], detached
  at::Tensor rejected_rewards;  // beta ll
};

PairLosses PreferenceLosses(const Objective& objective, const PairLogProbs& logps);

}  // namespace attune

#endif  // ATTUNE_WORKER_OBJECTIVES_H_
