#include "coordinator/gate.h"

#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "coordinator/round.h"

namespace attune {

const v1::HeadToHead* AgainstBest(absl::Span<const v1::RoundRecord> before,
                                  const v1::RoundRecord& record) {
  if (before.empty()) return nullptr;
  for (const v1::HeadToHead& result : record.evaluation().against()) {
    if (result.round() == before.back().best_round()) return &result;
  }
  return nullptr;
}

bool LostToBest(const v1::EvaluationSpec& spec, const v1::HeadToHead& against_best) {
  return against_best.win_rate_high() < spec.gate_win_rate();
}

void ApplyGate(const v1::EvaluationSpec& spec, absl::Span<const v1::RoundRecord> before,
               v1::RoundRecord* record) {
  const v1::HeadToHead* result = AgainstBest(before, *record);
  const bool lost = result != nullptr && LostToBest(spec, *result);
  const bool is_best = result == nullptr || (!lost && result->win_rate() >= 0.5);
  record->set_best_round(is_best ? record->round() : result->round());
  if (!lost) return;
  record->set_gate_stopped(spec.gate() == v1::GATE_STOP);
  if (spec.gate() == v1::GATE_ROLL_BACK) {
    ATTUNE_CHECK(result->round() < before.size());
    *record->mutable_next_policy() = PolicyAfter(before[result->round()]);
  }
}

uint32_t ResultRound(const v1::RoundRecord& last) {
  return last.gate_stopped() && last.best_round() > 0 ? last.best_round() : last.round();
}

std::string GateMessage(const v1::RoundRecord& record) {
  if (!record.gate_stopped()) return "";
  return absl::StrCat("the gate stopped the job after round ", record.round(),
                      ", whose policy lost to that of round ", record.best_round(),
                      ", the best one");
}

}  // namespace attune
