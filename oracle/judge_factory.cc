#include "oracle/judge_factory.h"

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "oracle/text_judges.h"
#include "spec/oracle_spec.h"

namespace attune {

absl::StatusOr<std::shared_ptr<const Judge>> JudgeFactory::Make(const v1::OracleSpec& spec) {
  v1::OracleSpec filled = spec;
  FillOracleDefaults(&filled);
  Violations violations;
  CheckOracle("oracle.", filled, &violations);
  ATTUNE_RETURN_IF_ERROR(BadRequestError(violations));
  return MakeChecked(filled);
}

absl::StatusOr<std::shared_ptr<const Judge>> JudgeFactory::MakeChecked(
    const v1::OracleSpec& spec) {
  switch (spec.kind()) {
    case v1::ORACLE_KIND_LEXICON:
      return MakeLexiconJudge(spec, lexicons_);
    case v1::ORACLE_KIND_LENGTH:
      return MakeLengthJudge(spec);
    case v1::ORACLE_KIND_REGEX:
      return MakeRegexJudge(spec);
    default:
      return absl::InvalidArgumentError(absl::StrCat(
          "oracle.kind ", EnumName(spec.kind()), " is not served by this oracle process"));
  }
}

}  // namespace attune
