// YAML files of users: a map -> a protobuf message, with all that is wrong at once. Keys are the
// field names of the message, enum values are written in lower case without their prefix.
#ifndef ATTUNE_SPEC_YAML_MESSAGE_H_
#define ATTUNE_SPEC_YAML_MESSAGE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"
#include "spec/spec_checks.h"

namespace attune {

// Fills `message` with all that can be read; a bad value is left out and told in `violations`, in
// the order of the file and with its line. INVALID_ARGUMENT when nothing can be read: YAML syntax
// (with line and column), not a map, more than one document.
absl::Status ParseYamlMessage(absl::string_view yaml, google::protobuf::Message* message,
                              Violations* violations);

// The same of a file of at most 1 MiB. INVALID_ARGUMENT also when it cannot be read; `what` ("job
// file") names it in that error.
absl::Status LoadYamlMessage(absl::string_view what, const std::string& path,
                             google::protobuf::Message* message, Violations* violations);

// A relative path of a file in `directory`, made absolute: what exists there is meant, else what
// exists in the working directory; others stay as written.
std::string ResolvePath(const std::string& path, const std::string& directory);

// All problems at once: those of the file, then those that checks found in what was left, without
// the ones that only follow from a value that was left out.
Violations MergeViolations(const Violations& file, const Violations& found);

}  // namespace attune

#endif  // ATTUNE_SPEC_YAML_MESSAGE_H_
