// The policy during training: its parameters as views into one flat vector, their gradients as
// views into another, and the forward pass under autograd on sequences packed without padding.
#ifndef ATTUNE_WORKER_DIFFERENTIABLE_MODEL_H_
#define ATTUNE_WORKER_DIFFERENTIABLE_MODEL_H_

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "absl/types/span.h"
#include "model/kernels.h"
#include "model/model_config.h"

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
  // the model. Backward passes add to `gradients`.
  DifferentiableModel(const ModelConfig& config, absl::Span<float> parameters,
                      absl::Span<float> gradients);

  // Natural log-probability of every target given all tokens before it, [targets], with gradients.
  // The numbers of the sampler, bit for bit, however the sequences are packed. Tokens are within
  // the vocabulary, sequences not longer than max_position_embeddings.
  at::Tensor TokenLogProbs(const PackedSequences& batch) const;

  // To be called after the parameters have changed. No backward pass may be open.
  void ParametersChanged();

 private:
  struct Matrix {
    at::Tensor weight;  // leaf
    PackedMatrix packed;
  };
  struct Layer {
    at::Tensor input_norm;
    Matrix q, k, v, o;
    at::Tensor post_norm;
    Matrix gate, up, down;
  };
  struct Rotation {
    at::Tensor cos;  // [rows, head_dim / 2]
    at::Tensor sin;
    at::Tensor offsets;
  };

  Rotation RotationOf(const PackedSequences& batch) const;
  at::Tensor RunLayer(const Layer& layer, const at::Tensor& x, const Rotation& rotation) const;

  const ModelConfig config_;
  const RopeTable rope_;
  at::Tensor embeddings_;
  std::vector<Layer> layers_;
  at::Tensor norm_;
  Matrix head_;  // its weight is the embeddings when they are tied
};

}  // namespace attune

#endif  // ATTUNE_WORKER_DIFFERENTIABLE_MODEL_H_
