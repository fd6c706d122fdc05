// COFS-DPO (Qi et al. 2024): domains are learned one after another, and the policy is a combination
// of what was learned of each.
#ifndef ATTUNE_WORKER_DOMAIN_COMBINATION_H_
#define ATTUNE_WORKER_DOMAIN_COMBINATION_H_

#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "attune/v1/trainer.pb.h"
#include "comm/collective.h"
#include "worker/adapter_files.h"
#include "worker/example_columns.h"
#include "worker/trained_policy.h"

namespace attune {

// Adapters that are combined, with as many domains' pairs.
using Domains = std::vector<LearnedDomain>;

// Weights of the domains' adapters, on the simplex: those for which the DPO loss of the combined
// adapter (CombineAdapters), summed over the pairs of all domains, is lowest, as far as
// SimplexWeights finds them. {1} for one domain. `models` are those of `policy`, which is left with
// some combination. Every rank calls it with the same domains, and computes its share of the pairs;
// the number of ranks changes rounding only. It fails on all of them or on none, as TrainRound
// does; `stop` is looked at before every evaluation.
[[nodiscard]] absl::StatusOr<std::vector<double>> WeighDomains(
    const v1::TrainRoundRequest& request, const Domains& domains, const TrainingModels& models,
    TrainedPolicy& policy, Collective& ranks, absl::FunctionRef<bool()> stop);

// sum_k weights_k adapter_k
std::vector<float> CombinedAdapter(const Domains& domains, const std::vector<double>& weights);

}  // namespace attune

#endif  // ATTUNE_WORKER_DOMAIN_COMBINATION_H_
