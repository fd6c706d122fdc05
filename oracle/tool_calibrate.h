// `attune judge --calibrate`: what labelled pairs say of an oracle beyond its accuracy.
#ifndef ATTUNE_ORACLE_TOOL_CALIBRATE_H_
#define ATTUNE_ORACLE_TOOL_CALIBRATE_H_

#include <optional>
#include <ostream>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "oracle/tool_accuracy.h"
#include "oracle/tool_json.h"
#include "oracle/tool_oracles.h"
#include "oracle/tool_pairs.h"

namespace attune {

// Every row is judged twice, the second time with its candidates in the opposite order.
// docs/oracles.md has the meaning of each number. `cost_per_call`, in any currency: of one
// judgement of a row. UNAVAILABLE when all judgements of an oracle failed.
[[nodiscard]] absl::StatusOr<ToolJson> Calibrate(absl::Span<const NamedJudge> judges,
                                                 const LabelledRows& rows,
                                                 std::optional<double> cost_per_call);

// The same of files, as text or on one line of JSON. Errors as of RunPairAccuracy.
absl::Status RunCalibrate(const PairsCommand& command, std::optional<double> cost_per_call,
                          std::ostream& out);

}  // namespace attune

#endif  // ATTUNE_ORACLE_TOOL_CALIBRATE_H_
