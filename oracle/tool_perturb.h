// Changes of a prompt that keep its meaning: what a model is worth under the worst of them says
// whether it is good or only used to a wording.
#ifndef ATTUNE_ORACLE_TOOL_PERTURB_H_
#define ATTUNE_ORACLE_TOOL_PERTURB_H_

#include <string>

#include "absl/types/span.h"
#include "attune/v1/types.pb.h"

namespace attune {

struct Perturbation {
  const char* name;
  std::string (*change)(const std::string& text);
};

// A fixed set.
absl::Span<const Perturbation> Perturbations();

// The prompt with its text changed or, where it has messages, the content of the last one.
v1::Prompt Perturbed(const Perturbation& perturbation, const v1::Prompt& prompt);

}  // namespace attune

#endif  // ATTUNE_ORACLE_TOOL_PERTURB_H_
