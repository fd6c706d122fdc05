// Token ids of responses and their prompts as what a model takes.
#ifndef ATTUNE_WORKER_SEQUENCE_BATCH_H_
#define ATTUNE_WORKER_SEQUENCE_BATCH_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/model_config.h"
#include "worker/differentiable_model.h"
#include "worker/objectives/sequence_columns.h"

namespace attune {

// A response after a prompt.
struct Sequence {
  std::string name;  // for errors: "pair 7, chosen response"
  absl::Span<const uint32_t> prompt;
  absl::Span<const uint32_t> response;
};

// Several of them, of one example, packed in their order. The last token of a sequence predicts
// nothing and is no row. Immutable.
struct SequenceBatch {
  PackedSequences packed;  // targets: the tokens of the responses
  TokenSequences tokens;   // which sequence each token of a response belongs to
  int64_t token_count;     // prompts and responses
};

// A prompt that several sequences in a row have is there once. INVALID_ARGUMENT, naming the
// sequence, when a prompt or response is empty, longer together than
// max_position_embeddings, or has tokens outside the vocabulary.
[[nodiscard]] absl::StatusOr<SequenceBatch> MakeSequenceBatch(
    absl::Span<const Sequence> sequences, const ModelConfig& config);

// The same for a classifier: the only row asked for of a sequence is the one that its scores are
// read from, that of the last token that is no padding; it is the last row. No targets.
[[nodiscard]] absl::StatusOr<SequenceBatch> MakeScoredBatch(absl::Span<const Sequence> sequences,
                                                            const ModelConfig& config);

// Of several examples, in their order.
PackedSequences PackedTogether(absl::Span<const SequenceBatch> examples);

}  // namespace attune

#endif  // ATTUNE_WORKER_SEQUENCE_BATCH_H_
