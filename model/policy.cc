#include "model/policy.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "common/status_macros.h"
#include "model/layout.h"

namespace attune {

namespace {

// Rows as a matrix multiplies them: floats, or pairs of bf16.
class Operand {
 public:
  Operand(int64_t rows, int64_t width, bool bf16)
      : width_(width),
        pairs_of_row_(bf16 ? (width + 1) / 2 : 0),
        values_(rows * width),
        pairs_(rows * pairs_of_row_) {}

  float* row(int64_t i) { return &values_[i * width_]; }
  // To be called once the values [begin, end) of a row are there; begin is even, and end is even or
  // the width.
  void Round(int64_t i, int64_t begin, int64_t end) {
    if (pairs_of_row_ == 0) return;
    RoundPairs(row(i) + begin, 1, end - begin, &pairs_[i * pairs_of_row_ + begin / 2]);
  }
  void Round(int64_t i) { Round(i, 0, width_); }
  const void* data() const {
    return pairs_of_row_ == 0 ? static_cast<const void*>(values_.data()) : pairs_.data();
  }

 private:
  int64_t width_;
  int64_t pairs_of_row_;
  std::vector<float> values_;
  std::vector<uint32_t> pairs_;
};

// Panels that a thread takes at a time: fewer would leave tiles of few rows half empty.
constexpr int64_t kPanelsMin = 4;
// Loops over fewer rows are not worth waking a thread for.
constexpr int64_t kRowsMin = 4;
// Of a thread that runs some rows through all layers: two full tiles.
constexpr size_t kPartRowsMin = 16;

}  // namespace

// The activations of one Forward, each [rows, its width].
struct Policy::Scratch {
  Scratch(const ModelConfig& config, bool bf16, int64_t rows, ThreadTeam* team)
      : rows(rows),
        team(team),
        x(rows * config.hidden_size),
        h(rows, config.hidden_size, bf16),
        q(rows * config.q_size()),
        k(rows * config.kv_size()),
        v(k.size()),
        attended(rows, config.q_size(), bf16),
        gate(config.gated_mlp ? rows * config.intermediate_size : 0),
        up(rows, config.intermediate_size, bf16),
        out(x.size()),
        cosines(rows * config.rope.frequencies.size()),
        sines(cosines.size()) {}

  // work(i) for every row.
  void ForRows(absl::FunctionRef<void(int64_t)> work) const {
    const int64_t pieces = team == nullptr ? 1 : team->size() * 4;
    const int64_t step = std::max(kRowsMin, (rows + pieces - 1) / pieces);
    const auto piece = [&](int64_t p) {
      for (int64_t i = p * step; i < std::min(rows, (p + 1) * step); ++i) work(i);
    };
    const int64_t count = (rows + step - 1) / step;
    if (team != nullptr) return team->Run(count, piece);
    for (int64_t p = 0; p < count; ++p) piece(p);
  }

