#include "oracle/tool_oracles.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/status_macros.h"
#include "common/threads.h"
#include "spec/answer_check.h"
#include "spec/oracle_file.h"
#include "spec/oracle_spec.h"

namespace attune {
namespace {

constexpr int kCallsAtOnce = 16;  // as many as attune-oracle makes

std::string Stem(const std::string& file) {
  const std::string name = BaseName(file);
  return name.substr(0, name.rfind('.'));
}

Decision Decide(const Judge& judge, const v1::Candidates& item) {
  const Stopwatch watch;
  Decision decision{judge.Decide(item), 0};
  decision.seconds = watch.Seconds();
  if (!decision.verdict.ok()) return decision;
  const absl::Status usable = CheckAnswer(decision.verdict->scores, decision.verdict->preferences,
                                          static_cast<size_t>(item.responses_size()));
  if (!usable.ok()) decision.verdict = usable;
  return decision;
}

}  // namespace

absl::StatusOr<std::unique_ptr<const OracleSet>> OracleSet::Load(
    absl::Span<const std::string> files) {
  ATTUNE_ASSIGN_OR_RETURN(std::unique_ptr<Metrics> metrics, Metrics::Create("", "judge"));
  std::unique_ptr<OracleSet> set(new OracleSet(std::move(metrics)));
  std::multiset<std::string> stems;
  for (const std::string& file : files) stems.insert(Stem(file));
  for (const std::string& file : files) {
    const std::string stem = Stem(file);
    ATTUNE_RETURN_IF_ERROR(set->Add(stems.count(stem) == 1 ? stem : file, file));
  }
  return set;
}

absl::Status OracleSet::Add(const std::string& name, const std::string& file) {
  ATTUNE_ASSIGN_OR_RETURN(const v1::OracleSpec spec, LoadOracleFile(file));
  absl::StatusOr<std::shared_ptr<const Judge>> judge = factory_.Make(spec);
  if (!judge.ok()) return Annotate(judge.status(), file);
  judges_.push_back({name, *std::move(judge), AsksOutside(spec) ? kCallsAtOnce : ProcessorCount()});
  return absl::OkStatus();
}

std::vector<Decision> DecideAll(const NamedJudge& judge, absl::Span<const v1::Candidates> items) {
  std::vector<std::optional<Decision>> made(items.size());
  RunInThreads(items.size(), judge.threads,
               [&](size_t i) { made[i] = Decide(*judge.judge, items[i]); });
  std::vector<Decision> decisions;
  for (std::optional<Decision>& decision : made) decisions.push_back(*std::move(decision));
  return decisions;
}

absl::Status CheckAnyJudged(const NamedJudge& judge, absl::Span<const Decision> decisions) {
  for (const Decision& decision : decisions) {
    if (decision.verdict.ok()) return absl::OkStatus();
  }
  return absl::UnavailableError(
      absl::StrCat("all ", decisions.size(), " judgements of oracle ", judge.name,
                   " failed; the first: ", decisions[0].verdict.status().message()));
}

double PreferenceOf(const Verdict& verdict, size_t i, size_t j) {
  const size_t candidates = verdict.scores.size();
  ATTUNE_CHECK(i < candidates && j < candidates);
  if (!verdict.preferences.empty()) return verdict.preferences[i * candidates + j];
  const double gap = verdict.scores[i] - verdict.scores[j];
  return gap > 0 ? 1 : gap == 0 ? 0.5 : 0;
}

absl::StatusOr<LengthCounter> LengthCounter::Load(const std::string& model) {
  LengthCounter counter;
  if (!model.empty()) {
    ATTUNE_ASSIGN_OR_RETURN(counter.tokenizer_, Tokenizer::Load(model));
  }
  return counter;
}

uint32_t LengthCounter::Count(absl::string_view text) const {
  if (tokenizer_ != nullptr) {
    return static_cast<uint32_t>(tokenizer_->Encode(text, /*add_special_tokens=*/false).size());
  }
  const std::vector<absl::string_view> words =
      absl::StrSplit(text, absl::ByAnyChar(" \t\r\n\v\f"), absl::SkipEmpty());
  return static_cast<uint32_t>(words.size());
}

}  // namespace attune
