// The policy during training: its parameters as views into one flat vector, their gradients as
// views into another, and the forward pass of model/policy.h under autograd, on sequences packed
// without padding. Without gradients, a frozen model: the reference of objectives that ask for its
// whole distributions.
#ifndef ATTUNE_WORKER_DIFFERENTIABLE_MODEL_H_
#define ATTUNE_WORKER_DIFFERENTIABLE_MODEL_H_

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "absl/types/span.h"
#include "model/model_config.h"
#include "model/tensor_type.h"
#include "worker/autograd_ops.h"
#include "worker/score_targets_op.h"

namespace attune {

// Several sequences, one row per input token, without padding. A target is a token whose
// log-probability is asked for; the row before it predicts it.
struct PackedSequences {
  std::vector<int64_t> tokens;       // of every row
  std::vector<int64_t> offsets;      // rows [offsets[s], offsets[s + 1]) are sequence s
  std::vector<int64_t> target_rows;  // ascending: the row that predicts each target
  std::vector<int64_t> targets;      // token ids
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
  // the model, which stays where it is while a backward pass is open. Backward passes add to
  // `gradients`, as long as `parameters`; empty: the model is frozen, and its passes, the same bit
  // for bit, keep nothing for backward ones. With `precision` kBf16, linear weights and embeddings
  // are rounded to that for both passes, as Policy::Create rounds them; `parameters` keep their
  // precision.
  DifferentiableModel(const ModelConfig& config, absl::Span<float> parameters,
                      absl::Span<float> gradients, TensorType precision = TensorType::kF32);

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

  // To be called after the parameters have changed. No backward pass may be open.
  void ParametersChanged();

 private:
  // Leaves; undefined where the model has none.
  struct Norm {
    at::Tensor weight;
    at::Tensor bias;
  };
  struct Layer {
    Norm attention_norm;
    LinearParameters q, k, v, o;
    Norm q_norm, k_norm;
    Norm attention_post_norm;
    Norm mlp_norm;
    LinearParameters gate, up, down;
    Norm mlp_post_norm;
  };
  // What the rows of a batch are besides their tokens.
  struct Rows {
    at::Tensor positions;  // of each within its sequence
    at::Tensor offsets;
    at::Tensor cos;  // [rows, rotary dimensions / 2]
    at::Tensor sin;
  };

  // The layers: from tokens to what the head makes the logits of the targets from.
  HeadRows RunLayers(const PackedSequences& batch) const;
  Rows RowsOf(const PackedSequences& batch) const;
  at::Tensor Normalise(const Norm& norm, const at::Tensor& x) const;
  // Of each head of x.
  at::Tensor NormaliseHeads(const Norm& norm, const at::Tensor& x) const;
  at::Tensor Attend(const Layer& layer, int64_t window, const at::Tensor& h,
                    const Rows& rows) const;
  at::Tensor RunMlp(const Layer& layer, const at::Tensor& h) const;

  const ModelConfig config_;
  const TensorType precision_;
  const bool frozen_;
  at::Tensor embeddings_;  // leaf
  at::Tensor positions_;   // leaf; undefined with rotary embeddings
  std::vector<Layer> layers_;
  Norm final_norm_;
  LinearParameters head_;  // its weight is the embeddings when they are tied
};

}  // namespace attune

#endif  // ATTUNE_WORKER_DIFFERENTIABLE_MODEL_H_
