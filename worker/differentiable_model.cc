#include "worker/differentiable_model.h"

#include <string>

#include <ATen/ATen.h>

#include "common/check.h"
#include "model/layout.h"

namespace attune {
namespace {

at::Tensor IndexTensor(const std::vector<int64_t>& values) {
  return at::tensor(values, at::TensorOptions().dtype(at::kLong));
}

// The tensors of a flat vector by name; undefined if there is no name, or no vector.
class TensorViews {
 public:
  TensorViews(const std::vector<TensorSpec>& layout, absl::Span<float> values)
      : layout_(layout), values_(values) {}

  at::Tensor Of(const std::string& name) const {
    if (name.empty() || values_.empty()) return at::Tensor();
    const TensorSpec& spec = FindTensor(layout_, name);
    return at::from_blob(values_.data() + spec.offset, spec.shape, at::kFloat);
  }
  at::Tensor WeightOf(const LinearRef& ref) const {
    const at::Tensor stored = Of(ref.weight);
    if (!stored.defined()) return stored;
    return (ref.transposed ? stored.t() : stored).narrow(0, ref.first, ref.outputs);
  }
  at::Tensor BiasOf(const LinearRef& ref) const {
    const at::Tensor stored = Of(ref.bias);
    return stored.defined() ? stored.narrow(0, ref.first, ref.outputs) : stored;
  }

