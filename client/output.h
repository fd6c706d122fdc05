// What every command prints the same way: JSON, errors, exit codes.
#ifndef ATTUNE_CLIENT_OUTPUT_H_
#define ATTUNE_CLIENT_OUTPUT_H_

#include <string>

#include "absl/status/status.h"
#include "google/protobuf/message.h"

namespace attune {

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitRefused = 2;  // bad usage, or input that was refused
inline constexpr int kExitStopped = 130;  // Ctrl-C or SIGTERM

// One line without newline: proto3 JSON with the field names of the .proto files; zeros included.
std::string ToJson(const google::protobuf::Message& message);

// Standard output, one line.
void PrintLine(const std::string& line);

// Standard error, every problem of a refused request on a line of its own; with `json` besides an
// object on standard output: {"error": {"code", "message", "violations": [{"field",
// "description"}]}}. Returns the exit code that belongs to the error.
int PrintError(const absl::Status& status, bool json);

}  // namespace attune

#endif  // ATTUNE_CLIENT_OUTPUT_H_
