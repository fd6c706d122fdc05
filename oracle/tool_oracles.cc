#include "oracle/tool_oracles.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/status_macros.h"
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
  const absl::Status usable =
      CheckAnswer(decision.verdict->scores, decision.verdict->preferences,
                  static_cast<size_t>(item.responses_size()));
  if (!usable.ok()) decision.verdict = usable;
  return decision;
}

}  // namespace

absl::StatusOr<std::vector<NamedJudge>> LoadJudges(absl::Span<const std::string> files,
                                                   JudgeFactory* factory) {
  std::multiset<std::string> stems;
  for (const std::string& file : files) stems.insert(Stem(file));
  std::vector<NamedJudge> judges;
  for (const std::string& file : files) {
    ATTUNE_ASSIGN_OR_RETURN(const v1::OracleSpec spec, LoadOracleFile(file));
    absl::StatusOr<std::shared_ptr<const Judge>> judge = factory->Make(spec);
    if (!judge.ok()) return Annotate(judge.status(), file);
    const int processors = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
    judges.push_back({stems.count(Stem(file)) == 1 ? Stem(file) : file, *std::move(judge),
                      AsksOutside(spec) ? kCallsAtOnce : processors});
  }
  return judges;
}

std::vector<Decision> DecideAll(const NamedJudge& judge, absl::Span<const v1::Candidates> items) {
  std::vector<std::optional<Decision>> made(items.size());
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < items.size(); i = next++) made[i] = Decide(*judge.judge, items[i]);
  };
  std::vector<std::thread> helpers;
  const size_t threads = std::min(static_cast<size_t>(judge.threads), items.size());
  for (size_t i = 1; i < threads; ++i) helpers.emplace_back(work);
  work();
  for (std::thread& helper : helpers) helper.join();
  std::vector<Decision> decisions;
  for (std::optional<Decision>& decision : made) decisions.push_back(*std::move(decision));
  return decisions;
}

absl::Status CheckAnyJudged(const NamedJudge& judge, absl::Span<const Decision> decisions) {
  for (const Decision& decision : decisions) {
    if (decision.verdict.ok()) return absl::OkStatus();
  }
  return absl::UnavailableError(absl::StrCat("all ", decisions.size(), " judgements of oracle ",
                                             judge.name, " failed; the first: ",
                                             decisions[0].verdict.status().message()));
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
