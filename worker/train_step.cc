#include "worker/train_step.h"

#include <algorithm>
#include <cmath>
#include <exception>

#include <ATen/ATen.h>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "worker/pair_batch.h"

namespace attune {
namespace {

double LogpGap(const PairBatch& batch, const at::Tensor& logps) {
  double gap = 0;
  for (size_t s = 0; s < batch.rollout_logps.size(); ++s) {
    gap = std::max(gap, std::abs(logps.data_ptr<double>()[s] - batch.rollout_logps[s]));
  }
  return gap;
}

void RunBatch(const DifferentiableModel& model, const Objective& objective, const PairBatch& batch,
              int64_t update_pairs, UpdateSums& sums) {
  const at::Tensor logps = SequenceSums(batch, model.TokenLogProbs(batch.sequences));
  const at::Tensor chosen = logps.narrow(0, 0, batch.pairs);
  const at::Tensor rejected = logps.narrow(0, batch.pairs, batch.pairs);
  const PairLosses result =
      PreferenceLosses(objective, {chosen, rejected, batch.chosen_reference,
                                   batch.rejected_reference, batch.target});
  const at::Tensor loss = result.losses.sum();
  (loss / static_cast<double>(update_pairs)).backward();
  const auto sum = [](const at::Tensor& values) { return values.sum().item<double>(); };
  sums.pairs += static_cast<double>(batch.pairs);
  sums.tokens += static_cast<double>(batch.tokens);
  sums.loss += loss.item<double>();
  sums.chosen_reward += sum(result.chosen_rewards);
  sums.rejected_reward += sum(result.rejected_rewards);
  sums.correct += sum(result.chosen_rewards > result.rejected_rewards);
  sums.chosen_logp += sum(chosen);
  sums.rejected_logp += sum(rejected);
  sums.logp_gap = std::max(sums.logp_gap, LogpGap(batch, logps));
}

}  // namespace

absl::StatusOr<UpdateSums> AccumulateGradients(const DifferentiableModel& model,
                                               const ModelConfig& config,
                                               const Objective& objective,
                                               absl::Span<const v1::TrainingPair> pairs,
                                               int64_t update_pairs, absl::Span<float> scratch,
                                               absl::Span<double> sums) {
  UpdateSums result;
  for (const v1::TrainingPair& pair : pairs) {
    ATTUNE_ASSIGN_OR_RETURN(const PairBatch batch, MakePairBatch({&pair, 1}, config));
    try {
      RunBatch(model, objective, batch, update_pairs, result);
    } catch (const std::exception& error) {  // the boundary to LibTorch, which throws
      return absl::InternalError(
          absl::StrCat("training on pair ", pair.index(), ": ", error.what()));
    }
    for (size_t i = 0; i < scratch.size(); ++i) sums[i] += scratch[i];
    std::fill(scratch.begin(), scratch.end(), 0.0f);
  }
  return result;
}

}  // namespace attune
