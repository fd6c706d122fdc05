#include "coordinator/alarms.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "coordinator/gate.h"

namespace attune {
namespace {

// A rate of fewer responses, swaps or triples than this moves by a fifth by chance alone.
constexpr uint64_t kCountMin = 30;
// A mean over fewer held-out prompts says less than the round's own samples.
constexpr uint32_t kHoldoutMin = 16;
// The first update of a round begins at the reference, where the loss is ln 2 whatever is wrong,
// and warmup keeps the next ones near it.
constexpr int kUpdatesMin = 4;

// What a sigmoid loss of margin 0 differs by when one log-ratio has moved by 0.02 nats at beta 0.1.
constexpr double kLossDistance = 1e-3;
// Chosen responses may lose a little likelihood in healthy runs; at 0.1 nats a token each of their
// tokens is 10 % less likely than when it was sampled, and what they lost went to other responses.
constexpr double kDisplacementPerToken = 0.1;
constexpr double kDisplacement = 1;  // nats per response: short ones move by less without harm
constexpr uint32_t kProbeMin = 8;    // pairs
// DNO's published rounds grew by a factor of 4 before they shrank; half as long again in one round
// is more than sampling noise, twice as long as at first is growth that creeps.
constexpr double kGrowthOfRound = 1.5;
constexpr double kGrowthSinceFirst = 2;
// Length explains a quarter of the variance of scores within prompts.
constexpr double kLengthBias = 0.5;
// GPT-4 was consistent in 65 % of swapped pairs of MT-Bench, GPT-3.5 in 46 % (Zheng 2023).
constexpr double kSwapConsistency = 0.6;
// Coin tosses give 0.25; preferences with one order behind them, and some noise, a few hundredths.
constexpr double kCycleRate = 0.1;
// An oracle of two values (right, wrong) ties half of all candidates or more and still teaches;
// with nine of ten tied, most of the sampling is wasted.
constexpr double kTieRate = 0.9;
// Every fifth response breaks off or repeats itself.
constexpr double kDefectRate = 0.2;
// There the gradient of a sigmoid loss is 0.7 % of its largest: the pairs teach nothing more.
constexpr double kSaturatedMargin = 5;
// Gains of the true reward end at about this distance in published overoptimisation curves (Gao
// 2023: 6 to 8 for the root of the KL); of short responses a nat a token is as far.
constexpr double kKl = 50;  // nats per response
constexpr double kKlPerToken = 1;
// Entropy depends on model, data and sampling, so the limit is a share of the first one.
constexpr double kEntropyShare = 0.3;
// Failures are seldom random: a hundredth is worth a look at which prompts they are.
constexpr double kQuarantined = 0.01;
// A deterministic oracle agrees with itself entirely, a noisy judge on all but close calls.
constexpr double kAgreement = 0.9;

class Alarms {
 public:
  void Add(v1::AlarmKind kind, double value, double limit, std::string message) {
    v1::Alarm alarm;
    alarm.set_kind(kind);
    alarm.set_value(value);
    alarm.set_limit(limit);
    alarm.set_message(std::move(message));
    alarms_.push_back(std::move(alarm));
  }
  std::vector<v1::Alarm> Take() { return std::move(alarms_); }

