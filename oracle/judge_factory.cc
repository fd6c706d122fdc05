#include "oracle/judge_factory.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "oracle/composite_judges.h"
#include "oracle/http_judge.h"
#include "oracle/llm_judge.h"
#include "oracle/model_judges.h"
#include "oracle/table_judge.h"
#include "oracle/text_judges.h"
#include "oracle/verifier_judges.h"
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

absl::StatusOr<std::shared_ptr<const Judge>> JudgeFactory::MakeChecked(const v1::OracleSpec& spec) {
  switch (spec.kind()) {
    case v1::ORACLE_KIND_LEXICON:
      return MakeLexiconJudge(spec, lexicons_);
    case v1::ORACLE_KIND_LENGTH:
      return MakeLengthJudge(spec);
    case v1::ORACLE_KIND_REGEX:
      return MakeRegexJudge(spec);
    case v1::ORACLE_KIND_NUMERIC:
      return MakeNumericJudge();
    case v1::ORACLE_KIND_EXACT_MATCH:
      return MakeExactMatchJudge();
    case v1::ORACLE_KIND_JSON:
      return MakeJsonJudge();
    case v1::ORACLE_KIND_SUM:
    case v1::ORACLE_KIND_PRODUCT:
    case v1::ORACLE_KIND_BRADLEY_TERRY:
      return MakeComposite(spec);
    case v1::ORACLE_KIND_TABLE:
      return MakeTableJudge(spec.path());
    case v1::ORACLE_KIND_REWARD_MODEL:
      return MakeRewardModelJudge(spec, models_);
    case v1::ORACLE_KIND_IMPLICIT_REWARD:
      return MakeImplicitRewardJudge(spec, models_);
    case v1::ORACLE_KIND_R3:
      return MakeR3Judge(spec, models_);
    case v1::ORACLE_KIND_HTTP:
      return MakeHttpJudge(spec, endpoints_, http_);
    case v1::ORACLE_KIND_REMOTE:
      return remotes_.Make(spec);
    case v1::ORACLE_KIND_LLM_JUDGE:
      return spec.endpoint().empty() ? MakeLocalLlmJudge(spec, models_)
                                     : MakeChatLlmJudge(spec, endpoints_, http_);
    default:
      return absl::InvalidArgumentError(absl::StrCat("oracle.kind ", EnumName(spec.kind()),
                                                     " is not served by this oracle process"));
  }
}

absl::StatusOr<std::shared_ptr<const Judge>> JudgeFactory::MakeComposite(
    const v1::OracleSpec& spec) {
  std::vector<JudgePart> parts;
  for (int k = 0; k < spec.parts_size(); ++k) {
    absl::StatusOr<std::shared_ptr<const Judge>> judge = MakeChecked(spec.parts(k).oracle());
    if (!judge.ok()) return Annotate(judge.status(), absl::StrCat("oracle.parts[", k, "]"));
    parts.push_back({*std::move(judge), spec.parts(k).weight()});
  }
  if (spec.kind() == v1::ORACLE_KIND_SUM) return MakeSumJudge(std::move(parts));
  if (spec.kind() == v1::ORACLE_KIND_PRODUCT) return MakeProductJudge(std::move(parts));
  return MakeBradleyTerryJudge(std::move(parts[0]), spec.scale());
}

}  // namespace attune