 private:
  const std::vector<TensorSpec>& layout_;
  const absl::Span<float> values_;
};

}  // namespace

DifferentiableModel::DifferentiableModel(const ModelConfig& config, absl::Span<float> parameters,
                                         absl::Span<float> gradients, TensorType precision)
    : config_(config), precision_(precision), frozen_(gradients.empty()) {
  const std::vector<TensorSpec> layout = WeightLayout(config);
  ATTUNE_CHECK(static_cast<int64_t>(parameters.size()) >= WeightCount(layout));
  ATTUNE_CHECK(frozen_ || parameters.size() == gradients.size());
  const TensorViews values(layout, parameters);
  const TensorViews slopes(layout, gradients);
  const auto leaf = [&](const std::string& name) {
    at::Tensor tensor = values.Of(name);
    if (frozen_ || !tensor.defined()) return tensor;
    tensor.set_requires_grad(true);
    tensor.mutable_grad() = slopes.Of(name);
    return tensor;
  };
  const auto norm = [&](const NormRef& ref) { return Norm{leaf(ref.weight), leaf(ref.bias)}; };
  const auto linear = [&](const LinearRef& ref) {
    return LinearParameters{.weight_NK = values.WeightOf(ref),
                            .weight_gradient_NK = slopes.WeightOf(ref),
                            .bias_N = values.BiasOf(ref),
                            .bias_gradient_N = slopes.BiasOf(ref)};
  };
  const ModelRefs refs = RefsOf(config);
  embeddings_ = leaf(refs.embeddings);
  positions_ = leaf(refs.positions);
  for (const LayerRefs& layer : refs.layers) {
    layers_.push_back({.attention_norm = norm(layer.attention_norm),
                       .q = linear(layer.q),
                       .k = linear(layer.k),
                       .v = linear(layer.v),
                       .o = linear(layer.o),
                       .q_norm = norm(layer.q_norm),
                       .k_norm = norm(layer.k_norm),
                       .attention_post_norm = norm(layer.attention_post_norm),
                       .mlp_norm = norm(layer.mlp_norm),
                       .gate = linear(layer.gate),
                       .up = linear(layer.up),
                       .down = linear(layer.down),
                       .mlp_post_norm = norm(layer.mlp_post_norm)});
  }
  final_norm_ = norm(refs.final_norm);
  head_ = linear(refs.head);
  ParametersChanged();
}

void DifferentiableModel::ParametersChanged() {
  for (Layer& layer : layers_) {
    for (LinearParameters* linear :
         {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
      if (linear->weight_NK.defined()) linear->Pack(precision_);
    }
  }
  head_.Pack(precision_);
}

at::Tensor DifferentiableModel::TokenLogProbs(const PackedSequences& batch) const {
  return ScoreTargets(batch, {}).logps;
}

TargetColumns DifferentiableModel::ScoreTargets(const PackedSequences& batch,
                                                const TargetQuestions& questions) const {
  ATTUNE_CHECK(config_.num_labels == 0);
  HeadRows reference;
  if (questions.reference != nullptr) {
    const at::NoGradGuard no_gradients;
    reference = questions.reference->RunLayers(batch);
  }
  const at::AutoGradMode gradients(at::GradMode::is_enabled() && !frozen_);
  return ScoreTargetsOp(RunLayers(batch), IndexTensor(batch.targets), reference,
                        questions.log_sum_squares);
}

at::Tensor DifferentiableModel::Scores(const PackedSequences& batch) const {
  ATTUNE_CHECK(config_.num_labels > 0);
  const at::AutoGradMode gradients(at::GradMode::is_enabled() && !frozen_);
  return LinearOp(RunLayers(batch).hidden_TK, head_);
}

// The order of operations is the sampler's (Policy::Forward). Sums of two tensors, and products
// with a number, are plain fp32 in both.
HeadRows DifferentiableModel::RunLayers(const PackedSequences& batch) const {
  const Rows rows = RowsOf(batch);
  at::Tensor x = EmbeddingOp(embeddings_, IndexTensor(batch.tokens), precision_);
  if (positions_.defined()) x = x + EmbeddingOp(positions_, rows.positions, TensorType::kF32);
  if (config_.embedding_scale != 1) x = x * config_.embedding_scale;
  const auto add_block = [&](const Norm& post_norm, const at::Tensor& out) {
    x = x + (config_.post_norms ? Normalise(post_norm, out) : out);
  };
  for (int64_t i = 0; i < config_.num_layers; ++i) {
    const Layer& layer = layers_[i];
    add_block(layer.attention_post_norm,
              Attend(layer, config_.window(i), Normalise(layer.attention_norm, x), rows));
    add_block(layer.mlp_post_norm, RunMlp(layer, Normalise(layer.mlp_norm, x)));
  }
  const at::Tensor last = at::index_select(x, 0, IndexTensor(batch.target_rows));
  return {Normalise(final_norm_, last), &head_, config_.logit_softcap};
}

DifferentiableModel::Rows DifferentiableModel::RowsOf(const PackedSequences& batch) const {
  const int64_t half = static_cast<int64_t>(config_.rope.frequencies.size());
  const int64_t count = static_cast<int64_t>(batch.tokens.size());
  std::vector<int64_t> positions;
  for (size_t s = 0; s + 1 < batch.offsets.size(); ++s) {
    const int64_t length = batch.offsets[s + 1] - batch.offsets[s];
    ATTUNE_CHECK(length <= config_.max_position_embeddings);
    for (int64_t position = 0; position < length; ++position) positions.push_back(position);
  }
  ATTUNE_CHECK(static_cast<int64_t>(positions.size()) == count);
  const Rows rows = {IndexTensor(positions), IndexTensor(batch.offsets), at::empty({count, half}),
                     at::empty({count, half})};
  for (int64_t row = 0; row < count; ++row) {
    config_.rope.Angles(positions[row], rows.cos.data_ptr<float>() + row * half,
                        rows.sin.data_ptr<float>() + row * half);
  }
  return rows;
}

at::Tensor DifferentiableModel::Normalise(const Norm& norm, const at::Tensor& x) const {
  if (config_.norm == NormKind::kLayer) {
    return LayerNormOp(x, norm.weight, norm.bias, config_.norm_eps);
  }
  return RmsNormOp(x, config_.norm_adds_one ? norm.weight + 1 : norm.weight, config_.norm_eps);
}

at::Tensor DifferentiableModel::NormaliseHeads(const Norm& norm, const at::Tensor& x) const {
  return Normalise(norm, x.view({-1, config_.head_dim})).view(x.sizes());
}

at::Tensor DifferentiableModel::Attend(const Layer& layer, int64_t window, const at::Tensor& h,
                                       const Rows& rows) const {
  at::Tensor q = LinearOp(h, layer.q);
  at::Tensor k = LinearOp(h, layer.k);
  const at::Tensor v = LinearOp(h, layer.v);
  if (config_.qk_norm) {
    q = NormaliseHeads(layer.q_norm, q);
    k = NormaliseHeads(layer.k_norm, k);
  }
  if (!config_.rope.frequencies.empty()) {
    q = RopeOp(q, rows.cos, rows.sin, config_.head_dim);
    k = RopeOp(k, rows.cos, rows.sin, config_.head_dim);
  }
  const AttentionShape shape = {config_.num_heads, config_.num_kv_heads, config_.head_dim,
                                config_.attention_scale, config_.attention_softcap,
                                precision_ == TensorType::kBf16};
  return LinearOp(AttentionOp(q, k, v, rows.offsets, shape, window), layer.o);
}

at::Tensor DifferentiableModel::RunMlp(const Layer& layer, const at::Tensor& h) const {
  const at::Tensor up = LinearOp(h, layer.up);
  const at::Tensor activated = config_.gated_mlp
                                   ? ActivateOp(config_.activation, LinearOp(h, layer.gate), up)
                                   : ActivateOp(config_.activation, up, at::Tensor());
  return LinearOp(activated, layer.down);
}

}  // namespace attune
