#include "coordinator/objective_spec.h"

#include "absl/strings/str_cat.h"

namespace attune {

void CheckObjective(const v1::JobSpec& spec, Violations* violations) {
  const v1::ObjectiveSpec& objective = spec.objective();
  Block block("objective.", violations);
  CheckEnum("reference", objective.reference(), &block);
  block.Range("beta", objective.beta(), {0, 1000, End::kExcluded});
  block.Range("label_smoothing", objective.label_smoothing(),
              {0, 0.5, End::kIncluded, End::kExcluded});
}

}  // namespace attune
