// `attune evaluate`: models play against each other before an oracle.
#ifndef ATTUNE_ORACLE_TOOL_EVALUATE_H_
#define ATTUNE_ORACLE_TOOL_EVALUATE_H_

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "model/sampler.h"

namespace attune {

struct EvaluateCommand {
  std::vector<std::string> models;  // NAME=DIR, two or more
  std::string oracle;               // file
  std::string prompts;              // a dataset
  uint32_t num_prompts = 0;         // the first so many; 0: all
  SamplingOptions sampling;
  uint64_t seed = 0;     // of the answers' draws and of the intervals
  bool perturb = false;  // play again with each perturbation (oracle/tool_perturb.h) of the prompts
  bool json = false;
};

// Each model answers each prompt once; the oracle judges the answers to a prompt together, beside
// the prompt as it stands in the file. Tables, or one JSON object; docs/oracles.md has the meaning
// of each number. The output depends on the command, its files and the oracle alone. Failed
// judgements are left out and counted. INVALID_ARGUMENT and NOT_FOUND: the input was refused.
// UNAVAILABLE when all judgements failed.
absl::Status RunEvaluate(const EvaluateCommand& command, std::ostream& out);

}  // namespace attune

#endif  // ATTUNE_ORACLE_TOOL_EVALUATE_H_
