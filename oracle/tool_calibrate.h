// `attune judge --calibrate`: what labelled pairs say of an oracle beyond its accuracy.
#ifndef ATTUNE_ORACLE_TOOL_CALIBRATE_H_
#define ATTUNE_ORACLE_TOOL_CALIBRATE_H_

#include <optional>
#include <ostream>

#include "absl/status/status.h"
#include "oracle/tool_accuracy.h"

namespace attune {

// Every row is judged twice, the second time with its candidates in the opposite order. Text, or
// one JSON object; docs/oracles.md has the meaning of each number. Errors as of RunPairAccuracy.
// `cost_per_call`, in any currency: of one judgement of a row.
absl::Status RunCalibrate(const PairsCommand& command, std::optional<double> cost_per_call,
                          std::ostream& out);

}  // namespace attune

#endif  // ATTUNE_ORACLE_TOOL_CALIBRATE_H_
