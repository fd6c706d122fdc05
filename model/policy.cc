#include "model/policy.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "common/status_macros.h"
#include "model/layout.h"

namespace attune {

// The activations of one Forward, each [rows, its width].
struct Policy::Scratch {
  Scratch(const ModelConfig& config, int64_t rows)
      : x(rows * config.hidden_size),
        h(x.size()),
        q(rows * config.q_size()),
        k(rows * config.kv_size()),
        v(k.size()),
        attended(q.size()),
        gate(config.gated_mlp ? rows * config.intermediate_size : 0),
        up(rows * config.intermediate_size),
        out(x.size()),
        cosines(rows * config.rope.frequencies.size()),
        sines(cosines.size()) {}

  std::vector<float> x;  // the residual stream
  std::vector<float> h;  // normalised
  std::vector<float> q;
  std::vector<float> k;
  std::vector<float> v;
  std::vector<float> attended;
  std::vector<float> gate;
  std::vector<float> up;
  std::vector<float> out;      // of a block, before it is added to x
  std::vector<float> cosines;  // of each row's position
  std::vector<float> sines;
  std::vector<float> scores;  // [longest sequence]
};

namespace {

void Apply(const PackedMatrix& weight, const std::vector<float>& bias, const float* x, int64_t rows,
           float* y) {
  MatMul(x, rows, weight, y);
  if (!bias.empty()) AddBias(bias.data(), rows, weight.n(), y);
}

}  // namespace

void KvCache::Reserve(const ModelConfig& config, int64_t positions) {
  const size_t floats = positions * config.kv_size();
  layers_.resize(config.num_layers);
  for (Layer& layer : layers_) {
    if (layer.keys.size() >= floats) continue;
    layer.keys.resize(floats);
    layer.values.resize(floats);
  }
}

absl::StatusOr<std::shared_ptr<const Policy>> Policy::Create(ModelConfig config,
                                                             absl::Span<const float> weights,
                                                             TensorType precision) {
  const std::vector<TensorSpec> layout = WeightLayout(config);
  if (static_cast<int64_t>(weights.size()) != WeightCount(layout)) {
    return absl::InvalidArgumentError(absl::StrCat("cannot make a policy of ", weights.size(),
                                                   " weights: its config has ",
                                                   WeightCount(layout)));
  }
  const auto source = [&](const std::string& name) {
    return ViewOf(&weights[FindTensor(layout, name).offset]);
  };
  return std::shared_ptr<const Policy>(new Policy(std::move(config), source, precision));
}

absl::StatusOr<std::shared_ptr<const Policy>> Policy::Load(const std::string& directory) {
  ATTUNE_ASSIGN_OR_RETURN(ModelConfig config, LoadModelConfig(directory));
  ATTUNE_ASSIGN_OR_RETURN(const WeightFiles files, WeightFiles::Open(directory, config));
  return Read(std::move(config), files);
}

std::shared_ptr<const Policy> Policy::Read(ModelConfig config, const WeightFiles& files,
                                           std::optional<TensorType> precision) {
  std::string last;
  const auto source = [&](const std::string& name) {
    if (!last.empty() && last != name) files.Release(last);  // it is packed by now
    last = name;
    return files.View(name);
  };
  return std::shared_ptr<const Policy>(new Policy(std::move(config), source, precision));
}

Policy::Policy(ModelConfig config, TensorSource source, std::optional<TensorType> precision)
    : config_(std::move(config)) {
  const auto vector = [&](const std::string& name, int64_t first, int64_t size) {
    std::vector<float> values(name.empty() ? 0 : size);
    if (!name.empty()) source(name).From(first).Read(size, values.data());
    return values;
  };
  const auto norm = [&](const NormRef& ref, int64_t size) {
    Norm norm{vector(ref.weight, 0, size), vector(ref.bias, 0, size)};
    if (config_.norm_adds_one) {
      for (float& weight : norm.weight) weight += 1;
    }
    return norm;
  };
  const auto matrix = [&](const LinearRef& ref) {
    if (ref.weight.empty()) return PackedMatrix();
    const TensorView view = source(ref.weight);
    const int64_t row = ref.transposed ? 1 : ref.inputs;
    const MatrixShape shape = {ref.outputs, ref.inputs, row,
                               ref.transposed ? ref.stored_outputs : 1};
    return PackedMatrix(view.From(ref.first * row), shape, precision.value_or(view.type));
  };
  const auto linear = [&](const LinearRef& ref) {
    return Linear{matrix(ref), vector(ref.bias, ref.first, ref.outputs)};
  };
  const ModelRefs refs = RefsOf(config_);
  const int64_t hidden = config_.hidden_size;
  for (const LayerRefs& layer : refs.layers) {
    layers_.push_back({.attention_norm = norm(layer.attention_norm, hidden),
                       .q = linear(layer.q),
                       .k = linear(layer.k),
                       .v = linear(layer.v),
                       .o = linear(layer.o),
                       .q_norm = norm(layer.q_norm, config_.head_dim),
                       .k_norm = norm(layer.k_norm, config_.head_dim),
                       .attention_post_norm = norm(layer.attention_post_norm, hidden),
                       .mlp_norm = norm(layer.mlp_norm, hidden),
                       .gate = linear(layer.gate),
                       .up = linear(layer.up),
                       .down = linear(layer.down),
                       .mlp_post_norm = norm(layer.mlp_post_norm, hidden)});
  }
  final_norm_ = norm(refs.final_norm, hidden);
  head_ = matrix(refs.head);
  if (refs.head.weight != refs.embeddings) {
    embeddings_ = matrix({.weight = refs.embeddings,
                          .outputs = config_.vocab_size,
                          .inputs = hidden,
                          .stored_outputs = config_.vocab_size});
  }
  positions_ = vector(refs.positions, 0, config_.max_position_embeddings * hidden);
}

// The order of operations here is a contract: the trainer repeats it with the same kernels to get
// the same bits (docs/architecture.md, numbers).
std::vector<float> Policy::Forward(absl::Span<const PolicyRow> rows) const {
  const int64_t count = rows.size();
  const int64_t hidden = config_.hidden_size;
  Scratch s(config_, count);
  Embed(rows, &s);
  for (int64_t layer = 0; layer < config_.num_layers; ++layer) {
    RunAttention(rows, layer, &s);
    RunMlp(layers_[layer], count, &s);
  }
  int64_t wanted = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (rows[i].wants_logits) std::copy_n(&s.x[i * hidden], hidden, &s.out[wanted++ * hidden]);
  }
  std::vector<float> states(wanted * hidden);
  Normalise(final_norm_, s.out.data(), wanted, hidden, states.data());
  return states;
}

