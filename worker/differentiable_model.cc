#include "worker/differentiable_model.h"

#include <algorithm>
#include <string>

#include <ATen/ATen.h>

#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "model/weights.h"
#include "worker/autograd_ops.h"

namespace attune {
namespace {

at::Tensor IndexTensor(const std::vector<int64_t>& values) {
  return at::tensor(values, at::TensorOptions().dtype(at::kLong));
}

}  // namespace

DifferentiableModel::DifferentiableModel(const ModelConfig& config, absl::Span<float> parameters,
                                         absl::Span<float> gradients)
    : config_(config),
      rope_(config.max_position_embeddings, config.head_dim, config.rope_theta),
      layers_(config.num_layers) {
  const std::vector<TensorSpec> layout = WeightLayout(config);
  ATTUNE_CHECK(static_cast<int64_t>(parameters.size()) >= WeightCount(layout));
  ATTUNE_CHECK(parameters.size() == gradients.size());
  const auto leaf = [&](const std::string& name) {
    const TensorSpec& spec = FindTensor(layout, name);
    at::Tensor tensor = at::from_blob(parameters.data() + spec.offset, spec.shape, at::kFloat);
    tensor.set_requires_grad(true);
    tensor.mutable_grad() =
        at::from_blob(gradients.data() + spec.offset, spec.shape, at::kFloat);
    return tensor;
  };
  embeddings_ = leaf("model.embed_tokens.weight");
  for (int64_t i = 0; i < config.num_layers; ++i) {
    const std::string prefix = absl::StrCat("model.layers.", i, ".");
    Layer& layer = layers_[i];
    layer.input_norm = leaf(prefix + "input_layernorm.weight");
    layer.q.weight = leaf(prefix + "self_attn.q_proj.weight");
    layer.k.weight = leaf(prefix + "self_attn.k_proj.weight");
    layer.v.weight = leaf(prefix + "self_attn.v_proj.weight");
    layer.o.weight = leaf(prefix + "self_attn.o_proj.weight");
    layer.post_norm = leaf(prefix + "post_attention_layernorm.weight");
    layer.gate.weight = leaf(prefix + "mlp.gate_proj.weight");
    layer.up.weight = leaf(prefix + "mlp.up_proj.weight");
    layer.down.weight = leaf(prefix + "mlp.down_proj.weight");
  }
  norm_ = leaf("model.norm.weight");
  head_.weight = config.tie_word_embeddings ? embeddings_ : leaf("lm_head.weight");
  ParametersChanged();
}

void DifferentiableModel::ParametersChanged() {
  const auto pack = [](Matrix& matrix) {
    matrix.packed = PackedMatrix(matrix.weight.data_ptr<float>(), matrix.weight.size(0),
                                 matrix.weight.size(1));
  };
  for (Layer& layer : layers_) {
    for (Matrix* matrix : {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up,
                           &layer.down}) {
      pack(*matrix);
    }
  }
  pack(head_);
}

at::Tensor DifferentiableModel::TokenLogProbs(const PackedSequences& batch) const {
  const Rotation rotation = RotationOf(batch);
  at::Tensor x = at::embedding(embeddings_, IndexTensor(batch.tokens));
  for (const Layer& layer : layers_) x = RunLayer(layer, x, rotation);
  const at::Tensor last = at::index_select(x, 0, IndexTensor(batch.target_rows));
  return LogProbOp(RmsNormOp(last, norm_, config_.rms_norm_eps), head_.weight, head_.packed,
                   IndexTensor(batch.targets));
}

DifferentiableModel::Rotation DifferentiableModel::RotationOf(const PackedSequences& batch) const {
  const int64_t half = config_.head_dim / 2;
  const int64_t rows = static_cast<int64_t>(batch.tokens.size());
  Rotation rotation = {at::empty({rows, half}), at::empty({rows, half}),
                       IndexTensor(batch.offsets)};
  for (size_t s = 0; s + 1 < batch.offsets.size(); ++s) {
    for (int64_t row = batch.offsets[s]; row < batch.offsets[s + 1]; ++row) {
      const int64_t position = row - batch.offsets[s];
      ATTUNE_CHECK(position < rope_.positions());
      std::copy_n(rope_.cosines(position), half, rotation.cos.data_ptr<float>() + row * half);
      std::copy_n(rope_.sines(position), half, rotation.sin.data_ptr<float>() + row * half);
    }
  }
  return rotation;
}

// The order of operations is the sampler's. Residual sums are plain fp32 additions in both.
at::Tensor DifferentiableModel::RunLayer(const Layer& layer, const at::Tensor& x,
                                         const Rotation& rotation) const {
  const auto linear = [](const at::Tensor& input, const Matrix& matrix) {
    return LinearOp(input, matrix.weight, matrix.packed);
  };
  at::Tensor h = RmsNormOp(x, layer.input_norm, config_.rms_norm_eps);
  const at::Tensor q = RopeOp(linear(h, layer.q), rotation.cos, rotation.sin);
  const at::Tensor k = RopeOp(linear(h, layer.k), rotation.cos, rotation.sin);
  const at::Tensor v = linear(h, layer.v);
  const at::Tensor attended =
      AttentionOp(q, k, v, rotation.offsets,
                  {config_.num_heads, config_.num_kv_heads, config_.head_dim});
  const at::Tensor middle = x + linear(attended, layer.o);
  h = RmsNormOp(middle, layer.post_norm, config_.rms_norm_eps);
  const at::Tensor activated = SiluMulOp(linear(h, layer.gate), linear(h, layer.up));
  return middle + linear(activated, layer.down);
}

}  // namespace attune
