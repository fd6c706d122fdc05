#include "spec/oracle_file.h"

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/status_macros.h"
#include "spec/oracle_spec.h"
#include "spec/yaml_message.h"

namespace attune {
namespace {

absl::StatusOr<v1::OracleSpec> Load(const std::string& path) {
  v1::OracleSpec spec;
  Violations of_file, found;
  ATTUNE_RETURN_IF_ERROR(LoadYamlMessage("oracle file", path, &spec, &of_file));
  const std::string directory = ParentPath(AbsolutePath(path));
  VisitOraclePaths("", &spec, [&](const std::string& field, std::string* file) {
    *file = ResolvePath(*file, directory);
  });
  FillOracleDefaults(&spec);
  CheckOracle("", spec, &found);
  if (spec.kind() == v1::ORACLE_KIND_DATASET) {
    found.push_back({"kind", "is dataset, whose verdicts are the labels of a job's own dataset"});
  }
  ATTUNE_RETURN_IF_ERROR(BadRequestError(MergeViolations(of_file, found)));
  return spec;
}

}  // namespace

absl::StatusOr<v1::OracleSpec> LoadOracleFile(const std::string& path) {
  absl::StatusOr<v1::OracleSpec> spec = Load(path);
  // Of a file that is no map, the violation alone would not say which file.
  if (!spec.ok()) return Annotate(spec.status(), path);
  return spec;
}

}  // namespace attune