void Policy::Logits(const float* hidden, int64_t rows, float* logits) const {
  MatMul(hidden, rows, head_, logits);
  if (config_.logit_softcap > 0) SoftCap(config_.logit_softcap, rows * head_.n(), logits);
}

void Policy::Embed(absl::Span<const PolicyRow> rows, Scratch* s) const {
  const int64_t hidden = config_.hidden_size;
  const int64_t half = config_.rope.frequencies.size();
  const PackedMatrix& embeddings = embeddings_.n() > 0 ? embeddings_ : head_;
  int64_t length_max = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    const PolicyRow& row = rows[i];
    ATTUNE_CHECK(row.token >= 0 && row.token < config_.vocab_size);
    ATTUNE_CHECK(row.position >= 0 && row.position < config_.max_position_embeddings);
    row.cache->Reserve(config_, row.position + 1);
    length_max = std::max(length_max, row.position + 1);
    float* const x = &s->x[i * hidden];
    embeddings.CopyRow(row.token, x);
    if (!positions_.empty()) AddInto(&positions_[row.position * hidden], hidden, x);
    config_.rope.Angles(row.position, s->cosines.data() + i * half, s->sines.data() + i * half);
  }
  if (config_.embedding_scale != 1) Scale(config_.embedding_scale, s->x.size(), s->x.data());
  s->scores.resize(length_max);
}

