#include "model/policy.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "common/status_macros.h"
#include "model/weights.h"

namespace attune {

// The activations of one Forward, each [rows, its width].
struct Policy::Scratch {
  std::vector<float> x;  // the residual stream
  std::vector<float> h;  // normalised
  std::vector<float> q;
  std::vector<float> k;
  std::vector<float> v;
  std::vector<float> attended;
  std::vector<float> gate;
  std::vector<float> up;
  std::vector<float> out;     // of a block, before it is added to x
  std::vector<float> scores;  // [longest sequence]
};

void KvCache::Reserve(const ModelConfig& config, int64_t positions) {
  const size_t floats = positions * config.num_kv_heads * config.head_dim;
  layers_.resize(config.num_layers);
  for (Layer& layer : layers_) {
    if (layer.keys.size() >= floats) continue;
    layer.keys.resize(floats);
    layer.values.resize(floats);
  }
}

absl::StatusOr<std::shared_ptr<const Policy>> Policy::Create(ModelConfig config,
                                                             absl::Span<const float> weights) {
  const int64_t count = WeightCount(WeightLayout(config));
  if (static_cast<int64_t>(weights.size()) != count) {
    return absl::InvalidArgumentError(absl::StrCat("cannot make a policy of ", weights.size(),
                                                   " weights: its config has ", count));
  }
  return std::shared_ptr<const Policy>(new Policy(std::move(config), weights));
}

absl::StatusOr<std::shared_ptr<const Policy>> Policy::Load(const std::string& directory) {
  ATTUNE_ASSIGN_OR_RETURN(ModelConfig config, LoadModelConfig(directory));
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<float> weights, LoadWeights(directory, config));
  return Create(std::move(config), weights);
}

