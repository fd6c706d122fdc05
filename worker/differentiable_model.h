// The policy during training: its parameters as views into one flat vector, their gradients as
// views into another, in double precision, and the forward pass of model/policy.h under autograd,
// on sequences packed without padding. Without gradients, a frozen model: the reference of
// objectives that ask for its whole distributions.
#ifndef ATTUNE_WORKER_DIFFERENTIABLE_MODEL_H_
#define ATTUNE_WORKER_DIFFERENTIABLE_MODEL_H_

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "absl/types/span.h"
#include "model/model_config.h"
#include "model/tensor_type.h"
#include "worker/attention_op.h"
#include "worker/autograd_ops.h"
#include "worker/score_targets_op.h"

namespace attune {

// Several sequences, one row per input token, without padding. What sequences of an example begin
// with alike is there once: segments of rows, some of which continue another one. A target is a
// token whose log-probability is asked for; the row before it predicts it.
struct PackedSequences {
  std::vector<int64_t> tokens;       // of every row
  std::vector<int64_t> offsets;      // rows [offsets[s], offsets[s + 1]) are segment s
  std::vector<int64_t> prefixes;     // of segment s: the segment that it continues, or -1; one that
                                     // is continued continues none, and is right before the others
  std::vector<int64_t> target_rows;  // the row that predicts each target
  std::vector<int64_t> targets;      // token ids
  // Rows, and targets, of example e: [e] to [e + 1]. What an example adds to a gradient is the same
  // in whatever company.
  std::vector<int64_t> example_rows;
  std::vector<int64_t> example_targets;
};

class DifferentiableModel;

// What ScoreTargets is to find out besides log-probabilities.
struct TargetQuestions {
  const DifferentiableModel* reference =
      nullptr;  // KL(reference || policy), of the same vocabulary
  bool log_sum_squares = false;
};

// Not thread-safe.
class DifferentiableModel {
 public:
  // Both spans are in the order of WeightLayout(config), possibly with padding behind, and outlive
  // the model, which stays where it is while a backward pass is open. Every pass reads the
  // parameters as they then are. Backward passes add to `gradients`, as long as `parameters`;
  // empty: the model is frozen, and its passes, the same bit for bit, keep nothing for backward
  // ones. With `precision` kBf16, linear weights and embeddings
  // are rounded to that for both passes, as Policy::Create rounds them; `parameters` keep their
  // precision.
  // With `gradient_checkpointing` a backward pass has kept of each layer its input alone, and runs
  // the layer again: a third more arithmetic, the same gradients bit for bit, and of a token and
  // layer 4 hidden_size bytes instead of about ten times as many.
  DifferentiableModel(const ModelConfig& config, absl::Span<float> parameters,
                      absl::Span<double> gradients, TensorType precision = TensorType::kF32,
                      bool gradient_checkpointing = false);

  // Of a language model:
  // Natural log-probability of every target given all tokens before it, [targets], with gradients.
  // The numbers of the sampler, bit for bit, however the sequences are packed. Tokens are within
  // the vocabulary, sequences not longer than max_position_embeddings.
  at::Tensor TokenLogProbs(const PackedSequences& batch) const;

  // TokenLogProbs as logps, and with them what the questions ask for. The reference runs first, on
  // the same batch, without gradients; it may be of another architecture, trainable or frozen, and
  // must live, unchanged, until the backward pass is done.
  TargetColumns ScoreTargets(const PackedSequences& batch, const TargetQuestions& questions) const;

  // Of a classifier: what the head says of the target rows, [rows, num_labels], with gradients; the
  // numbers of ClassificationScores (model/scorer.h), bit for bit. No targets.
  at::Tensor Scores(const PackedSequences& batch) const;

 private:
  // Of tensors that are undefined where the model has none.
  struct Layer {
    NormParameters attention_norm;
    LinearParameters q, k, v, o;
    NormParameters q_norm, k_norm;
    NormParameters attention_post_norm;
    NormParameters mlp_norm;
    LinearParameters gate, up, down;
    NormParameters mlp_post_norm;
  };
  // What the rows of a batch are besides their tokens.
  struct Rows {
    at::Tensor positions;  // of each within its sequence
    at::Tensor segments;   // as of AttentionOp
    at::Tensor examples;
    at::Tensor cos;  // [rows, rotary dimensions / 2]
    at::Tensor sin;
  };

  // The layers: from tokens to what the head makes the logits of the targets from.
  HeadRows RunLayers(const PackedSequences& batch) const;
  at::Tensor RunLayer(int64_t index, const at::Tensor& x, const Rows& rows) const;
  Rows RowsOf(const PackedSequences& batch) const;
  // Of each head of x.
  at::Tensor NormaliseHeads(const NormParameters& norm, const at::Tensor& x) const;
  at::Tensor Attend(const Layer& layer, int64_t window, const at::Tensor& h,
                    const Rows& rows) const;
  at::Tensor RunMlp(const Layer& layer, const at::Tensor& h, const Rows& rows) const;

  const ModelConfig config_;
  const TensorType precision_;
  const bool frozen_;
  const bool checkpoints_;
  const at::Tensor root_;  // of every graph: a leaf without elements
  EmbeddingTable embeddings_;
  EmbeddingTable positions_;  // undefined with rotary embeddings
  std::vector<Layer> layers_;
  NormParameters final_norm_;
  LinearParameters head_;  // its weight is the embeddings when they are tied
};

}  // namespace attune

#endif  // ATTUNE_WORKER_DIFFERENTIABLE_MODEL_H_
