#include "client/job_file.h"

#include "common/files.h"
#include "common/status_macros.h"
#include "spec/oracle_spec.h"
#include "spec/yaml_message.h"

namespace attune {
namespace {

void ResolvePaths(const std::string& job_directory, v1::JobSpec& spec) {
  const auto resolve = [&](const std::string& field, std::string* path) {
    *path = ResolvePath(*path, job_directory);
  };
  if (spec.has_model()) resolve("model.path", spec.mutable_model()->mutable_path());
  if (spec.has_dataset()) resolve("dataset.path", spec.mutable_dataset()->mutable_path());
  if (spec.has_oracle()) VisitOraclePaths("oracle.", spec.mutable_oracle(), resolve);
  for (v1::AuxiliaryOracleSpec& auxiliary : *spec.mutable_auxiliary_oracles()) {
    if (auxiliary.has_oracle()) VisitOraclePaths("oracle.", auxiliary.mutable_oracle(), resolve);
  }
  if (spec.has_objective()) {
    resolve("objective.reference_model", spec.mutable_objective()->mutable_reference_model());
  }
}

}  // namespace

absl::StatusOr<JobFile> ParseJobFile(absl::string_view yaml) {
  JobFile file;
  ATTUNE_RETURN_IF_ERROR(ParseYamlMessage(yaml, &file.spec, &file.violations));
  return file;
}

absl::StatusOr<JobFile> LoadJobFile(const std::string& path) {
  JobFile file;
  ATTUNE_RETURN_IF_ERROR(LoadYamlMessage("job file", path, &file.spec, &file.violations));
  ResolvePaths(ParentPath(AbsolutePath(path)), file.spec);
  return file;
}

}  // namespace attune
