// The round as a pure state machine: a record and what the next phase brought give the next record
// and what must be stored with it. It owns no thread, clock, socket or disk. The caller (JobRunner)
// does the work of a phase, calls AdvanceRound, and writes the returned step in one atomic batch.
#ifndef ATTUNE_COORDINATOR_ROUND_H_
#define ATTUNE_COORDINATOR_ROUND_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "attune/v1/job.pb.h"
#include "attune/v1/round.pb.h"
#include "attune/v1/types.pb.h"
#include "coordinator/pairing.h"

namespace attune {

// What the work of one phase brought. The alternatives are in the order of the phases.
struct PromptsChosen {
  std::vector<uint32_t> indices;
};
struct ResponsesSampled {
  std::vector<v1::Response> responses;  // by prompt in the record's order, then by sample
  std::vector<uint32_t> given = {};  // by prompt likewise: how many of them the dataset gives;
                                     // empty: none
};
struct ResponsesJudged {
  std::vector<v1::Judgment> judgments;  // by prompt in the record's order
  std::vector<v1::Response> responses;  // that were judged, for the diagnosis; stored already
};
struct PairsBuilt {
  PairingOutput output;
};
struct PolicyTrained {
  v1::PolicyVersion policy;
  std::string checkpoint_path;
  std::vector<v1::StepMetrics> steps;
  std::string reference_digest;  // of the mixed reference of the next round; empty: none
  v1::PairProbe probe;
};
struct PolicyPublished {
  v1::Evaluation evaluation;
  v1::Calibration calibration;  // without pairs: the job has none
  std::vector<v1::Judgment> holdout_judgments;  // empty without held-out prompts
  std::vector<v1::Response> holdout_responses;  // as they are kept to be compared with later ones
};
using PhaseResult = std::variant<PromptsChosen, ResponsesSampled, ResponsesJudged, PairsBuilt,
                                 PolicyTrained, PolicyPublished>;

// The new record and what lies on disk once it does.
struct RoundStep {
  v1::RoundRecord record;
  std::vector<v1::Response> responses;
  std::vector<v1::Judgment> judgments;
  std::vector<v1::Pair> pairs;
  std::vector<v1::Judgment> holdout_judgments;
  std::vector<v1::Response> holdout_responses;
  bool drop_samples = false;
  // Of the rounds before, too; filled in by who knows them.
  std::vector<uint32_t> drop_holdout_responses;  // rounds
  std::vector<v1::Alarm> alarms;                 // of this phase; in the record as well
};

// The record a round begins with. Round 0 stands for the initial policy: it begins as if trained,
// and is only published and evaluated.
v1::RoundRecord NewRound(absl::string_view job, uint32_t round, const v1::PolicyVersion& policy);

// The phase to be worked on. The record must not be PUBLISHED.
v1::RoundPhase NextPhase(const v1::RoundRecord& record);

// The policy that exists once the round is done: trained_policy.
const v1::PolicyVersion& PolicyAfter(const v1::RoundRecord& record);

// The policy that the next round begins with: next_policy where the gate set it, else PolicyAfter.
const v1::PolicyVersion& PolicyOfNextRound(const v1::RoundRecord& record);

// Also fills in what record.diagnosis tells of the phase. Alarms and the gate need the rounds
// before: alarms.h, gate.h.
// `result` must be the alternative of NextPhase(record). INTERNAL, naming what is wrong, when it is
// incomplete or does not belong to the record (a response missing, twice, or of another policy, a
// score that is not finite, ...); NOT_FOUND when no pair was left to learn from;
// FAILED_PRECONDITION when too many judgements failed.
[[nodiscard]] absl::StatusOr<RoundStep> AdvanceRound(const v1::JobSpec& spec,
                                                     const v1::RoundRecord& record,
                                                     PhaseResult result);

// "sampled", "judged", ...: the phase in people's words and in metric labels.
std::string PhaseLabel(v1::RoundPhase phase);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_ROUND_H_
