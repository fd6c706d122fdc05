#include "coordinator/round.h"

#include <cmath>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "common/status_macros.h"
#include "coordinator/curriculum.h"
#include "coordinator/diagnosis.h"
#include "coordinator/judging.h"
#include "coordinator/label_evaluation.h"
#include "coordinator/objective_spec.h"
#include "coordinator/phase_requests.h"
#include "coordinator/resource_name.h"

namespace attune {
namespace {

absl::Status Wrong(const v1::RoundRecord& record, absl::string_view what) {
  return absl::InternalError(absl::StrCat(record.name(), " ", PhaseLabel(NextPhase(record)), ": ",
                                          what));
}

absl::StatusOr<RoundStep> Advance(const v1::JobSpec&, RoundStep step, PromptsChosen result) {
  const std::set<uint32_t> distinct(result.indices.begin(), result.indices.end());
  if (distinct.empty()) return Wrong(step.record, "no prompts");
  if (distinct.size() != result.indices.size()) return Wrong(step.record, "a prompt twice");
  step.record.mutable_prompt_indices()->Assign(result.indices.begin(), result.indices.end());
  return step;
}

// Whether a response is complete and belongs to the record's policy. `width` is that of the round's
// hidden sums, where there are any.
absl::Status CheckResponse(const v1::JobSpec& spec, const v1::RoundRecord& record,
                           const v1::Response& response, int width) {
  const std::string which = absl::StrCat("response ", response.sample(), " of prompt ",
                                         response.prompt_index());
  // Of a reward model the responses are not its own.
  const bool own = !NeedsOf(spec.objective()).rewards;
  if (own && response.policy().digest() != record.policy().digest()) {
    return Wrong(record, absl::StrCat(which, " is of policy ", response.policy().digest(),
                                      " instead of ", record.policy().digest()));
  }
  if (response.logps_size() != response.token_ids_size()) {
    return Wrong(record, absl::StrCat(which, " has ", response.token_ids_size(), " tokens but ",
                                      response.logps_size(), " log-probabilities"));
  }
  const bool needs_initial = spec.objective().reference() == v1::REFERENCE_INITIAL;
  if (needs_initial && response.initial_logps_size() != response.token_ids_size()) {
    return Wrong(record, absl::StrCat(which, " lacks log-probabilities of the initial policy"));
  }
  if (NeedsHiddenSums(spec) && response.hidden_sum().empty()) {
    return Wrong(record, absl::StrCat(which, " lacks the sum of its hidden states"));
  }
  if (response.hidden_sum_size() != width) {
    return Wrong(record, absl::StrCat(which, " has a sum of hidden states of ",
                                      response.hidden_sum_size(), " numbers instead of ", width));
  }
  const v1::SamplingSpec& sampling = spec.sampling();
  const bool has_opponent = sampling.opponent() == v1::OPPONENT_INITIAL ||
                            sampling.opponent() == v1::OPPONENT_MIXTURE;
  const bool is_opponent = has_opponent && response.sample() + 1 == sampling.num_generations();
  if (is_opponent != (response.provenance() == v1::PROVENANCE_OPPONENT)) {
    return Wrong(record, absl::StrCat(which, " is of ", v1::Provenance_Name(response.provenance()),
                                      is_opponent ? ", but is the opponent's"
                                                  : ", but is not the opponent's"));
  }
  return absl::OkStatus();
}

absl::StatusOr<RoundStep> Advance(const v1::JobSpec& spec, RoundStep step,
                                  ResponsesSampled result) {
  v1::RoundRecord& record = step.record;
  auto response = result.responses.begin();
  const int width = result.responses.empty() ? 0 : response->hidden_sum_size();
  uint64_t tokens = 0;
  ATTUNE_CHECK(result.given.empty() ||
               result.given.size() == static_cast<size_t>(record.prompt_indices_size()));
  for (int i = 0; i < record.prompt_indices_size(); ++i) {
    const uint32_t prompt = record.prompt_indices(i);
    const uint32_t sampled = spec.sampling().num_generations();
    const uint32_t expected = sampled + (result.given.empty() ? 0 : result.given[i]);
    uint32_t sample = 0;
    for (; response != result.responses.end() && response->prompt_index() == prompt; ++response) {
      if (response->sample() != sample++) {
        return Wrong(record, absl::StrCat("samples of prompt ", prompt, " are out of order"));
      }
      ATTUNE_RETURN_IF_ERROR(CheckResponse(spec, record, *response, width));
      const bool is_given = response->sample() >= sampled && response->sample() < expected;
      if (is_given != (response->provenance() == v1::PROVENANCE_GIVEN)) {
        return Wrong(record, absl::StrCat("response ", response->sample(), " of prompt ", prompt,
                                          " is of ", v1::Provenance_Name(response->provenance()),
                                          is_given ? ", but the dataset gives it"
                                                   : ", but the dataset does not give it"));
      }
      tokens += response->token_ids_size();
    }
    if (sample < expected || sample > expected + (spec.pairing().include_gold() ? 1 : 0)) {
      return Wrong(record, absl::StrCat("prompt ", prompt, " has ", sample,
                                        " responses instead of ", expected));
    }
  }
  if (response != result.responses.end()) {
    return Wrong(record, absl::StrCat("responses of prompt ", response->prompt_index(),
                                      ", which is not next in the round"));
  }
  record.set_responses(static_cast<uint32_t>(result.responses.size()));
  record.set_response_tokens(tokens);
  DiagnoseSamples(spec.pairing().defects(), result.responses, record.mutable_diagnosis());
  step.responses = std::move(result.responses);
  return step;
}

absl::Status CheckScores(const v1::RoundRecord& record, const v1::Judgment& judgment,
                         const google::protobuf::RepeatedField<double>& scores) {
  if (scores.size() != judgment.scores_size()) {
    return Wrong(record, absl::StrCat("an auxiliary oracle gave prompt ", judgment.prompt_index(),
                                      " ", scores.size(), " scores instead of ",
                                      judgment.scores_size()));
  }
  for (double score : scores) {
    if (std::isfinite(score)) continue;
    return Wrong(record, absl::StrCat("a score of prompt ", judgment.prompt_index(),
                                      " is not finite"));
  }
  return absl::OkStatus();
}

// Of a judgment that has scores.
absl::Status CheckJudgment(const v1::JobSpec& spec, const v1::RoundRecord& record,
                           const v1::Judgment& judgment) {
  ATTUNE_RETURN_IF_ERROR(CheckScores(record, judgment, judgment.scores()));
  if (judgment.auxiliary_size() != spec.auxiliary_oracles_size()) {
    return Wrong(record, absl::StrCat("prompt ", judgment.prompt_index(), " was judged by ",
                                      judgment.auxiliary_size(), " auxiliary oracles instead of ",
                                      spec.auxiliary_oracles_size()));
  }
  for (const v1::AuxiliaryScores& auxiliary : judgment.auxiliary()) {
    ATTUNE_RETURN_IF_ERROR(CheckScores(record, judgment, auxiliary.scores()));
  }
  return absl::OkStatus();
}

// Prompts not judged (curriculum.judged_share), or whose judgement failed, have no scores.
absl::StatusOr<RoundStep> Advance(const v1::JobSpec& spec, RoundStep step, ResponsesJudged result) {
  v1::RoundRecord& record = step.record;
  if (result.judgments.size() != static_cast<size_t>(record.prompt_indices_size())) {
    return Wrong(record, absl::StrCat(result.judgments.size(), " judgments for ",
                                      record.prompt_indices_size(), " prompts"));
  }
  double sum = 0;
  uint64_t scores = 0;
  int asked = 0, judged = 0;
  for (size_t i = 0; i < result.judgments.size(); ++i) {
    const v1::Judgment& judgment = result.judgments[i];
    if (judgment.prompt_index() != record.prompt_indices(static_cast<int>(i))) {
      return Wrong(record, absl::StrCat("judgment of prompt ", judgment.prompt_index(),
                                        " is out of order"));
    }
    if (!judgment.scores().empty() || !judgment.failure().empty()) ++asked;
    if (judgment.scores().empty()) continue;
    ++judged;
    ATTUNE_RETURN_IF_ERROR(CheckJudgment(spec, record, judgment));
    for (double score : judgment.scores()) sum += score;
    scores += judgment.scores_size();
  }
  if (scores > record.responses() ||
      (judged == record.prompt_indices_size() && scores != record.responses())) {
    return Wrong(record, absl::StrCat(scores, " scores for ", record.responses(), " responses"));
  }
  for (v1::Quarantined& entry : QuarantineOf(result.judgments)) {
    *record.add_quarantined() = std::move(entry);
  }
  ATTUNE_RETURN_IF_ERROR(CheckQuarantine(spec.oracle(), record.quarantined(), asked));
  record.set_mean_score(scores == 0 ? 0 : sum / static_cast<double>(scores));
  if (HasBand(spec.curriculum())) {
    const std::vector<double> spreads = Spreads(result.judgments);
    record.mutable_spreads()->Assign(spreads.begin(), spreads.end());
  }
  DiagnoseJudgments(result.responses, result.judgments, record.mutable_diagnosis());
  step.judgments = std::move(result.judgments);
  return step;
}

absl::StatusOr<RoundStep> Advance(const v1::JobSpec& spec, RoundStep step, PairsBuilt result) {
  v1::RoundRecord& record = step.record;
  const v1::PairCounts& counts = result.output.counts;
  if (result.output.pairs.empty()) {
    return absl::NotFoundError(absl::StrCat(
        "round ", record.round(), " left no pair to learn from: ", counts.tie(), " ties, ",
        counts.low_score(), " below min_chosen_score, ", counts.low_margin(), " below the margin, ",
        counts.duplicate() + counts.same_text(), " duplicates, ", counts.length_ratio(),
        " beyond max_length_ratio, ", counts.source(), " of other sources, ", counts.defect(),
        " with two defects, ", counts.empty(), " empty; ",
        spec.pairing().strategy() == v1::PAIRING_STRATEGY_UNPAIRED
            ? "unpaired needs responses with positive scores and with others"
            : "lower pairing.min_margin or pairing.min_chosen_score, or raise "
              "sampling.num_generations or sampling.temperature"));
  }
  ATTUNE_CHECK(counts.kept() == result.output.pairs.size());
  *record.mutable_pairs() = counts;
  record.set_pairs_digest(result.output.digest);
  DiagnosePairs(result.output.pairs, record.mutable_diagnosis());
  step.pairs = std::move(result.output.pairs);
  return step;
}

absl::StatusOr<RoundStep> Advance(const v1::JobSpec&, RoundStep step, PolicyTrained result) {
  v1::RoundRecord& record = step.record;
  if (result.policy.round() != record.round() || result.policy.digest().empty()) {
    return Wrong(record, absl::StrCat("the trainers answered with a policy of round ",
                                      result.policy.round()));
  }
  if (result.steps.empty()) return Wrong(record, "the trainers reported no update");
  *record.mutable_trained_policy() = std::move(result.policy);
  record.set_checkpoint_path(std::move(result.checkpoint_path));
  record.set_reference_digest(std::move(result.reference_digest));
  *record.mutable_diagnosis()->mutable_probe() = std::move(result.probe);
  record.mutable_steps()->Assign(result.steps.begin(), result.steps.end());
  return step;
}

absl::StatusOr<RoundStep> Advance(const v1::JobSpec& spec, RoundStep step,
                                  PolicyPublished result) {
  const size_t judgments = EvaluatesByLabels(spec) ? 0 : spec.evaluation().holdout_prompts();
  if (result.holdout_judgments.size() != judgments) {
    return Wrong(step.record, absl::StrCat(result.holdout_judgments.size(), " judgments for ",
                                           judgments, " held-out prompts"));
  }
  *step.record.mutable_evaluation() = std::move(result.evaluation);
  if (result.calibration.answers_size() > 0) {
    *step.record.mutable_diagnosis()->mutable_calibration() = std::move(result.calibration);
  }
  step.holdout_judgments = std::move(result.holdout_judgments);
  step.holdout_responses = std::move(result.holdout_responses);
  step.drop_samples = true;
  return step;
}

}  // namespace

v1::RoundRecord NewRound(absl::string_view job, uint32_t round, const v1::PolicyVersion& policy) {
  v1::RoundRecord record;
  record.set_name(RoundName(job, round));
  record.set_round(round);
  *record.mutable_policy() = policy;
  if (round == 0) {
    record.set_phase(v1::ROUND_PHASE_TRAINED);
    *record.mutable_trained_policy() = policy;
  }
  return record;
}

v1::RoundPhase NextPhase(const v1::RoundRecord& record) {
  ATTUNE_CHECK(record.phase() < v1::ROUND_PHASE_PUBLISHED);
  return static_cast<v1::RoundPhase>(record.phase() + 1);
}

const v1::PolicyVersion& PolicyAfter(const v1::RoundRecord& record) {
  ATTUNE_CHECK(record.phase() >= v1::ROUND_PHASE_TRAINED);
  return record.trained_policy();
}

const v1::PolicyVersion& PolicyOfNextRound(const v1::RoundRecord& record) {
  return record.has_next_policy() ? record.next_policy() : PolicyAfter(record);
}

absl::StatusOr<RoundStep> AdvanceRound(const v1::JobSpec& spec, const v1::RoundRecord& record,
                                       PhaseResult result) {
  const v1::RoundPhase next = NextPhase(record);
  ATTUNE_CHECK(result.index() + 1 == static_cast<size_t>(next));
  RoundStep step{.record = record};
  const auto advance = [&](auto&& alternative) {
    return Advance(spec, std::move(step), std::forward<decltype(alternative)>(alternative));
  };
  ATTUNE_ASSIGN_OR_RETURN(step, std::visit(advance, std::move(result)));
  step.record.set_phase(next);
  return step;
}

std::string PhaseLabel(v1::RoundPhase phase) {
  constexpr absl::string_view kPrefix = "ROUND_PHASE_";
  return absl::AsciiStrToLower(v1::RoundPhase_Name(phase).substr(kPrefix.size()));
}

}  // namespace attune
