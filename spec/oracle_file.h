// Oracle files: YAML with what the oracle block of a job file has, and nothing around it.
#ifndef ATTUNE_SPEC_ORACLE_FILE_H_
#define ATTUNE_SPEC_ORACLE_FILE_H_

#include <string>

#include "absl/status/statusor.h"
#include "attune/v1/oracle_spec.pb.h"

namespace attune {

// With defaults filled in and relative paths made absolute: what exists beside the file is meant,
// else in the working directory. INVALID_ARGUMENT with one field violation per problem ("path",
// "parts[0].oracle.pattern"), all at once, or with a sentence when the file cannot be read; kind
// dataset is refused, which has no oracle but the dataset of a job. Whether files named in it can
// be used is for whoever makes the judge.
[[nodiscard]] absl::StatusOr<v1::OracleSpec> LoadOracleFile(const std::string& path);

}  // namespace attune

#endif  // ATTUNE_SPEC_ORACLE_FILE_H_
