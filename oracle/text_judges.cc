#include "oracle/text_judges.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/status_macros.h"
#include "oracle/match_counter.h"

namespace attune {
namespace {

class LexiconJudge : public ScoringJudge {
 public:
  explicit LexiconJudge(std::shared_ptr<const Lexicon> lexicon)
      : ScoringJudge("lexicon/1", lexicon->digest()), lexicon_(std::move(lexicon)) {}

  absl::StatusOr<double> Score(const v1::Candidates& item, int index) const override {
    return lexicon_->Score(item.responses(index));
  }

 private:
  const std::shared_ptr<const Lexicon> lexicon_;
};

class LengthJudge : public ScoringJudge {
 public:
  explicit LengthJudge(uint32_t target)
      : ScoringJudge("length/1", Sha256Hex(absl::StrCat(target))), target_(target) {}

  absl::StatusOr<double> Score(const v1::Candidates& item, int index) const override {
    const double distance = std::abs(static_cast<double>(item.response_tokens(index)) - target_);
    return distance == 0 ? 0.0 : -distance;  // never minus zero, which prints as such
  }

 private:
  const double target_;
};

class RegexJudge : public ScoringJudge {
 public:
  RegexJudge(const std::string& pattern, std::unique_ptr<const MatchCounter> counter)
      : ScoringJudge("regex/1", Sha256Hex(pattern)), counter_(std::move(counter)) {}

  absl::StatusOr<double> Score(const v1::Candidates& item, int index) const override {
    ATTUNE_ASSIGN_OR_RETURN(const uint64_t matches, counter_->Count(item.responses(index)));
    return static_cast<double>(matches);
  }

 private:
  const std::unique_ptr<const MatchCounter> counter_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const Judge>> MakeLexiconJudge(const v1::OracleSpec& spec,
                                                              LexiconCache& lexicons) {
  ATTUNE_ASSIGN_OR_RETURN(std::shared_ptr<const Lexicon> lexicon, lexicons.Load(spec.path()));
  return std::make_shared<const LexiconJudge>(std::move(lexicon));
}

absl::StatusOr<std::shared_ptr<const Judge>> MakeRegexJudge(const v1::OracleSpec& spec) {
  absl::StatusOr<std::unique_ptr<const MatchCounter>> counter =
      MatchCounter::Create(spec.pattern());
  if (!counter.ok()) return Annotate(counter.status(), "oracle.pattern");
  return std::make_shared<const RegexJudge>(spec.pattern(), *std::move(counter));
}

std::shared_ptr<const Judge> MakeLengthJudge(const v1::OracleSpec& spec) {
  return std::make_shared<const LengthJudge>(spec.target_length());
}

}  // namespace attune
