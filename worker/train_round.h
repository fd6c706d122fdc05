// One round of training on all ranks: pairs in, weights and metrics out.
#ifndef ATTUNE_WORKER_TRAIN_ROUND_H_
#define ATTUNE_WORKER_TRAIN_ROUND_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "attune/v1/trainer.pb.h"
#include "comm/collective.h"
#include "model/model_config.h"
#include "worker/policy_files.h"

namespace attune {

// What a round needs from outside.
struct TrainRoundHooks {
  // This rank's pairs of one epoch, in the order of their updates; they are held in memory.
  std::function<absl::StatusOr<std::vector<v1::TrainingPair>>(uint32_t epoch)> pairs_of_epoch;
  // The first `count` pairs of the round, or all, in training order, whichever rank trains on them;
  // the same on every rank. Asked for where a domain is to be remembered alone.
  std::function<absl::StatusOr<std::vector<v1::TrainingPair>>(uint32_t count)> first_pairs;
  // After every update, on every rank, with the metrics of all ranks together.
  std::function<void(const v1::StepMetrics&)> on_step;
  // Whether this rank was told to stop; looked at before every update.
  std::function<bool()> stop;
};

// Updates of one round: epochs are cut into updates of
// per_device_train_batch_size * gradient_accumulation_steps pairs; the last may be shorter.
uint32_t UpdatesOfRound(const v1::TrainRoundRequest& request);
// Pairs of update `update` (from 0) of the round over all ranks.
uint32_t PairsOfUpdate(const v1::TrainRoundRequest& request, uint32_t update);

// The same on all ranks.
struct TrainedRound {
  std::vector<float> weights;
  v1::PairProbe probe;  // of the first pairs of epoch 0
};

// Trains `weights` (in the order of WeightLayout), or `adapters` of them (null: none), which become
// what the next round begins with; then the weights that it returns are merged.
// `reference`, of the same vocabulary, answers for examples that do not record it, and what cannot
// be recorded; null: none.
// A function of the request, the weights and the pairs; the number of ranks changes rounding only.
// Every rank calls it, with `threads` threads for each, which change nothing. When it fails it
// fails on every rank:
//   INVALID_ARGUMENT     the request asks for what does not go together
//   FAILED_PRECONDITION  a loss or gradient is not finite; names the update and the value
//   CANCELLED            some rank was told to stop
//   ABORTED              another rank failed; that rank has the reason
[[nodiscard]] absl::StatusOr<TrainedRound> TrainRound(const v1::TrainRoundRequest& request,
                                                      const ModelConfig& config,
                                                      std::vector<float> weights,
                                                      Adapters* adapters,
                                                      PolicyWeights* reference, Collective& ranks,
                                                      int threads, const TrainRoundHooks& hooks);

}  // namespace attune

#endif  // ATTUNE_WORKER_TRAIN_ROUND_H_
