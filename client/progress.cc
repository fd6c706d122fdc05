#include "client/progress.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/text_format.h"
#include "common/clock.h"

namespace attune {
namespace {

constexpr int kBarCells = 20;

std::string RoundLabel(uint32_t round, uint32_t rounds) {
  const std::string total = absl::StrCat(rounds);
  if (round == 0) return absl::StrFormat("%-*s", static_cast<int>(7 + 2 * total.size()), "initial");
  return absl::StrFormat("round %*d/%s", static_cast<int>(total.size()), round, total);
}

std::string Line(uint32_t round, uint32_t rounds, absl::string_view what,
                 const std::vector<std::string>& details) {
  return absl::StrFormat("%s  %-9s %s", RoundLabel(round, rounds), what,
                         absl::StrJoin(details, "  "));
}

std::string PhaseDone(v1::RoundPhase phase) {
  switch (phase) {
    case v1::ROUND_PHASE_PROMPTS:
      return "prompts";
    case v1::ROUND_PHASE_SAMPLED:
      return "sampled";
    case v1::ROUND_PHASE_JUDGED:
      return "judged";
    case v1::ROUND_PHASE_PAIRED:
      return "paired";
    case v1::ROUND_PHASE_TRAINED:
      return "trained";
    case v1::ROUND_PHASE_PUBLISHED:
      return "published";
    default:
      return "started";
  }
}

std::string PhaseInWork(const v1::Progress& progress) {
  switch (progress.phase()) {
    case v1::ROUND_PHASE_PROMPTS:
      return "prompts";
    case v1::ROUND_PHASE_SAMPLED:
      return "sampling";
    case v1::ROUND_PHASE_JUDGED:
      return "judging";
    case v1::ROUND_PHASE_PAIRED:
      return "pairing";
    case v1::ROUND_PHASE_TRAINED:
      return "training";
    case v1::ROUND_PHASE_PUBLISHED:
      return progress.evaluating() ? "evaluates" : "publishes";
    default:
      return "starting";
  }
}

// The details of a phase that is done, without its time.
std::vector<std::string> PhaseDetails(const v1::RoundRecord& record) {
  switch (record.phase()) {
    case v1::ROUND_PHASE_PROMPTS:
      return {"chosen"};
    case v1::ROUND_PHASE_SAMPLED:
      return {absl::StrCat(WithThousands(record.responses()), " responses"),
              absl::StrCat(WithThousands(record.response_tokens()), " tokens")};
    case v1::ROUND_PHASE_JUDGED:
      return {absl::StrCat(WithThousands(record.responses()), " responses"),
              absl::StrFormat("mean score %.4g", record.mean_score())};
    case v1::ROUND_PHASE_PAIRED:
      return {FormatPairCounts(record.pairs())};
    case v1::ROUND_PHASE_TRAINED:
      return {absl::StrCat("policy ", record.trained_policy().digest().substr(0, 12))};
    case v1::ROUND_PHASE_PUBLISHED:
      if (record.evaluation().prompts() == 0) return {};
      return {absl::StrCat("evaluated on ", WithThousands(record.evaluation().prompts()),
                           " held-out prompts")};
    default:
      return {};
  }
}

std::vector<std::string> EvaluationDetails(const v1::Evaluation& evaluation, bool is_initial) {
  std::vector<std::string> details;
  if (evaluation.prompts() == 0) return details;  // nothing was measured
  if (evaluation.pairs() > 0) {
    return {absl::StrFormat("accuracy %.1f %% [%.1f, %.1f]", 100 * evaluation.accuracy(),
                            100 * evaluation.accuracy_low(), 100 * evaluation.accuracy_high()),
            absl::StrCat("on ", WithThousands(evaluation.pairs()), " held-out pairs")};
  }
  if (!is_initial) {  // the initial policy would be compared with itself
    details.push_back(absl::StrFormat("win rate %.1f %% [%.1f, %.1f]", 100 * evaluation.win_rate(),
                                      100 * evaluation.win_rate_low(),
                                      100 * evaluation.win_rate_high()));
    if (!evaluation.against().empty()) {
      details.push_back(absl::StrFormat("at equal lengths %.1f %%",
                                        100 * evaluation.length_controlled_win_rate()));
    }
  }
  details.push_back(absl::StrFormat("score %.4g", evaluation.mean_score()));
  if (!is_initial) details.push_back(absl::StrFormat("kl %.3g", evaluation.kl()));
  details.push_back(absl::StrFormat("length %.1f", evaluation.mean_length()));
  if (is_initial) details.push_back(absl::StrFormat("distinct-2 %.3f", evaluation.distinct_2()));
  return details;
}

std::string FormatRate(double per_second) {
  if (per_second < 100) return absl::StrFormat("%.1f/s", per_second);
  return absl::StrCat(WithThousands(static_cast<uint64_t>(per_second)), "/s");
}

std::string Bar(double fraction) {
  const int full = static_cast<int>(std::clamp(fraction, 0.0, 1.0) * kBarCells);
  return absl::StrCat("[", std::string(full, '='), std::string(kBarCells - full, ' '), "]");
}

}  // namespace

std::string FormatPairCounts(const v1::PairCounts& counts) {
  const std::pair<uint32_t, const char*> reasons[] = {
      {counts.tie(), "tie"},
      {counts.low_score(), "low score"},
      {counts.low_margin(), "low margin"},
      {counts.duplicate(), "duplicate"},
      {counts.same_text(), "same text"},
      {counts.length_ratio(), "length ratio"},
      {counts.source(), "other source"},
      {counts.defect(), "defect"},
      {counts.over_limit(), "over limit"},
      {counts.high_ches(), "high CHES"},
      {counts.empty(), "empty"}};
  uint64_t dropped = 0;
  std::vector<std::string> parts;
  for (const auto& [count, reason] : reasons) {
    dropped += count;
    if (count > 0) parts.push_back(absl::StrCat(WithThousands(count), " ", reason));
  }
  std::string kept = absl::StrCat(WithThousands(counts.kept()), " pairs");
  if (counts.soft_tie() > 0) {
    absl::StrAppend(&kept, " (", WithThousands(counts.soft_tie()), " soft ties)");
  }
  if (counts.replayed() > 0) {
    absl::StrAppend(&kept, " + ", WithThousands(counts.replayed()), " replayed");
  }
  if (parts.empty()) return kept;
  return absl::StrCat(kept, ", dropped ", WithThousands(dropped), " (", absl::StrJoin(parts, ", "),
                      ")");
}

double RoundSeconds(const v1::RoundRecord& record) {
  double seconds = 0;
  for (const v1::PhaseTiming& timing : record.timings()) seconds += timing.seconds();
  return seconds;
}

std::string FormatPhaseLine(const v1::RoundRecord& record, uint32_t rounds) {
  std::vector<std::string> details = PhaseDetails(record);
  for (const v1::PhaseTiming& timing : record.timings()) {
    if (timing.phase() == record.phase()) details.push_back(FormatSeconds(timing.seconds()));
  }
  return Line(record.round(), rounds, PhaseDone(record.phase()), details);
}

std::string FormatRoundLine(const v1::RoundRecord& record, uint32_t rounds) {
  std::vector<std::string> details;
  if (record.round() > 0) details.push_back(FormatPairCounts(record.pairs()));
  if (record.steps_size() > 0) {
    const auto& values = record.steps(record.steps_size() - 1).values();
    if (const auto loss = values.find("loss"); loss != values.end()) {
      details.push_back(absl::StrFormat("loss %.4g", loss->second));
    }
    if (const auto margin = values.find("rewards/margins"); margin != values.end()) {
      details.push_back(absl::StrFormat("margin %.4g", margin->second));
    }
  }
  if (record.has_evaluation()) {
    const auto evaluated = EvaluationDetails(record.evaluation(), record.round() == 0);
    details.insert(details.end(), evaluated.begin(), evaluated.end());
  }
  details.push_back(FormatSeconds(RoundSeconds(record)));
  return Line(record.round(), rounds, "done", details);
}

std::string FormatLiveLine(uint32_t round, const v1::Progress& progress, uint32_t rounds) {
  std::vector<std::string> details;
  const double done = static_cast<double>(progress.done());
  if (progress.total() > 0) {
    details.push_back(Bar(done / static_cast<double>(progress.total())));
    details.push_back(absl::StrCat(WithThousands(progress.done()), "/",
                                   WithThousands(progress.total()), " ", progress.unit()));
  } else if (!progress.unit().empty()) {
    details.push_back(absl::StrCat(WithThousands(progress.done()), " ", progress.unit()));
  }
  if (progress.per_second() > 0) {
    details.push_back(FormatRate(progress.per_second()));
    if (progress.total() > progress.done()) {
      const double left = static_cast<double>(progress.total()) - done;
      details.push_back(absl::StrCat(FormatSeconds(left / progress.per_second()), " left"));
    }
  }
  const auto& values = progress.step().values();
  if (const auto loss = values.find("loss"); loss != values.end()) {
    details.push_back(absl::StrFormat("loss %.4g", loss->second));
  }
  return Line(round, rounds, PhaseInWork(progress), details);
}

std::optional<double> RemainingSeconds(const std::vector<double>& round_seconds, uint32_t rounds,
                                       double elapsed) {
  if (round_seconds.empty() || round_seconds.size() >= rounds) return std::nullopt;
  const double mean = std::accumulate(round_seconds.begin(), round_seconds.end(), 0.0) /
                      static_cast<double>(round_seconds.size());
  const double to_come = static_cast<double>(rounds - round_seconds.size());
  return mean * to_come - std::min(elapsed, mean);
}

JobProgress::JobProgress(Terminal& terminal, uint32_t rounds)
    : terminal_(terminal), rounds_(rounds), round_start_(MonotonicTime()) {}

std::string JobProgress::AboutLeft(double elapsed) const {
  const std::optional<double> left = RemainingSeconds(round_seconds_, rounds_, elapsed);
  return left.has_value() ? absl::StrCat("  (job: about ", FormatSeconds(*left), " left)") : "";
}

void JobProgress::Show(const v1::JobEvent& event) {
  if (event.has_progress()) {
    const double elapsed = absl::ToDoubleSeconds(MonotonicTime() - round_start_);
    terminal_.ShowLive(absl::StrCat(FormatLiveLine(event.round(), event.progress(), rounds_),
                                    AboutLeft(elapsed)));
    return;
  }
  terminal_.ShowLive("");
  if (event.has_record()) {
    terminal_.Print(FormatPhaseLine(event.record(), rounds_));
    ShowAlarms(event.record());
  } else if (!event.message().empty()) {
    terminal_.Print(event.message());
  }
}

void JobProgress::ShowAlarms(const v1::RoundRecord& record) {
  if (record.round() != alarms_round_) alarms_shown_ = 0;
  alarms_round_ = record.round();
  const auto& alarms = record.diagnosis().alarms();
  for (; alarms_shown_ < alarms.size(); ++alarms_shown_) {
    terminal_.Print(Line(record.round(), rounds_, "ALARM", {FormatAlarm(alarms[alarms_shown_])}));
  }
}

void JobProgress::ShowRound(const v1::RoundRecord& record) {
  if (record.round() > 0) round_seconds_.push_back(RoundSeconds(record));
  round_start_ = MonotonicTime();
  terminal_.Print(absl::StrCat(FormatRoundLine(record, rounds_), AboutLeft(/*elapsed=*/0)));
}

}  // namespace attune
