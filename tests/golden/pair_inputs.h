// Pairs of summed log-probabilities from a case, and what the pairwise losses make of them.
#ifndef ATTUNE_TESTS_GOLDEN_PAIR_INPUTS_H_
#define ATTUNE_TESTS_GOLDEN_PAIR_INPUTS_H_

#include <string>

#include "tests/golden/golden_case.h"
#include "worker/objectives/loss.h"

namespace attune {

// The leaves of gradients are batch.chosen.logps and batch.rejected.logps, which the file knows by
// these names.
struct PairInputs {
  LossBatch batch;
  std::string chosen_name;
  std::string rejected_name;
};

// policy_{chosen,rejected}_logps, the reference's if they are there, lengths (1 if not).
PairInputs ReadPairs(const GoldenCase& golden);

// policy_{chosen,rejected}_avg_logps, which are means already: lengths of 1.
PairInputs ReadMeanPairs(const GoldenCase& golden);

// losses, loss_mean, loss, grad_of_sum by the leaves' names, grad.{c,r} of the mean, chosen_rewards
// and rejected_rewards. `loss_name` is ours.
[[nodiscard]] absl::StatusOr<nlohmann::json> PairOutputs(const PairInputs& inputs,
                                                         const std::string& loss_name,
                                                         const LossOptions& options);

[[nodiscard]] absl::StatusOr<const Loss*> LossNamed(const std::string& name);

}  // namespace attune

#endif  // ATTUNE_TESTS_GOLDEN_PAIR_INPUTS_H_