  const int64_t rows;
  ThreadTeam* const team;
  std::vector<float> x;  // the residual stream
  Operand h;             // normalised
  std::vector<float> q;
  std::vector<float> k;
  std::vector<float> v;
  Operand attended;
  std::vector<float> gate;
  Operand up;
  std::vector<float> out;      // of a block, before it is added to x
  std::vector<float> cosines;  // of each row's position
  std::vector<float> sines;
};

// y = W x + b for the rows of an operand.
struct Policy::Product {
  const Linear* linear;
  float* y;
};

namespace {

// Calls work(matrix, panels) for all panels of some matrices, in pieces.
void ForPanels(absl::Span<const int64_t> panel_counts, ThreadTeam* team,
               absl::FunctionRef<void(size_t matrix, PanelRange panels)> work) {
  if (team == nullptr || team->size() == 1) {
    for (size_t m = 0; m < panel_counts.size(); ++m) work(m, {0, panel_counts[m]});
    return;
  }
  int64_t total = 0;
  for (int64_t count : panel_counts) total += count;
  const int64_t pieces = team->size() * 6;
  const int64_t step =
      std::max(kPanelsMin, (total / pieces + kPanelsMin - 1) / kPanelsMin * kPanelsMin);
  struct Piece {
    size_t matrix;
    PanelRange panels;
  };
  std::vector<Piece> list;
  for (size_t m = 0; m < panel_counts.size(); ++m) {
    for (int64_t begin = 0; begin < panel_counts[m]; begin += step) {
      list.push_back({m, {begin, std::min(begin + step, panel_counts[m])}});
    }
  }
  team->Run(static_cast<int64_t>(list.size()),
            [&](int64_t i) { work(list[i].matrix, list[i].panels); });
}

// Rows for each thread, sequences whole: nobody waits for another within the layers. None where
// there are too few rows to be worth reading all weights for, or too uneven parts.
std::vector<absl::Span<const PolicyRow>> PartsFor(absl::Span<const PolicyRow> rows,
                                                  const ThreadTeam* team) {
  std::vector<absl::Span<const PolicyRow>> parts;
  const size_t threads = team == nullptr ? 1 : static_cast<size_t>(team->size());
  if (rows.size() < threads * kPartRowsMin) return parts;
  for (size_t begin = 0; begin < rows.size();) {
    size_t end = rows.size() * (parts.size() + 1) / threads;
    while (end < rows.size() && rows[end - 1].cache == rows[end].cache) ++end;
    parts.push_back(rows.subspan(begin, end - begin));
    if (parts.back().size() * threads > rows.size() * 9 / 8) return {};
    begin = end;
  }
  return parts;
}

// The columns of `panels` of y = W x + b.
void Apply(const PackedMatrix& weight, const std::vector<float>& bias, const void* x, int64_t rows,
           PanelRange panels, float* y) {
  MatMulPanels(x, rows, weight, panels, y);
  if (bias.empty()) return;
  const int64_t begin = panels.begin * PackedMatrix::kPanelWidth;
  const int64_t end = std::min(panels.end * PackedMatrix::kPanelWidth, weight.n());
  for (int64_t i = 0; i < rows; ++i) {
    AddBias(&bias[begin], 1, end - begin, y + i * weight.n() + begin);
  }
}

}  // namespace

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

std::shared_ptr<const Policy> Policy::Quantized() const {
  return std::shared_ptr<const Policy>(new Policy(*this));
}

Policy::Policy(const Policy& exact)
    : config_(exact.config_),
      kv_layout_(config_, /*bf16=*/false),
      head_(exact.head_.Quantized()),
      embeddings_(exact.embeddings_.Quantized()),
      positions_(exact.positions_),
      final_norm_(exact.final_norm_) {
  for (const Layer& layer : exact.layers_) {
    Layer& copy = layers_.emplace_back(Layer{.attention_norm = layer.attention_norm,
                                             .q_norm = layer.q_norm,
                                             .k_norm = layer.k_norm,
                                             .attention_post_norm = layer.attention_post_norm,
                                             .mlp_norm = layer.mlp_norm,
                                             .mlp_post_norm = layer.mlp_post_norm});
    for (Linear Layer::*linear :
         {&Layer::q, &Layer::k, &Layer::v, &Layer::o, &Layer::gate, &Layer::up, &Layer::down}) {
      copy.*linear = {(layer.*linear).weight.Quantized(), (layer.*linear).bias};
    }
  }
}

Policy::Policy(ModelConfig config, TensorSource source, std::optional<TensorType> precision)
    : config_(std::move(config)), kv_layout_(config_, precision == TensorType::kBf16) {
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
    return PackedMatrix(view.From(ref.first * row), shape, precision.value_or(view.type),
                        kv_layout_.bf16 ? Products::kBf16 : Products::kFp32);
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

std::vector<float> Policy::Forward(absl::Span<const PolicyRow> rows, ThreadTeam* team) const {
  for (const PolicyRow& row : rows) row.cache->Prepare(kv_layout_, row.position);
  const std::vector<absl::Span<const PolicyRow>> parts = PartsFor(rows, team);
  if (parts.size() < 2) return RunRows(rows, team);
  std::vector<std::vector<float>> states(parts.size());
  team->Run(static_cast<int64_t>(parts.size()),
            [&](int64_t p) { states[p] = RunRows(parts[p], nullptr); });
  for (size_t p = 1; p < parts.size(); ++p) {
    states[0].insert(states[0].end(), states[p].begin(), states[p].end());
  }
  return std::move(states[0]);
}

// The order of operations here is a contract: the trainer repeats it with the same kernels to get
// the same bits (docs/architecture.md, numbers).
std::vector<float> Policy::RunRows(absl::Span<const PolicyRow> rows, ThreadTeam* team) const {
  const int64_t count = rows.size();
  const int64_t hidden = config_.hidden_size;
  Scratch s(config_, kv_layout_.bf16, count, team);
  Embed(rows, &s);
  for (int64_t layer = 0; layer < config_.num_layers; ++layer) {
    RunAttention(rows, layer, &s);
    RunMlp(layers_[layer], &s);
  }
  int64_t wanted = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (rows[i].wants_logits) std::copy_n(&s.x[i * hidden], hidden, &s.out[wanted++ * hidden]);
  }
  std::vector<float> states(wanted * hidden);
  Normalise(final_norm_, s.out.data(), wanted, hidden, states.data());
  return states;
}

void Policy::Logits(const float* hidden, int64_t rows, float* logits, ThreadTeam* team) const {
  Operand x(rows, config_.hidden_size, kv_layout_.bf16);
  for (int64_t i = 0; i < rows; ++i) {
    std::copy_n(hidden + i * config_.hidden_size, config_.hidden_size, x.row(i));
    x.Round(i);
  }
  ForPanels({head_.panel_count()}, team, [&](size_t, PanelRange panels) {
    MatMulPanels(x.data(), rows, head_, panels, logits);
  });
  if (config_.logit_softcap > 0) SoftCap(config_.logit_softcap, rows * head_.n(), logits);
}

void Policy::Embed(absl::Span<const PolicyRow> rows, Scratch* s) const {
  const int64_t hidden = config_.hidden_size;
  const int64_t half = config_.rope.frequencies.size();
  const PackedMatrix& embeddings = embeddings_.n() > 0 ? embeddings_ : head_;
  for (size_t i = 0; i < rows.size(); ++i) {
    const PolicyRow& row = rows[i];
    ATTUNE_CHECK(row.token >= 0 && row.token < config_.vocab_size);
    ATTUNE_CHECK(row.position >= 0 && row.position < config_.max_position_embeddings);
    float* const x = &s->x[i * hidden];
    embeddings.CopyRow(row.token, x);
    if (!positions_.empty()) AddInto(&positions_[row.position * hidden], hidden, x);
    config_.rope.Angles(row.position, s->cosines.data() + i * half, s->sines.data() + i * half);
  }
  if (config_.embedding_scale != 1) Scale(config_.embedding_scale, s->x.size(), s->x.data());
}

void Policy::Normalise(const Norm& norm, const float* x, int64_t rows, int64_t dim,
                       float* y) const {
  if (config_.norm == NormKind::kLayer) {
    LayerNorm(x, rows, dim, norm.weight.data(), norm.bias.data(), config_.norm_eps, y);
  } else {
    RmsNorm(x, rows, dim, norm.weight.data(), config_.norm_eps, y);
  }
}

void Policy::NormaliseRows(const Norm& norm, Scratch* s) const {
  s->ForRows([&](int64_t i) {
    Normalise(norm, &s->x[i * config_.hidden_size], 1, config_.hidden_size, s->h.row(i));
    s->h.Round(i);
  });
}

void Policy::RunAttention(absl::Span<const PolicyRow> rows, int64_t index, Scratch* s) const {
  const Layer& layer = layers_[index];
  NormaliseRows(layer.attention_norm, s);
  const Product products[] = {
      {&layer.q, s->q.data()}, {&layer.k, s->k.data()}, {&layer.v, s->v.data()}};
  ForPanels(
      {layer.q.weight.panel_count(), layer.k.weight.panel_count(), layer.v.weight.panel_count()},
      s->team, [&](size_t m, PanelRange panels) {
        const Linear& linear = *products[m].linear;
        Apply(linear.weight, linear.bias, s->h.data(), s->rows, panels, products[m].y);
      });
  // Rows of one sequence attend when all their keys are there; others while theirs are in the
  // cache.
  const auto is_alone = [&](int64_t i) {
    return (i == 0 || rows[i - 1].cache != rows[i].cache) &&
           (i + 1 == s->rows || rows[i + 1].cache != rows[i].cache);
  };
  s->ForRows([&](int64_t i) {
    RotateAndStore(rows[i], i, index, s);
    if (is_alone(i)) AttendTo(rows[i], i, index, s);
  });
  s->ForRows([&](int64_t i) {
    if (!is_alone(i)) AttendTo(rows[i], i, index, s);
  });
  ForPanels({layer.o.weight.panel_count()}, s->team, [&](size_t, PanelRange panels) {
    Apply(layer.o.weight, layer.o.bias, s->attended.data(), s->rows, panels, s->out.data());
  });
  AddBlock(layer.attention_post_norm, s);
}

void Policy::RotateAndStore(const PolicyRow& row, int64_t i, int64_t index, Scratch* s) const {
  const Layer& layer = layers_[index];
  const int64_t half = config_.rope.frequencies.size();
  float* const q = &s->q[i * config_.q_size()];
  float* const k = &s->k[i * config_.kv_size()];
  if (config_.qk_norm) {
    Normalise(layer.q_norm, q, config_.num_heads, config_.head_dim, q);
    Normalise(layer.k_norm, k, config_.num_kv_heads, config_.head_dim, k);
  }
  if (half > 0) {
    const float* const cosines = &s->cosines[i * half];
    const float* const sines = &s->sines[i * half];
    ApplyRope(q, config_.num_heads, config_.head_dim, half, cosines, sines);
    ApplyRope(k, config_.num_kv_heads, config_.head_dim, half, cosines, sines);
  }
  row.cache->Write(kv_layout_, index, row.position, k, &s->v[i * config_.kv_size()]);
}

void Policy::AttendTo(const PolicyRow& row, int64_t i, int64_t layer, Scratch* s) const {
  const int64_t window = config_.window(layer);
  const int64_t length = row.position + 1;
  const AttendArguments arguments = {
      .first = window > 0 ? std::max<int64_t>(0, length - window) : 0,
      .length = length,
      .heads = config_.num_heads,
      .kv_heads = config_.num_kv_heads,
      .head_dim = config_.head_dim,
      .scale = config_.attention_scale,
      .softcap = config_.attention_softcap,
      .bf16 = kv_layout_.bf16,
      .keys_offset = kv_layout_.keys_offset(layer),
      .values_offset = kv_layout_.values_offset(layer)};
  std::vector<float> scratch(AttendScratch(arguments));
  AttendRow(&s->q[i * config_.q_size()], row.cache->pages(), arguments, scratch.data(),
            s->attended.row(i));
  s->attended.Round(i);
}

void Policy::RunMlp(const Layer& layer, Scratch* s) const {
  NormaliseRows(layer.mlp_norm, s);
  const int64_t width = config_.intermediate_size;
  ForPanels({layer.up.weight.panel_count()}, s->team, [&](size_t, PanelRange panels) {
    Apply(layer.up.weight, layer.up.bias, s->h.data(), s->rows, panels, s->up.row(0));
    if (config_.gated_mlp) {
      Apply(layer.gate.weight, layer.gate.bias, s->h.data(), s->rows, panels, s->gate.data());
    }
    const int64_t begin = panels.begin * PackedMatrix::kPanelWidth;
    const int64_t end = std::min(panels.end * PackedMatrix::kPanelWidth, width);
    for (int64_t i = 0; i < s->rows; ++i) {
      float* const up = s->up.row(i) + begin;
      const float* const gate = config_.gated_mlp ? &s->gate[i * width + begin] : up;
      Activate(config_.activation, gate, config_.gated_mlp ? up : nullptr, end - begin, up);
      s->up.Round(i, begin, end);
    }
  });
  ForPanels({layer.down.weight.panel_count()}, s->team, [&](size_t, PanelRange panels) {
    Apply(layer.down.weight, layer.down.bias, s->up.data(), s->rows, panels, s->out.data());
  });
  AddBlock(layer.mlp_post_norm, s);
}

void Policy::AddBlock(const Norm& post_norm, Scratch* s) const {
  const int64_t hidden = config_.hidden_size;
  s->ForRows([&](int64_t i) {
    float* const out = &s->out[i * hidden];
    if (config_.post_norms) Normalise(post_norm, out, 1, hidden, out);
    AddInto(out, hidden, &s->x[i * hidden]);
  });
}

}  // namespace attune
