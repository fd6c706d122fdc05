#include "worker/differentiable_model.h"

#include <string>
#include <type_traits>

#include <ATen/ATen.h>

#include "common/check.h"
#include "model/layout.h"
#include "worker/checkpointed_op.h"

namespace attune {
namespace {

at::Tensor IndexTensor(const std::vector<int64_t>& values) {
  return at::tensor(values, at::TensorOptions().dtype(at::kLong));
}

// The tensors of a flat vector by name; undefined if there is no name, or no vector.
template <class Value>
class TensorViews {
 public:
  TensorViews(const std::vector<TensorSpec>& layout, absl::Span<Value> values)
      : layout_(layout), values_(values) {}

  at::Tensor Of(const std::string& name) const {
    if (name.empty() || values_.empty()) return at::Tensor();
    const TensorSpec& spec = FindTensor(layout_, name);
    return at::from_blob(values_.data() + spec.offset, spec.shape,
                         std::is_same_v<Value, double> ? at::kDouble : at::kFloat);
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
  const absl::Span<Value> values_;
};

}  // namespace

DifferentiableModel::DifferentiableModel(const ModelConfig& config, absl::Span<float> parameters,
                                         absl::Span<double> gradients, TensorType precision,
                                         bool gradient_checkpointing)
    : config_(config),
      precision_(precision),
      frozen_(gradients.empty()),
      checkpoints_(gradient_checkpointing),
      root_(at::empty({0}).set_requires_grad(!frozen_)) {
  const std::vector<TensorSpec> layout = WeightLayout(config);
  ATTUNE_CHECK(static_cast<int64_t>(parameters.size()) >= WeightCount(layout));
  ATTUNE_CHECK(frozen_ || parameters.size() == gradients.size());
  const TensorViews<float> values(layout, parameters);
  const TensorViews<double> slopes(layout, gradients);
  const auto table = [&](const std::string& name, TensorType type) {
    return EmbeddingTable{values.Of(name), slopes.Of(name), type};
  };
  const auto norm = [&](const NormRef& ref) {
    return NormParameters{values.Of(ref.weight), slopes.Of(ref.weight), values.Of(ref.bias),
                          slopes.Of(ref.bias),   config.norm_eps,       config.norm_adds_one};
  };
  const auto linear = [&](const LinearRef& ref) {
    return LinearParameters{.weight_NK = values.WeightOf(ref),
                            .weight_gradient_NK = slopes.WeightOf(ref),
                            .bias_N = values.BiasOf(ref),
                            .bias_gradient_N = slopes.BiasOf(ref),
                            .precision = precision};
  };
  const ModelRefs refs = RefsOf(config);
  embeddings_ = table(refs.embeddings, precision);
  positions_ = table(refs.positions, TensorType::kF32);
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
  return ScoreTargetsOp(RunLayers(batch), IndexTensor(batch.targets),
                        IndexTensor(batch.example_targets), reference, questions.log_sum_squares);
}

at::Tensor DifferentiableModel::Scores(const PackedSequences& batch) const {
  ATTUNE_CHECK(config_.num_labels > 0);
  const at::AutoGradMode gradients(at::GradMode::is_enabled() && !frozen_);
  return LinearOp(RunLayers(batch).hidden_TK, head_, IndexTensor(batch.example_targets));
}

// The order of operations is the sampler's (Policy::Forward). Sums of two tensors, and products
// with a number, are plain fp32 in both.
HeadRows DifferentiableModel::RunLayers(const PackedSequences& batch) const {
  const Rows rows = RowsOf(batch);
  at::Tensor x = EmbeddingOp(root_, embeddings_, IndexTensor(batch.tokens));
  if (positions_.rows_VK.defined()) {
    x = AddOp(x, EmbeddingOp(root_, positions_, rows.positions));
  }
  if (config_.embedding_scale != 1) x = x * config_.embedding_scale;
  for (int64_t i = 0; i < config_.num_layers; ++i) {
    if (checkpoints_ && at::GradMode::is_enabled()) {
      x = CheckpointedOp([=](const at::Tensor& input) { return RunLayer(i, input, rows); }, x);
    } else {
      x = RunLayer(i, x, rows);
    }
  }
  const at::Tensor last = at::index_select(x, 0, IndexTensor(batch.target_rows));
  return {NormOp(last, final_norm_), &head_, config_.logit_softcap};
}

at::Tensor DifferentiableModel::RunLayer(int64_t index, const at::Tensor& x,
                                         const Rows& rows) const {
  const Layer& layer = layers_[index];
  const auto block = [&](const NormParameters& post_norm, const at::Tensor& out) {
    return config_.post_norms ? NormOp(out, post_norm) : out;
  };
  const at::Tensor attended =
      Attend(layer, config_.window(index), NormOp(x, layer.attention_norm), rows);
  const at::Tensor between = AddOp(x, block(layer.attention_post_norm, attended));
  const at::Tensor out = RunMlp(layer, NormOp(between, layer.mlp_norm), rows);
  return AddOp(between, block(layer.mlp_post_norm, out));
}

DifferentiableModel::Rows DifferentiableModel::RowsOf(const PackedSequences& batch) const {
  const int64_t half = static_cast<int64_t>(config_.rope.frequencies.size());
  const int64_t count = static_cast<int64_t>(batch.tokens.size());
  std::vector<int64_t> positions, segments;
  for (size_t s = 0; s + 1 < batch.offsets.size(); ++s) {
    const int64_t prefix = batch.prefixes[s];
    const int64_t first = prefix < 0 ? 0 : batch.offsets[prefix + 1] - batch.offsets[prefix];
    const int64_t length = first + batch.offsets[s + 1] - batch.offsets[s];
    ATTUNE_CHECK(length <= config_.max_position_embeddings);
    for (int64_t position = first; position < length; ++position) positions.push_back(position);
    segments.insert(segments.end(), {batch.offsets[s], batch.offsets[s + 1], prefix});
  }
  ATTUNE_CHECK(static_cast<int64_t>(positions.size()) == count);
  const Rows rows = {IndexTensor(positions), IndexTensor(segments).view({-1, 3}),
                     IndexTensor(batch.example_rows), at::empty({count, half}),
                     at::empty({count, half})};
  for (int64_t row = 0; row < count; ++row) {
    config_.rope.Angles(positions[row], rows.cos.data_ptr<float>() + row * half,
                        rows.sin.data_ptr<float>() + row * half);
  }
  return rows;
}

at::Tensor DifferentiableModel::NormaliseHeads(const NormParameters& norm,
                                               const at::Tensor& x) const {
  return NormOp(x.view({-1, config_.head_dim}), norm).view(x.sizes());
}

at::Tensor DifferentiableModel::Attend(const Layer& layer, int64_t window, const at::Tensor& h,
                                       const Rows& rows) const {
  at::Tensor q = LinearOp(h, layer.q, rows.examples);
  at::Tensor k = LinearOp(h, layer.k, rows.examples);
  const at::Tensor v = LinearOp(h, layer.v, rows.examples);
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
  return LinearOp(AttentionOp(q, k, v, rows.segments, shape, window), layer.o, rows.examples);
}

at::Tensor DifferentiableModel::RunMlp(const Layer& layer, const at::Tensor& h,
                                       const Rows& rows) const {
  const at::Tensor up = LinearOp(h, layer.up, rows.examples);
  const at::Tensor gate = config_.gated_mlp ? LinearOp(h, layer.gate, rows.examples) : at::Tensor();
  return LinearOp(config_.gated_mlp ? ActivateOp(config_.activation, gate, up)
                                    : ActivateOp(config_.activation, up, at::Tensor()),
                  layer.down, rows.examples);
}

}  // namespace attune
