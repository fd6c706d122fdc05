// What an oracle block says: its defaults, its paths and everything wrong with it, but for files
// and endpoints, which only their readers can judge.
#ifndef ATTUNE_SPEC_ORACLE_SPEC_H_
#define ATTUNE_SPEC_ORACLE_SPEC_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "attune/v1/oracle_spec.pb.h"
#include "spec/spec_checks.h"

namespace attune {

inline constexpr int kOracleDepthMax = 3;  // of parts within parts

// Fills in every default of the kind, in parts too. Idempotent.
void FillOracleDefaults(v1::OracleSpec* oracle);

// Adds what is wrong, each with the path of its field after `prefix` ("oracle."). Of an oracle with
// defaults filled in.
void CheckOracle(const std::string& prefix, const v1::OracleSpec& oracle, Violations* violations);
// The same of an oracle that is not the job's main one: fields of a whole job are refused.
void CheckInnerOracle(const std::string& prefix, const v1::OracleSpec& oracle,
                      Violations* violations);

// Calls `visit` with the path of every field that names a file or directory (those left out too)
// and the field; in parts too.
void VisitOraclePaths(const std::string& prefix, v1::OracleSpec* oracle,
                      absl::FunctionRef<void(const std::string& field, std::string* path)> visit);

// Whether one of its parts, or the oracle itself, is of the kind.
bool HasOracleKind(const v1::OracleSpec& oracle, v1::OracleKind kind);

// Whether it calls a service that may be away for a while.
bool AsksOutside(const v1::OracleSpec& oracle);

// Whether it compares responses with the dataset's answer: every prompt must have one.
bool NeedsGold(const v1::OracleSpec& oracle);

}  // namespace attune

#endif  // ATTUNE_SPEC_ORACLE_SPEC_H_
