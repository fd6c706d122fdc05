// Preference pairs as the tensors of one micro-batch.
#ifndef ATTUNE_WORKER_PAIR_BATCH_H_
#define ATTUNE_WORKER_PAIR_BATCH_H_

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "attune/v1/trainer.pb.h"
#include "model/model_config.h"
#include "worker/differentiable_model.h"

namespace attune {

// Of n pairs: sequences 0 .. n-1 are prompt + chosen, n .. 2n-1 prompt + rejected. The last token
// of a sequence predicts nothing and is no row. Immutable.
struct PairBatch {
  int64_t pairs;
  PackedSequences sequences;             // targets: the tokens of the responses
  std::vector<int64_t> target_sequence;  // of every target
  int64_t tokens;                        // prompts and responses of both sides

  // [pairs], float64.
  at::Tensor chosen_reference;
  at::Tensor rejected_reference;
  at::Tensor target;
  std::vector<double> rollout_logps;  // of every sequence, as recorded when it was sampled
};

// INVALID_ARGUMENT, naming the pair, when a prompt or response is empty, longer together than
// max_position_embeddings, or has tokens outside the vocabulary.
[[nodiscard]] absl::StatusOr<PairBatch> MakePairBatch(absl::Span<const v1::TrainingPair> pairs,
                                                      const ModelConfig& config);

// The one place where tokens become sequences: sums of the values of each sequence's targets, in
// float64 and in the order of the tokens, as the coordinator sums. [2 * pairs]
at::Tensor SequenceSums(const PairBatch& batch, const at::Tensor& target_values);

}  // namespace attune

#endif  // ATTUNE_WORKER_PAIR_BATCH_H_
