// The policy during training: its parameters as views into one flat vector, their gradients as
// views into another, and the forward pass of model/policy.h under autograd, on sequences packed
// without padding.
#ifndef ATTUNE_WORKER_DIFFERENTIABLE_MODEL_H_
#define ATTUNE_WORKER_DIFFERENTIABLE_MODEL_H_

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "absl/types/span.h"
#include "model/model_config.h"
#include "model/tensor_type.h"
#include "worker/autograd_ops.h"

namespace attune {

// Several sequences, one row per input token, without padding. A target is a token whose
// log-probability is asked for; the row before it predicts it.
struct PackedSequences {
  std::vector<int64_t> tokens;       // of every row
  std::vector<int64_t> offsets;      // rows [offsets[s], offsets[s + 1]) are sequence s
  std::vector<int64_t> target_rows;  // ascending: the row that predicts each target
  std::vector<int64_t> targets;      // token ids
};

// Not thread-safe.
class DifferentiableModel {
 public:
  // Both spans are in the order of WeightLayout(config), possibly with padding behind, and outlive
  // the model, which stays where it is while a backward pass is open. Backward passes add to
  // `gradients`. With `precision` kBf16, linear weights and embeddings are rounded to that for both
  // passes, as Policy::Create rounds them; `parameters` keep their precision. `config` is that of a
  // model of tokens (num_labels 0).
  DifferentiableModel(const ModelConfig& config, absl::Span<float> parameters,
                      absl::Span<float> gradients, TensorType precision = TensorType::kF32);

  // Natural log-probability of every target given all tokens before it, [targets], with gradients.
  // The numbers of the sampler, bit for bit, however the sequences are packed. Tokens are within
  // the vocabulary, sequences not longer than max_position_embeddings.
  at::Tensor TokenLogProbs(const PackedSequences& batch) const;

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

  Rows RowsOf(const PackedSequences& batch) const;
  at::Tensor Normalise(const Norm& norm, const at::Tensor& x) const;
  // Of each head of x.
  at::Tensor NormaliseHeads(const Norm& norm, const at::Tensor& x) const;
  at::Tensor Attend(const Layer& layer, int64_t window, const at::Tensor& h,
                    const Rows& rows) const;
  at::Tensor RunMlp(const Layer& layer, const at::Tensor& h) const;

  const ModelConfig config_;
  const TensorType precision_;
  at::Tensor embeddings_;  // leaf
  at::Tensor positions_;   // leaf; undefined with rotary embeddings
  std::vector<Layer> layers_;
  Norm final_norm_;
  LinearParameters head_;  // its weight is the embeddings when they are tied
};

}  // namespace attune

#endif  // ATTUNE_WORKER_DIFFERENTIABLE_MODEL_H_