void Policy::Normalise(const Norm& norm, const float* x, int64_t rows, int64_t dim,
                       float* y) const {
  if (config_.norm == NormKind::kLayer) {
    LayerNorm(x, rows, dim, norm.weight.data(), norm.bias.data(), config_.norm_eps, y);
  } else {
    RmsNorm(x, rows, dim, norm.weight.data(), config_.norm_eps, y);
  }
}

void Policy::RunAttention(absl::Span<const PolicyRow> rows, int64_t index, Scratch* s) const {
  const Layer& layer = layers_[index];
  const int64_t count = rows.size();
  Normalise(layer.attention_norm, s->x.data(), count, config_.hidden_size, s->h.data());
  Apply(layer.q.weight, layer.q.bias, s->h.data(), count, s->q.data());
  Apply(layer.k.weight, layer.k.bias, s->h.data(), count, s->k.data());
  Apply(layer.v.weight, layer.v.bias, s->h.data(), count, s->v.data());
  if (config_.qk_norm) {
    const int64_t dim = config_.head_dim;
    Normalise(layer.q_norm, s->q.data(), count * config_.num_heads, dim, s->q.data());
    Normalise(layer.k_norm, s->k.data(), count * config_.num_kv_heads, dim, s->k.data());
  }
  RotateAndStore(rows, index, s);
  const AttentionShape shape = {config_.num_heads, config_.num_kv_heads, config_.head_dim,
                                config_.attention_scale, config_.attention_softcap};
  const int64_t window = config_.window(index);
  const int64_t stride = config_.kv_size();
  for (int64_t i = 0; i < count; ++i) {
    const int64_t end = rows[i].position + 1;
    const int64_t first = window > 0 ? std::max<int64_t>(0, end - window) : 0;
    KvCache& cache = *rows[i].cache;
    AttendRow(&s->q[i * config_.q_size()], cache.keys(index) + first * stride,
              cache.values(index) + first * stride, end - first, stride, shape, s->scores.data(),
              &s->attended[i * config_.q_size()]);
  }
  Apply(layer.o.weight, layer.o.bias, s->attended.data(), count, s->out.data());
  AddBlock(layer.attention_post_norm, count, s);
}

void Policy::RotateAndStore(absl::Span<const PolicyRow> rows, int64_t layer, Scratch* s) const {
  const int64_t half = config_.rope.frequencies.size();
  const int64_t width = config_.kv_size();
  for (size_t i = 0; i < rows.size(); ++i) {
    float* const k = &s->k[i * width];
    if (half > 0) {
      const float* const cosines = &s->cosines[i * half];
      const float* const sines = &s->sines[i * half];
      float* const q = &s->q[i * config_.q_size()];
      ApplyRope(q, config_.num_heads, config_.head_dim, half, cosines, sines);
      ApplyRope(k, config_.num_kv_heads, config_.head_dim, half, cosines, sines);
    }
    KvCache& cache = *rows[i].cache;
    std::copy_n(k, width, cache.keys(layer) + rows[i].position * width);
    std::copy_n(&s->v[i * width], width, cache.values(layer) + rows[i].position * width);
  }
}

void Policy::RunMlp(const Layer& layer, int64_t rows, Scratch* s) const {
  Normalise(layer.mlp_norm, s->x.data(), rows, config_.hidden_size, s->h.data());
  Apply(layer.up.weight, layer.up.bias, s->h.data(), rows, s->up.data());
  if (config_.gated_mlp) {
    Apply(layer.gate.weight, layer.gate.bias, s->h.data(), rows, s->gate.data());
    Activate(config_.activation, s->gate.data(), s->up.data(), s->up.size(), s->up.data());
  } else {
    Activate(config_.activation, s->up.data(), nullptr, s->up.size(), s->up.data());
  }
  Apply(layer.down.weight, layer.down.bias, s->up.data(), rows, s->out.data());
  AddBlock(layer.mlp_post_norm, rows, s);
}

void Policy::AddBlock(const Norm& post_norm, int64_t rows, Scratch* s) const {
  if (config_.post_norms) {
    Normalise(post_norm, s->out.data(), rows, config_.hidden_size, s->out.data());
  }
  AddInto(s->out.data(), s->x.size(), s->x.data());
}

}  // namespace attune
