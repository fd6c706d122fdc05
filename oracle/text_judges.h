// Oracles that look at nothing but the text or the length of a response.
#ifndef ATTUNE_ORACLE_TEXT_JUDGES_H_
#define ATTUNE_ORACLE_TEXT_JUDGES_H_

#include <memory>

#include "absl/status/statusor.h"
#include "attune/v1/oracle_spec.pb.h"
#include "oracle/judge.h"
#include "oracle/lexicon.h"

namespace attune {

// INVALID_ARGUMENT with a sentence that names the field when the lexicon or pattern cannot be used.
// The kind must be the function's; `lexicons` may be shared between threads.
[[nodiscard]] absl::StatusOr<std::shared_ptr<const Judge>> MakeLexiconJudge(
    const v1::OracleSpec& spec, LexiconCache& lexicons);
[[nodiscard]] absl::StatusOr<std::shared_ptr<const Judge>> MakeRegexJudge(
    const v1::OracleSpec& spec);
std::shared_ptr<const Judge> MakeLengthJudge(const v1::OracleSpec& spec);

}  // namespace attune

#endif  // ATTUNE_ORACLE_TEXT_JUDGES_H_