 private:
  std::vector<v1::Alarm> alarms_;
};

// How a policy writes, measured on held-out prompts or on the samples of a round.
struct Behaviour {
  double entropy = 0;
  double length = 0;
  double kl = 0;
};

Behaviour BehaviourOf(const v1::Evaluation& evaluation) {
  return {evaluation.entropy(), evaluation.mean_length(), evaluation.kl()};
}

Behaviour BehaviourOf(const v1::Diagnosis& diagnosis) {
  return {diagnosis.entropy(), diagnosis.mean_length(), diagnosis.kl()};
}

bool HasHoldout(const v1::JobSpec& spec) {
  return spec.evaluation().holdout_prompts() >= kHoldoutMin;
}

void CheckLength(const v1::JobSpec& spec, const Behaviour& now, const Behaviour& previous,
                 const Behaviour& first, Alarms* alarms) {
  if (spec.oracle().kind() == v1::ORACLE_KIND_LENGTH) return;  // it asks for another length
  if (now.length <= 0 || previous.length <= 0 || first.length <= 0) return;
  const auto factor = [&](double other) {
    return std::max(now.length / other, other / now.length);
  };
  const bool sudden = factor(previous.length) > kGrowthOfRound;
  if (!sudden && factor(first.length) <= kGrowthSinceFirst) return;
  const double from = sudden ? previous.length : first.length;
  const double limit = sudden ? kGrowthOfRound : kGrowthSinceFirst;
  alarms->Add(v1::ALARM_KIND_LENGTH_GROWTH, now.length / from,
              now.length > from ? limit : 1 / limit,
              absl::StrFormat("Responses have %.1f tokens; %s %.1f. Probable causes: scores that "
                              "follow length (length_bias), chosen responses longer than rejected "
                              "ones (chosen_longer); try ld_alpha, r_dpo, simpo or length_penalty "
                              "and look at the length-controlled win rate.",
                              now.length, sudden ? "a round before" : "at first", from));
}

void CheckBehaviour(const v1::JobSpec& spec, const Behaviour& now, const Behaviour& previous,
                    const Behaviour& first, Alarms* alarms) {
  CheckLength(spec, now, previous, first, alarms);
  const double least_entropy = kEntropyShare * first.entropy;
  if (now.entropy < least_entropy) {
    alarms->Add(v1::ALARM_KIND_ENTROPY, now.entropy, least_entropy,
                absl::StrFormat("The entropy of responses is %.3g nats a token, at first it was "
                                "%.3g: the policy hardly varies any more. Lower the learning rate "
                                "or the epochs, raise beta, or sample at a higher temperature.",
                                now.entropy, first.entropy));
  }
  const double most_kl = std::min(kKl, kKlPerToken * now.length);
  if (now.kl > most_kl) {
    alarms->Add(v1::ALARM_KIND_KL, now.kl, most_kl,
                absl::StrFormat("The policy is %.3g nats a response from the initial one: what the "
                                "oracle likes may no longer be what people like. Raise beta, lower "
                                "the learning rate, or take the initial policy as reference.",
                                now.kl));
  }
}

void CheckSamples(const v1::JobSpec& spec, absl::Span<const v1::RoundRecord> before,
                  const v1::RoundRecord& record, Alarms* alarms) {
  const v1::Diagnosis& diagnosis = record.diagnosis();
  if (record.responses() >= kCountMin && diagnosis.defect_rate() > kDefectRate) {
    alarms->Add(v1::ALARM_KIND_DEFECTS, diagnosis.defect_rate(), kDefectRate,
                absl::StrFormat("%.0f %% of the responses have a defect. Probable causes: a policy "
                                "that has begun to repeat itself, a temperature that is too low, "
                                "max_new_tokens that cuts responses off.",
                                100 * diagnosis.defect_rate()));
  }
  if (HasHoldout(spec)) return;  // told when the policy is evaluated
  const Behaviour now = BehaviourOf(diagnosis);
  const bool is_first = before.size() < 2;  // after round 0, which samples nothing
  CheckBehaviour(spec, now, is_first ? now : BehaviourOf(before.back().diagnosis()),
                 is_first ? now : BehaviourOf(before[1].diagnosis()), alarms);
}

void CheckPreferences(const v1::Diagnosis& diagnosis, Alarms* alarms) {
  if (diagnosis.swaps() >= kCountMin && diagnosis.swap_consistency() < kSwapConsistency) {
    alarms->Add(v1::ALARM_KIND_POSITION_BIAS, diagnosis.swap_consistency(), kSwapConsistency,
                absl::StrFormat("The oracle kept its answer in %.0f %% of the pairs that it was "
                                "asked in both orders. It goes by position: try another judge or "
                                "prompt, or ratings instead of pairs.",
                                100 * diagnosis.swap_consistency()));
  }
  if (diagnosis.triples() >= kCountMin && diagnosis.cycle_rate() > kCycleRate) {
    alarms->Add(v1::ALARM_KIND_CYCLES, diagnosis.cycle_rate(), kCycleRate,
                absl::StrFormat("%.0f %% of all triples of candidates go round: no score orders "
                                "them. Either the oracle is noisy (see swap_consistency) or its "
                                "preferences are intransitive; then win rates (dno, sppo, nash_md) "
                                "are the right target and best against worst is not.",
                                100 * diagnosis.cycle_rate()));
  }
}

void CheckQuarantine(const v1::RoundRecord& record, Alarms* alarms) {
  if (record.quarantined().empty()) return;
  const double share =
      static_cast<double>(record.quarantined_size()) / std::max(1, record.prompt_indices_size());
  if (share <= kQuarantined) return;
  alarms->Add(v1::ALARM_KIND_QUARANTINE, share, kQuarantined,
              absl::StrCat("The judgement of ", record.quarantined_size(), " of ",
                           record.prompt_indices_size(), " prompts failed for good; the first: ",
                           record.quarantined(0).failure()));
}

void CheckJudgments(const v1::JobSpec& spec, const v1::RoundRecord& record, Alarms* alarms) {
  const v1::Diagnosis& diagnosis = record.diagnosis();
  CheckQuarantine(record, alarms);
  CheckPreferences(diagnosis, alarms);
  if (record.responses() < kCountMin) return;
  const double bias = diagnosis.length_bias();
  if (spec.oracle().kind() != v1::ORACLE_KIND_LENGTH && std::abs(bias) > kLengthBias) {
    alarms->Add(v1::ALARM_KIND_LENGTH_BIAS, bias, std::copysign(kLengthBias, bias),
                absl::StrFormat("Within prompts scores follow length with a correlation of %.2f: "
                                "the policy will learn to write %s responses. Try another oracle, "
                                "length_penalty, max_length_ratio, ld_alpha or r_dpo.",
                                bias, bias > 0 ? "longer" : "shorter"));
  }
  if (diagnosis.tie_rate() > kTieRate) {
    alarms->Add(v1::ALARM_KIND_TIES, diagnosis.tie_rate(), kTieRate,
                absl::StrFormat("%.0f %% of all pairs of candidates are tied. Probable causes: "
                                "responses that are alike (raise temperature or num_generations), "
                                "prompts that are too easy or too hard (curriculum.band_low), an "
                                "oracle that finds nothing to score.",
                                100 * diagnosis.tie_rate()));
  }
}

// Losses of a pair that are ln 2 where policy and reference agree.
bool HasSigmoidLoss(const v1::ObjectiveSpec& objective) {
  if (objective.loss_type_size() != 1) return false;
  switch (objective.loss_type(0)) {
    case v1::LOSS_TYPE_SIGMOID:
    case v1::LOSS_TYPE_DNO:
    case v1::LOSS_TYPE_SPIN:
    case v1::LOSS_TYPE_SIGMOID_NORM:
    case v1::LOSS_TYPE_ROBUST:
    case v1::LOSS_TYPE_REWARD_MODEL:
      return true;
    default:
      return false;
  }
}

// Of a metric over the updates from `begin` on; those without it are left out.
std::vector<double> Values(const v1::RoundRecord& record, int begin, const char* name) {
  std::vector<double> values;
  for (int i = begin; i < record.steps_size(); ++i) {
    const auto found = record.steps(i).values().find(name);
    if (found != record.steps(i).values().end()) values.push_back(found->second);
  }
  return values;
}

void CheckLoss(const v1::RoundRecord& record, Alarms* alarms) {
  const std::vector<double> losses = Values(record, 0, "loss");
  const bool stuck = std::all_of(losses.begin(), losses.end(), [](double loss) {
    return std::abs(loss - std::log(2.0)) < kLossDistance;
  });
  if (!stuck || losses.size() < kUpdatesMin) return;
  const std::vector<double> norms = Values(record, 0, "grad_norm");
  const bool no_gradient =
      std::all_of(norms.begin(), norms.end(), [](double norm) { return norm < 1e-6; });
  alarms->Add(
      v1::ALARM_KIND_LOSS_AT_LN2, losses.back(), std::log(2.0),
      absl::StrCat("The loss was ln 2 in all ", losses.size(), " updates: nothing was learnt. ",
                   no_gradient ? "The gradient is zero. Probable cause: chosen and rejected are "
                                 "the same tokens after the chat template or truncation."
                               : "Probable causes: a learning rate that is zero or too small, too "
                                 "few updates beyond warmup, or a reference that moves with the "
                                 "policy."));
}

void CheckSaturation(const v1::RoundRecord& record, Alarms* alarms) {
  const std::vector<double> margins =
      Values(record, record.steps_size() - (record.steps_size() + 3) / 4, "rewards/margins");
  double mean = 0;
  for (double margin : margins) mean += margin / static_cast<double>(margins.size());
  if (mean <= kSaturatedMargin) return;
  alarms->Add(v1::ALARM_KIND_SATURATED, mean, kSaturatedMargin,
              absl::StrFormat("Reward margins are %.3g in the last updates: the loss has nothing "
                              "left to teach. Probable causes: too high a learning rate, too many "
                              "epochs, pairs that differ in something trivial such as length or "
                              "format.",
                              mean));
}

void CheckDisplacement(const v1::Diagnosis& diagnosis, Alarms* alarms) {
  const v1::PairProbe& probe = diagnosis.probe();
  const double limit = -std::max(kDisplacement, kDisplacementPerToken * diagnosis.chosen_length());
  if (probe.pairs() < kProbeMin || probe.chosen_change() >= limit) return;
  alarms->Add(
      v1::ALARM_KIND_DISPLACEMENT, probe.chosen_change(), limit,
      absl::StrFormat("Training made the chosen responses less likely, by %.3g nats a "
                      "response (the rejected ones by %.3g): likelihood displacement. "
                      "Probable causes: pairs of similar responses (90th percentile of "
                      "CHES %.3g), too high a learning rate. Try pairing.ches_percentile, "
                      "the loss dpop, an sft term, or a larger min_margin.",
                      -probe.chosen_change(), -probe.rejected_change(), diagnosis.high_ches()));
}

void CheckTraining(const v1::JobSpec& spec, const v1::RoundRecord& record, Alarms* alarms) {
  if (HasSigmoidLoss(spec.objective())) {
    CheckLoss(record, alarms);
    CheckSaturation(record, alarms);
  }
  CheckDisplacement(record.diagnosis(), alarms);
}

void CheckEvaluation(const v1::JobSpec& spec, absl::Span<const v1::RoundRecord> before,
                     const v1::RoundRecord& record, Alarms* alarms) {
  const v1::Calibration& calibration = record.diagnosis().calibration();
  if (calibration.pairs() > 0 && calibration.agreement() < kAgreement) {
    alarms->Add(v1::ALARM_KIND_ORACLE_DRIFT, calibration.agreement(), kAgreement,
                absl::StrFormat("The oracle answers %.0f %% of the calibration pairs as when the "
                                "job started. Probable causes: another model behind the endpoint, "
                                "sampling with a temperature; scores of rounds do not compare.",
                                100 * calibration.agreement()));
  }
  if (const v1::HeadToHead* best = AgainstBest(before, record);
      best != nullptr && LostToBest(spec.evaluation(), *best)) {
    alarms->Add(v1::ALARM_KIND_REGRESSION, best->win_rate_high(), spec.evaluation().gate_win_rate(),
                absl::StrFormat("The policy of round %d wins %.1f %% against that of round %d, the "
                                "best so far, and at most %.1f %% with 95 %% confidence. Probable "
                                "causes: too high a learning rate, prompts of another kind in this "
                                "round, an oracle that drifted or a policy that exploits it.",
                                record.round(), 100 * best->win_rate(), best->round(),
                                100 * best->win_rate_high()));
  }
  if (!HasHoldout(spec) || before.empty() || record.policy().round() >= before.size()) return;
  if (record.evaluation().prompts() < kHoldoutMin) return;
  CheckBehaviour(spec, BehaviourOf(record.evaluation()),
                 BehaviourOf(before[record.policy().round()].evaluation()),
                 BehaviourOf(before[0].evaluation()), alarms);
}

}  // namespace

std::vector<v1::Alarm> AlarmsOf(const v1::JobSpec& spec, absl::Span<const v1::RoundRecord> before,
                                const v1::RoundRecord& record) {
  Alarms alarms;
  switch (record.phase()) {
    case v1::ROUND_PHASE_SAMPLED:
      CheckSamples(spec, before, record, &alarms);
      break;
    case v1::ROUND_PHASE_JUDGED:
      CheckJudgments(spec, record, &alarms);
      break;
    case v1::ROUND_PHASE_TRAINED:
      CheckTraining(spec, record, &alarms);
      break;
    case v1::ROUND_PHASE_PUBLISHED:
      CheckEvaluation(spec, before, record, &alarms);
      break;
    default:
      break;
  }
  return alarms.Take();
}

std::string AlarmLabel(v1::AlarmKind kind) {
  constexpr absl::string_view kPrefix = "ALARM_KIND_";
  return absl::AsciiStrToLower(v1::AlarmKind_Name(kind).substr(kPrefix.size()));
}

}  // namespace attune
