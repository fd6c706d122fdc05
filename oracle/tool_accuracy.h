// `attune judge --evaluate`: how often oracles prefer what labelled pairs prefer. With an oracle of
// kind reward_model and one of kind implicit_reward it compares an explicit reward model with the
// implicit one of DPO (Lin et al. 2024).
#ifndef ATTUNE_ORACLE_TOOL_ACCURACY_H_
#define ATTUNE_ORACLE_TOOL_ACCURACY_H_

#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace attune {

struct PairsCommand {
  std::vector<std::string> oracles;  // files
  std::string pairs;                 // a dataset with labelled responses
  std::string model;                 // as JudgeCommand
  bool json = false;
};

// Tables, or one JSON object: of each oracle and split (all; and each domain or split that rows
// have) pairs, failures, ties, accuracy with its 95 % Wilson interval; ties count as wrong,
// failures not at all. Of each two oracles how often their answers differ. INVALID_ARGUMENT and
// NOT_FOUND: the input was refused. UNAVAILABLE when all judgements of an oracle failed.
absl::Status RunPairAccuracy(const PairsCommand& command, std::ostream& out);

}  // namespace attune

#endif  // ATTUNE_ORACLE_TOOL_ACCURACY_H_
