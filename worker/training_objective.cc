#include "worker/training_objective.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/rng.h"

namespace attune {
namespace {

constexpr uint64_t kSampoTag = 0x73616d706f;  // "sampo"

FDivergence DivergenceOf(v1::FDivergenceType type) {
  switch (type) {
    case v1::F_DIVERGENCE_TYPE_FORWARD_KL:
      return FDivergence::kForwardKl;
    case v1::F_DIVERGENCE_TYPE_JS_DIVERGENCE:
      return FDivergence::kJensenShannon;
    case v1::F_DIVERGENCE_TYPE_ALPHA_DIVERGENCE:
      return FDivergence::kAlpha;
    default:
      return FDivergence::kReverseKl;
  }
}

// Options that no loss of the job has are not set, and not read.
LossOptions OptionsOf(const v1::ObjectiveSpec& spec) {
  LossOptions options;
  options.beta = spec.beta();
  options.label_smoothing = spec.label_smoothing();
  options.f_divergence = DivergenceOf(spec.f_divergence_type());
  options.f_alpha = 1 - spec.f_alpha_divergence_coef();
  options.discopop_tau = spec.discopop_tau();
  options.simpo_gamma = spec.simpo_gamma();
  options.alphapo_alpha = spec.alphapo_alpha();
  options.dpop_lambda = spec.dpop_lambda();
  options.length_lambda = spec.r_dpo_lambda();
  options.desirable_weight = spec.desirable_weight();
  options.undesirable_weight = spec.undesirable_weight();
  options.ddo_alpha = spec.ddo_alpha();
  options.objective_weight = spec.modpo_weight();
  options.tdpo_alpha = spec.tdpo_alpha();
  options.anchor_tau = spec.anchor_tau();
  options.anchor_kl = spec.beta_anchor_kl();
  options.score_temperature = spec.score_temperature();
  options.list_top_k = spec.list_top_k();
  options.list_poly = spec.list_poly();
  options.xpo_alpha = spec.xpo_alpha();
  options.fast_slow_alpha = spec.fast_slow_alpha();
  options.center_rewards = spec.center_rewards_coefficient();
  options.view_weights.assign(spec.view_weights().begin(), spec.view_weights().end());
  options.view_norm =
      std::accumulate(options.view_weights.begin(), options.view_weights.end(), 1.0);
  return options;
}

std::string NameOf(int loss_type) {
  const std::string& name = v1::LossType_Name(static_cast<v1::LossType>(loss_type));
  return absl::AsciiStrToLower(absl::StripPrefix(name, "LOSS_TYPE_"));
}

}  // namespace

absl::StatusOr<TrainingObjective> TrainingObjectiveOf(const v1::TrainRoundRequest& request) {
  const v1::ObjectiveSpec& spec = request.objective();
  TrainingObjective result = {.objective = {.options = OptionsOf(spec)},
                              .ld_alpha = spec.has_ld_alpha() ? spec.ld_alpha() : 1,
                              .sampo = spec.sampo(),
                              .weighting = spec.use_weighting(),
                              .score_margin = spec.score_margin()};
  for (int i = 0; i < spec.loss_type_size(); ++i) {
    const Loss* loss = FindLoss(NameOf(spec.loss_type(i)));
    if (loss == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("objective.loss_type: this trainer has no ",
                                                     "loss number ", spec.loss_type(i)));
    }
    const double weight = i < spec.loss_weights_size() ? spec.loss_weights(i) : 1;
    result.objective.losses.push_back({loss, weight});
    result.needs = Union(result.needs, loss->needs);
  }
  if (result.objective.losses.empty()) {
    return absl::InvalidArgumentError("objective.loss_type: empty; must have at least one loss");
  }
  if (result.needs.rewards && result.objective.losses.size() > 1) {
    return absl::InvalidArgumentError(
        "objective.loss_type: adds reward_model to losses of policies; it must stand alone");
  }
  if (result.needs.other_adapter && result.objective.losses.size() > 1) {
    return absl::InvalidArgumentError(
        "objective.loss_type: adds ofs_dpo to losses of one adapter; it must stand alone");
  }
  result.sampo_seed = CounterRng({request.seed(), kSampoTag, request.round()}).key();
  result.responses = std::max<int64_t>(2, request.responses());
  return result;
}

int64_t CorruptedSequences(const LossNeeds& needs) {
  return needs.views ? 2 : needs.corrupted ? 1 : 0;
}

int64_t MismatchedSequences(const LossNeeds& needs) { return needs.mismatched ? 2 : 0; }

int64_t SequencesOf(const TrainingObjective& objective) {
  return objective.responses + CorruptedSequences(objective.needs) +
         MismatchedSequences(objective.needs);
}

}  // namespace attune
