// Job files: YAML to v1::JobSpec. Keys are the field names of the message, enum values are written
// in lower case without their prefix.
#ifndef ATTUNE_CLIENT_JOB_FILE_H_
#define ATTUNE_CLIENT_JOB_FILE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "attune/v1/job.pb.h"
#include "spec/spec_checks.h"

namespace attune {

struct JobFile {
  v1::JobSpec spec;       // all that could be read; a bad value is left out
  Violations violations;  // in the order of the file; empty = all was read
};

// INVALID_ARGUMENT when nothing can be read: YAML syntax (with line and column), not a map, more
// than one document. What is wrong with single keys is in JobFile::violations.
[[nodiscard]] absl::StatusOr<JobFile> ParseJobFile(absl::string_view yaml);

// ParseJobFile of a file, with relative paths made absolute: a model, dataset or oracle that exists
// beside the job file is meant, else one in the working directory; others stay as written, for the
// coordinator to judge. INVALID_ARGUMENT also when the file cannot be read.
[[nodiscard]] absl::StatusOr<JobFile> LoadJobFile(const std::string& path);

}  // namespace attune

#endif  // ATTUNE_CLIENT_JOB_FILE_H_