Policy::Policy(ModelConfig config, absl::Span<const float> weights)
    : config_(std::move(config)),
      rope_(config_.max_position_embeddings, config_.head_dim, config_.rope_theta) {
  const std::vector<TensorSpec> layout = WeightLayout(config_);
  digest_ = WeightsDigest(layout, weights);
  const auto vector = [&](const std::string& name) {
    const TensorSpec& spec = FindTensor(layout, name);
    const auto values = weights.subspan(spec.offset, spec.size);
    return std::vector<float>(values.begin(), values.end());
  };
  const auto matrix = [&](const std::string& name) {
    const TensorSpec& spec = FindTensor(layout, name);
    return PackedMatrix(&weights[spec.offset], spec.shape[0], spec.shape[1]);
  };
  for (int64_t i = 0; i < config_.num_layers; ++i) {
    const std::string name = absl::StrCat("model.layers.", i, ".");
    layers_.push_back({.attention_norm = vector(name + "input_layernorm.weight"),
                       .q_proj = matrix(name + "self_attn.q_proj.weight"),
                       .k_proj = matrix(name + "self_attn.k_proj.weight"),
                       .v_proj = matrix(name + "self_attn.v_proj.weight"),
                       .o_proj = matrix(name + "self_attn.o_proj.weight"),
                       .mlp_norm = vector(name + "post_attention_layernorm.weight"),
                       .gate_proj = matrix(name + "mlp.gate_proj.weight"),
                       .up_proj = matrix(name + "mlp.up_proj.weight"),
                       .down_proj = matrix(name + "mlp.down_proj.weight")});
  }
  embeddings_ = vector("model.embed_tokens.weight");
  final_norm_ = vector("model.norm.weight");
  head_ = matrix(config_.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight");
}

// The order of operations here is a contract: the trainer repeats it with the same kernels to get
// the same bits (docs/architecture.md, numbers).
std::vector<float> Policy::Forward(absl::Span<const PolicyRow> rows) const {
  const int64_t count = rows.size();
  const int64_t hidden = config_.hidden_size;
  Scratch s;
  s.x.resize(count * hidden);
  int64_t length_max = 0;
  for (int64_t i = 0; i < count; ++i) {
    const PolicyRow& row = rows[i];
    ATTUNE_CHECK(row.token >= 0 && row.token < config_.vocab_size);
    ATTUNE_CHECK(row.position >= 0 && row.position < config_.max_position_embeddings);
    row.cache->Reserve(config_, row.position + 1);
    length_max = std::max(length_max, row.position + 1);
    std::copy_n(&embeddings_[row.token * hidden], hidden, &s.x[i * hidden]);
  }
  s.h.resize(count * hidden);
  s.q.resize(count * config_.num_heads * config_.head_dim);
  s.k.resize(count * config_.num_kv_heads * config_.head_dim);
  s.v.resize(s.k.size());
  s.attended.resize(s.q.size());
  s.gate.resize(count * config_.intermediate_size);
  s.up.resize(s.gate.size());
  s.out.resize(count * hidden);
  s.scores.resize(length_max);
  for (int64_t layer = 0; layer < config_.num_layers; ++layer) {
    RunAttention(rows, layer, &s);
    RunMlp(layers_[layer], count, &s);
  }
  return RunHead(rows, &s);
}

void Policy::RunAttention(absl::Span<const PolicyRow> rows, int64_t index, Scratch* s) const {
  const Layer& layer = layers_[index];
  const int64_t count = rows.size();
  const int64_t q_width = config_.num_heads * config_.head_dim;
  const int64_t kv_width = config_.num_kv_heads * config_.head_dim;
  RmsNorm(s->x.data(), count, config_.hidden_size, layer.attention_norm.data(),
          config_.rms_norm_eps, s->h.data());
  MatMul(s->h.data(), count, layer.q_proj, s->q.data());
  MatMul(s->h.data(), count, layer.k_proj, s->k.data());
  MatMul(s->h.data(), count, layer.v_proj, s->v.data());
  for (int64_t i = 0; i < count; ++i) {
    const PolicyRow& row = rows[i];
    const float* cosines = rope_.cosines(row.position);
    const float* sines = rope_.sines(row.position);
    float* k = &s->k[i * kv_width];
    ApplyRope(&s->q[i * q_width], config_.num_heads, config_.head_dim, cosines, sines);
    ApplyRope(k, config_.num_kv_heads, config_.head_dim, cosines, sines);
    std::copy_n(k, kv_width, row.cache->keys(index) + row.position * kv_width);
    std::copy_n(&s->v[i * kv_width], kv_width, row.cache->values(index) + row.position * kv_width);
  }
  for (int64_t i = 0; i < count; ++i) {
    const PolicyRow& row = rows[i];
    AttendRow(&s->q[i * q_width], row.cache->keys(index), row.cache->values(index),
              row.position + 1, kv_width, config_.num_heads, config_.num_kv_heads, config_.head_dim,
              s->scores.data(), &s->attended[i * q_width]);
  }
  MatMul(s->attended.data(), count, layer.o_proj, s->out.data());
  AddInto(s->out.data(), s->x.size(), s->x.data());
}

void Policy::RunMlp(const Layer& layer, int64_t rows, Scratch* s) const {
  RmsNorm(s->x.data(), rows, config_.hidden_size, layer.mlp_norm.data(), config_.rms_norm_eps,
          s->h.data());
  MatMul(s->h.data(), rows, layer.gate_proj, s->gate.data());
  MatMul(s->h.data(), rows, layer.up_proj, s->up.data());
  SiluMul(s->gate.data(), s->up.data(), s->gate.size(), s->gate.data());
  MatMul(s->gate.data(), rows, layer.down_proj, s->out.data());
  AddInto(s->out.data(), s->x.size(), s->x.data());
}

std::vector<float> Policy::RunHead(absl::Span<const PolicyRow> rows, Scratch* s) const {
  const int64_t hidden = config_.hidden_size;
  int64_t wanted = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].wants_logits) std::copy_n(&s->x[i * hidden], hidden, &s->out[wanted++ * hidden]);
  }
  RmsNorm(s->out.data(), wanted, hidden, final_norm_.data(), config_.rms_norm_eps, s->h.data());
  std::vector<float> logits(wanted * config_.vocab_size);
  MatMul(s->h.data(), wanted, head_, logits.data());
  return logits;
}

}  // namespace attune
