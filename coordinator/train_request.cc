#include "coordinator/train_request.h"

#include <algorithm>

#include "common/check.h"
#include "coordinator/objective_spec.h"

namespace attune {
namespace {

// Whether trainers must have the reference policy at hand, since not all that is asked of it is
// recorded with the responses.
bool NeedsReferenceModel(const v1::ObjectiveSpec& objective, bool replays) {
  const LossNeeds needs = NeedsOf(objective);
  if (!needs.reference) return false;
  switch (objective.reference()) {
    case v1::REFERENCE_NONE:
      return false;
    case v1::REFERENCE_MIXED:
    case v1::REFERENCE_MODEL:
      return true;
    default:
      return needs.vocabulary || needs.mismatched || needs.corrupted || needs.views ||
             (replays && objective.reference() == v1::REFERENCE_PREVIOUS_ROUND);
  }
}

v1::PolicySource ReferenceSource(const v1::ObjectiveSpec& objective, const Policies& policies,
                                 const v1::RoundRecord& before, const std::string& mixed) {
  v1::PolicySource source = policies.current;
  source.clear_weight_addresses();
  switch (objective.reference()) {
    case v1::REFERENCE_INITIAL:
      return policies.initial;
    case v1::REFERENCE_MIXED:
      if (mixed.empty()) return policies.initial;
      source.set_checkpoint_path(mixed);
      source.mutable_version()->set_digest(before.reference_digest());
      return source;
    case v1::REFERENCE_MODEL:
      source.Clear();
      source.set_model_path(objective.reference_model());
      return source;
    default:
      return source;
  }
}

}  // namespace

std::vector<ReplayedPair> ReplayOf(const v1::JobSpec& spec, const v1::RoundRecord& record,
                                   absl::Span<const v1::RoundRecord> rounds) {
  std::vector<uint32_t> available;
  for (uint32_t round = record.round(); round-- > 1;) {
    ATTUNE_CHECK(round < rounds.size() && rounds[round].round() == round);
    available.push_back(rounds[round].pairs().kept());
  }
  const auto& caps = spec.pairing().replay();
  return ReplayedPairs(spec.seed(), record.round(), record.pairs().kept(),
                       {caps.data(), static_cast<size_t>(caps.size())}, available);
}

v1::TrainRoundRequest MakeTrainRequest(const v1::Job& job, const v1::RoundRecord& record,
                                       const v1::RoundRecord& before, const Policies& policies,
                                       const TrainPaths& paths) {
  const v1::JobSpec& spec = job.resolved_spec();
  v1::TrainRoundRequest request;
  request.set_job(job.name());
  request.set_round(record.round());
  request.set_rounds(spec.rounds());
  request.set_seed(spec.seed());
  *request.mutable_input() = policies.current;
  *request.mutable_objective() = spec.objective();
  *request.mutable_training() = spec.training();
  request.set_pairs(record.pairs().kept() + record.pairs().replayed());
  const bool group = spec.pairing().strategy() == v1::PAIRING_STRATEGY_GROUP;
  request.set_responses(NeedsOf(spec.objective()).gold ? 3 : 2);
  if (group) {  // all of one size
    request.set_responses(record.responses() / static_cast<uint32_t>(record.prompt_indices_size()));
  }
  request.set_output_path(paths.checkpoint);
  if (NeedsReferenceModel(spec.objective(), record.pairs().replayed() > 0)) {
    *request.mutable_reference() =
        ReferenceSource(spec.objective(), policies, before, paths.reference);
  }
  if (request.has_reference() && spec.objective().reference() == v1::REFERENCE_MIXED &&
      record.round() < spec.rounds()) {
    request.set_reference_output_path(paths.next_reference);
  }
  return request;
}

}  // namespace attune
