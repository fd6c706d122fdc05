#include "worker/objectives.h"

#include <ATen/ATen.h>

#include "common/check.h"

namespace attune {
namespace {

at::Tensor PreferenceProbability(const Objective& objective, const at::Tensor& target) {
  switch (objective.loss) {
    case LossKind::kSigmoid:
      return target * (1 - 2 * objective.label_smoothing) + objective.label_smoothing;
    case LossKind::kDno:
      return target;
  }
  ATTUNE_CHECK(false);
  return target;
}

}  // namespace

PairLosses PreferenceLosses(const Objective& objective, const PairLogProbs& logps) {
  const at::Tensor chosen = objective.beta * (logps.chosen - logps.chosen_reference);
  const at::Tensor rejected = objective.beta * (logps.rejected - logps.rejected_reference);
  const at::Tensor y = PreferenceProbability(objective, logps.target);
  const at::Tensor z = chosen - rejected;
  return {-(y * at::log_sigmoid(z) + (1 - y) * at::log_sigmoid(-z)), chosen.detach(),
          rejected.detach()};
}

}  // namespace attune
