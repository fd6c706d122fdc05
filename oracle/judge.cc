#include "oracle/judge.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/status_macros.h"
#include "oracle/match_counter.h"

namespace attune {
namespace {

constexpr uint32_t kTargetLengthMax = 32768;  // tokens

class LexiconJudge : public Judge {
 public:
  explicit LexiconJudge(std::shared_ptr<const Lexicon> lexicon)
      : Judge(OracleName(v1::ORACLE_KIND_LEXICON), lexicon->digest()),
        lexicon_(std::move(lexicon)) {}

  absl::StatusOr<double> Score(absl::string_view response, uint32_t tokens) const override {
    return lexicon_->Score(response);
  }

 private:
  const std::shared_ptr<const Lexicon> lexicon_;
};

class LengthJudge : public Judge {
 public:
  explicit LengthJudge(uint32_t target)
      : Judge(OracleName(v1::ORACLE_KIND_LENGTH), Sha256Hex(absl::StrCat(target))),
        target_(target) {}

  absl::StatusOr<double> Score(absl::string_view response, uint32_t tokens) const override {
    const double distance = std::abs(static_cast<double>(tokens) - target_);
    return distance == 0 ? 0.0 : -distance;  // never minus zero, which prints as such
  }

 private:
  const double target_;
};

class RegexJudge : public Judge {
 public:
  RegexJudge(const std::string& pattern, std::unique_ptr<const MatchCounter> counter)
      : Judge(OracleName(v1::ORACLE_KIND_REGEX), Sha256Hex(pattern)),
        counter_(std::move(counter)) {}

  absl::StatusOr<double> Score(absl::string_view response, uint32_t tokens) const override {
    ATTUNE_ASSIGN_OR_RETURN(const uint64_t matches, counter_->Count(response));
    return static_cast<double>(matches);
  }

 private:
  const std::unique_ptr<const MatchCounter> counter_;
};

// A field belongs to one kind: required there, refused elsewhere.
absl::Status CheckField(absl::string_view field, absl::string_view value, bool wanted,
                        const std::string& oracle) {
  if (wanted == !value.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      wanted ? absl::StrCat("oracle.", field, " is required for the oracle ", oracle)
             : absl::StrCat("oracle.", field, " = \"", value, "\" does not belong to the oracle ",
                            oracle, "; leave it out"));
}

}  // namespace

std::string OracleName(v1::OracleKind kind) {
  if (kind == v1::ORACLE_KIND_LEXICON) return "lexicon/1";
  if (kind == v1::ORACLE_KIND_LENGTH) return "length/1";
  if (kind == v1::ORACLE_KIND_REGEX) return "regex/1";
  return "none";
}

absl::StatusOr<std::unique_ptr<const Judge>> MakeJudge(const v1::OracleSpec& spec,
                                                       LexiconCache& lexicons) {
  const std::string name = OracleName(spec.kind());
  ATTUNE_RETURN_IF_ERROR(
      CheckField("path", spec.path(), spec.kind() == v1::ORACLE_KIND_LEXICON, name));
  ATTUNE_RETURN_IF_ERROR(
      CheckField("pattern", spec.pattern(), spec.kind() == v1::ORACLE_KIND_REGEX, name));
  if (spec.kind() == v1::ORACLE_KIND_LEXICON) {
    ATTUNE_ASSIGN_OR_RETURN(std::shared_ptr<const Lexicon> lexicon, lexicons.Load(spec.path()));
    return std::make_unique<const LexiconJudge>(std::move(lexicon));
  }
  if (spec.kind() == v1::ORACLE_KIND_REGEX) {
    absl::StatusOr<std::unique_ptr<const MatchCounter>> counter =
        MatchCounter::Create(spec.pattern());
    if (!counter.ok()) return Annotate(counter.status(), "oracle.pattern");
    return std::make_unique<const RegexJudge>(spec.pattern(), *std::move(counter));
  }
  if (spec.kind() == v1::ORACLE_KIND_LENGTH) {
    if (spec.target_length() > kTargetLengthMax) {
      return absl::InvalidArgumentError(absl::StrCat("oracle.target_length is ",
                                                     spec.target_length(), ", the limit is ",
                                                     kTargetLengthMax, " tokens"));
    }
    return std::make_unique<const LengthJudge>(spec.target_length());
  }
  return absl::InvalidArgumentError(
      absl::StrCat("oracle.kind ", static_cast<int>(spec.kind()),
                   " is not known to this oracle; use lexicon, length or regex"));
}

}  // namespace attune
