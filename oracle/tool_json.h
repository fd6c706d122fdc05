// JSON and numbers as the commands of attune-judge write them.
#ifndef ATTUNE_ORACLE_TOOL_JSON_H_
#define ATTUNE_ORACLE_TOOL_JSON_H_

#include <cstddef>
#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "common/statistics.h"
#include "nlohmann/json.hpp"

namespace attune {

using ToolJson = nlohmann::ordered_json;

// On one line; what is not UTF-8 is replaced.
void WriteLine(const ToolJson& line, std::ostream& out);

// Flushes. UNAVAILABLE when something could not be written.
absl::Status CheckWritten(std::ostream& out);

// {"rate", "low", "high", "of"}: successes / trials with its 95 % Wilson interval, out of how many;
// null without trials.
ToolJson RateJson(double successes, size_t trials);
// The same of a rate whose interval is known.
ToolJson RateJson(double rate, const Interval& interval, size_t trials);

// Of such an object: "0.812" and "0.78-0.84", or "-" of null.
std::string ShownRate(const ToolJson& rate);
std::string ShownInterval(const ToolJson& rate);

}  // namespace attune

#endif  // ATTUNE_ORACLE_TOOL_JSON_H_
