#include "tests/reference/reference_model.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <numbers>

#include "common/check.h"
#include "tests/reference/config_value.h"
#include "tests/reference/reference_rope.h"

// T: positions of the sequence. A Matrix is [T][n] throughout.
namespace attune {
namespace {

using nlohmann::json;
using Vector = std::vector<double>;
using Matrix = std::vector<Vector>;

constexpr int64_t kNoWindow = std::numeric_limits<int64_t>::max();

bool IsGemma(const std::string& family) { return family == "gemma" || family == "gemma2"; }

bool IsTied(const json& config) {
  const std::string family = config["model_type"];
  return ConfigValue(config, "tie_word_embeddings", IsGemma(family) || family == "gpt2");
}

// By name; a file saved from the bare model lacks the prefix of the base model.
const ReferenceTensor& Find(const ReferenceTensors& tensors, const std::string& name) {
  auto found = tensors.find(name);
  if (found == tensors.end()) found = tensors.find(name.substr(name.find('.') + 1));
  if (found == tensors.end()) std::fprintf(stderr, "no tensor %s\n", name.c_str());
  ATTUNE_CHECK(found != tensors.end());
  return found->second;
}

// y = W x + b; W: [out, in], or [in, out] where `transposed` (GPT-2's Conv1D).
Matrix Linear(const ReferenceTensors& tensors, const std::string& name, const Matrix& x,
              bool has_bias, bool transposed = false) {
  const ReferenceTensor& weight = Find(tensors, name + ".weight");
  const size_t in = x[0].size();
  const size_t out = static_cast<size_t>(weight.shape[transposed ? 1 : 0]);
  ATTUNE_CHECK(weight.shape.size() == 2 && weight.values.size() == in * out);
  ATTUNE_CHECK(static_cast<size_t>(weight.shape[transposed ? 0 : 1]) == in);
  Matrix y(x.size(), Vector(out, 0));
  if (has_bias) {
    for (Vector& row : y) row = Find(tensors, name + ".bias").values;
    ATTUNE_CHECK(y[0].size() == out);
  }
  for (size_t t = 0; t < x.size(); ++t) {
    for (size_t o = 0; o < out; ++o) {
      for (size_t i = 0; i < in; ++i) {
        y[t][o] += x[t][i] * weight.values[transposed ? i * out + o : o * in + i];
      }
    }
  }
  return y;
}

// Some columns of each row.
Matrix Columns(const Matrix& x, int64_t begin, int64_t count) {
  Matrix y;
  for (const Vector& row : x) y.emplace_back(row.begin() + begin, row.begin() + begin + count);
  return y;
}

void Add(const Matrix& x, Matrix* sum) {
  for (size_t t = 0; t < x.size(); ++t) {
    for (size_t i = 0; i < x[t].size(); ++i) (*sum)[t][i] += x[t][i];
  }
}

double Activation(const std::string& name, double x) {
  if (name == "silu" || name == "swish") return x / (1 + std::exp(-x));
  if (name == "relu") return std::max(x, 0.0);
  if (name == "gelu") return x * 0.5 * (1 + std::erf(x / std::sqrt(2.0)));
  ATTUNE_CHECK(name == "gelu_new" || name == "gelu_pytorch_tanh" || name == "gelu_fast");
  const double inner = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
  return 0.5 * x * (1 + std::tanh(inner));
}

double Softcap(double cap, double x) { return cap == 0 ? x : cap * std::tanh(x / cap); }

// x * weight / rms(x); gemma stores weight - 1.
Vector RmsNorm(const Vector& weight, double offset, double epsilon, const Vector& x) {
  ATTUNE_CHECK(weight.size() == x.size());
  double sum = 0;
  for (double value : x) sum += value * value;
  const double scale = 1 / std::sqrt(sum / static_cast<double>(x.size()) + epsilon);
  Vector y(x.size());
  for (size_t i = 0; i < x.size(); ++i) y[i] = x[i] * scale * (weight[i] + offset);
  return y;
}

struct AttentionShape {
  int64_t heads, kv_heads, head_dim;
  double scale;                // of the scores
  double softcap = 0;          // 0: none
  int64_t window = kNoWindow;  // a position sees itself and the window - 1 before it
};

// q: [T][heads * head_dim], k and v: [T][kv_heads * head_dim], both rotated already. Causal.
Matrix Attention(const AttentionShape& shape, const Matrix& q, const Matrix& k, const Matrix& v) {
  const int64_t positions = static_cast<int64_t>(q.size());
  const int64_t dim = shape.head_dim;
  Matrix mixed(q.size(), Vector(static_cast<size_t>(shape.heads * dim), 0));
  for (int64_t t = 0; t < positions; ++t) {
    for (int64_t head = 0; head < shape.heads; ++head) {
      const int64_t kv_head = head / (shape.heads / shape.kv_heads);
      Vector weights(q.size(), 0);
      double total = 0;
      for (int64_t s = 0; s <= t; ++s) {
        if (t - s >= shape.window) continue;
        double score = 0;
        for (int64_t i = 0; i < dim; ++i) score += q[t][head * dim + i] * k[s][kv_head * dim + i];
        weights[s] = std::exp(Softcap(shape.softcap, score * shape.scale));
        total += weights[s];
      }
      for (int64_t s = 0; s <= t; ++s) {
        for (int64_t i = 0; i < dim; ++i) {
          mixed[t][head * dim + i] += weights[s] / total * v[s][kv_head * dim + i];
        }
      }
    }
  }
  return mixed;
}

// The families with rotary positions and gated MLPs.
class RotaryDecoder {
 public:
  RotaryDecoder(const json& config, const ReferenceTensors& tensors, int64_t positions)
      : config_(config),
        tensors_(tensors),
        family_(config["model_type"]),
        hidden_(config["hidden_size"].get<int64_t>()),
        heads_(config["num_attention_heads"].get<int64_t>()),
        // Mistral, Qwen and Gemma have numbers of their own here, which a saved config states.
        kv_heads_(ConfigValue(config, "num_key_value_heads", heads_)),
        head_dim_(ConfigValue(config, "head_dim", DefaultHeadDim())),
        epsilon_(ConfigValue(config, "rms_norm_eps", family_ == "phi3" ? 1e-5 : 1e-6)),
        rope_(MakeReferenceRope(config, head_dim_, positions)) {}

  Matrix Run(const std::vector<int32_t>& ids) const {
    const bool only_head = IsTied(config_) && !tensors_.contains("model.embed_tokens.weight") &&
                           tensors_.contains("lm_head.weight");
    const Vector& table =
        Find(tensors_, only_head ? "lm_head.weight" : "model.embed_tokens.weight").values;
    const double scale = IsGemma(family_) ? std::sqrt(static_cast<double>(hidden_)) : 1;
    Matrix x;
    for (int32_t id : ids) {
      x.emplace_back(table.begin() + id * hidden_, table.begin() + (id + 1) * hidden_);
      for (double& value : x.back()) value *= scale;
    }
    const int64_t layers = config_["num_hidden_layers"].get<int64_t>();
    for (int64_t layer = 0; layer < layers; ++layer) RunLayer(layer, &x);
    return Norm("model.norm", x);
  }

 private:
  int64_t DefaultHeadDim() const {
    if (IsGemma(family_)) return 256;
    return family_ == "qwen3" ? 128 : hidden_ / heads_;
  }

  bool AttentionBias() const {
    return family_ == "qwen2" || ConfigValue(config_, "attention_bias", false);
  }

  std::string ActivationName() const {
    if (!IsGemma(family_)) return ConfigValue<std::string>(config_, "hidden_act", "silu");
    // The first Gemma files say hidden_act "gelu" of models trained with its tanh form, which is
    // how transformers read them until 4.47; Gemma 2 has never looked at hidden_act.
    std::string legacy = "gelu_pytorch_tanh";
    if (family_ == "gemma" && ConfigValue<std::string>(config_, "hidden_act", "gelu") != "gelu") {
      legacy = config_["hidden_act"];
    }
    return ConfigValue(config_, "hidden_activation", legacy);
  }

  int64_t Window(int64_t layer) const {
    if (family_ == "llama" || family_ == "gemma") return kNoWindow;
    if (family_ == "phi3") return ConfigValue(config_, "sliding_window", kNoWindow);
    const int64_t window = ConfigValueOrOff<int64_t>(config_, "sliding_window", 4096, kNoWindow);
    if (family_ == "mistral") return window;
    bool slides = layer % 2 == 0;  // gemma2
    if (family_ == "qwen2" || family_ == "qwen3") {
      if (!ConfigValue(config_, "use_sliding_window", false)) return kNoWindow;
      slides = layer >= ConfigValue<int64_t>(config_, "max_window_layers", 28);
    }
    if (config_.contains("layer_types") && config_["layer_types"].is_array()) {
      slides = config_["layer_types"][static_cast<size_t>(layer)] == "sliding_attention";
    }
    return slides ? window : kNoWindow;
  }

  Matrix Norm(const std::string& name, const Matrix& x) const {
    const Vector& weight = Find(tensors_, name + ".weight").values;
    Matrix y;
    for (const Vector& row : x) {
      y.push_back(RmsNorm(weight, IsGemma(family_) ? 1 : 0, epsilon_, row));
    }
    return y;
  }

  // x: heads of head_dim each. Qwen3 normalises every head before it turns it.
  void PrepareHeads(const std::string& norm_name, Matrix* x) const {
    for (size_t t = 0; t < x->size(); ++t) {
      for (auto head = (*x)[t].begin(); head != (*x)[t].end(); head += head_dim_) {
        if (family_ == "qwen3") {
          const Vector normed = RmsNorm(Find(tensors_, norm_name + ".weight").values, 0, epsilon_,
                                        Vector(head, head + head_dim_));
          std::copy(normed.begin(), normed.end(), head);
        }
        RotateHead(rope_, static_cast<int64_t>(t), &*head);
      }
    }
  }

  Matrix RunAttention(const std::string& name, int64_t layer, const Matrix& x) const {
    const bool bias = AttentionBias();
    Matrix q, k, v;
    if (family_ == "phi3") {
      const Matrix qkv = Linear(tensors_, name + "qkv_proj", x, false);
      q = Columns(qkv, 0, heads_ * head_dim_);
      k = Columns(qkv, heads_ * head_dim_, kv_heads_ * head_dim_);
      v = Columns(qkv, (heads_ + kv_heads_) * head_dim_, kv_heads_ * head_dim_);
    } else {
      q = Linear(tensors_, name + "q_proj", x, bias);
      k = Linear(tensors_, name + "k_proj", x, bias);
      v = Linear(tensors_, name + "v_proj", x, bias);
    }
    PrepareHeads(name + "q_norm", &q);
    PrepareHeads(name + "k_norm", &k);
    AttentionShape shape{heads_, kv_heads_, head_dim_,
                         1 / std::sqrt(static_cast<double>(head_dim_))};
    shape.window = Window(layer);
    if (family_ == "gemma2") {
      shape.scale = 1 / std::sqrt(ConfigValue(config_, "query_pre_attn_scalar", 256.0));
      shape.softcap = ConfigValueOrOff(config_, "attn_logit_softcapping", 50.0, 0.0);
    }
    return Linear(tensors_, name + "o_proj", Attention(shape, q, k, v), bias && family_ != "qwen2");
  }

  Matrix RunMlp(const std::string& name, const Matrix& x) const {
    const bool bias = family_ == "llama" && ConfigValue(config_, "mlp_bias", false);
    const int64_t intermediate = config_["intermediate_size"].get<int64_t>();
    Matrix gate, up;
    if (family_ == "phi3") {
      const Matrix both = Linear(tensors_, name + "gate_up_proj", x, false);
      gate = Columns(both, 0, intermediate);
      up = Columns(both, intermediate, intermediate);
    } else {
      gate = Linear(tensors_, name + "gate_proj", x, bias);
      up = Linear(tensors_, name + "up_proj", x, bias);
    }
    for (size_t t = 0; t < x.size(); ++t) {
      for (size_t i = 0; i < up[t].size(); ++i) {
        up[t][i] *= Activation(ActivationName(), gate[t][i]);
      }
    }
    return Linear(tensors_, name + "down_proj", up, bias);
  }

  void RunLayer(int64_t layer, Matrix* x) const {
    const std::string name = "model.layers." + std::to_string(layer) + ".";
    const bool post_norms = family_ == "gemma2";
    Matrix branch = RunAttention(name + "self_attn.", layer, Norm(name + "input_layernorm", *x));
    if (post_norms) branch = Norm(name + "post_attention_layernorm", branch);
    Add(branch, x);
    const char* mlp_norm = post_norms ? "pre_feedforward_layernorm" : "post_attention_layernorm";
    branch = RunMlp(name + "mlp.", Norm(name + mlp_norm, *x));
    if (post_norms) branch = Norm(name + "post_feedforward_layernorm", branch);
    Add(branch, x);
  }

  const json& config_;
  const ReferenceTensors& tensors_;
  const std::string family_;
  const int64_t hidden_, heads_, kv_heads_, head_dim_;
  const double epsilon_;
  const ReferenceRope rope_;
};

Matrix LayerNorm(const json& config, const ReferenceTensors& tensors, const std::string& name,
                 const Matrix& x) {
  const Vector& weight = Find(tensors, name + ".weight").values;
  const Vector& bias = Find(tensors, name + ".bias").values;
  const double epsilon = ConfigValue(config, "layer_norm_epsilon", 1e-5);
  const double size = static_cast<double>(x[0].size());
  Matrix y = x;
  for (Vector& row : y) {
    double mean = 0, variance = 0;
    for (double value : row) mean += value / size;
    for (double value : row) variance += (value - mean) * (value - mean) / size;
    for (size_t i = 0; i < row.size(); ++i) {
      row[i] = (row[i] - mean) / std::sqrt(variance + epsilon) * weight[i] + bias[i];
    }
  }
  return y;
}

void RunGpt2Layer(const json& config, const ReferenceTensors& tensors, int64_t layer, Matrix* x) {
  const std::string name = "transformer.h." + std::to_string(layer) + ".";
  const int64_t hidden = config["n_embd"].get<int64_t>();
  const int64_t heads = config["n_head"].get<int64_t>();
  const Matrix qkv = Linear(tensors, name + "attn.c_attn",
                            LayerNorm(config, tensors, name + "ln_1", *x), true, true);
  AttentionShape shape{heads, heads, hidden / heads, 1};
  if (ConfigValue(config, "scale_attn_weights", true)) {
    shape.scale /= std::sqrt(static_cast<double>(shape.head_dim));
  }
  if (ConfigValue(config, "scale_attn_by_inverse_layer_idx", false)) {
    shape.scale /= static_cast<double>(layer + 1);
  }
  const Matrix mixed = Attention(shape, Columns(qkv, 0, hidden), Columns(qkv, hidden, hidden),
                                 Columns(qkv, 2 * hidden, hidden));
  Add(Linear(tensors, name + "attn.c_proj", mixed, true, true), x);
  const std::string activation =
      ConfigValue<std::string>(config, "activation_function", "gelu_new");
  Matrix inner =
      Linear(tensors, name + "mlp.c_fc", LayerNorm(config, tensors, name + "ln_2", *x), true, true);
  for (Vector& row : inner) {
    for (double& value : row) value = Activation(activation, value);
  }
  Add(Linear(tensors, name + "mlp.c_proj", inner, true, true), x);
}

Matrix RunGpt2(const json& config, const ReferenceTensors& tensors,
               const std::vector<int32_t>& ids) {
  const int64_t hidden = config["n_embd"].get<int64_t>();
  const Vector& tokens = Find(tensors, "transformer.wte.weight").values;
  const Vector& positions = Find(tensors, "transformer.wpe.weight").values;
  Matrix x(ids.size(), Vector(static_cast<size_t>(hidden)));
  for (size_t t = 0; t < ids.size(); ++t) {
    for (int64_t i = 0; i < hidden; ++i) {
      x[t][i] = tokens[ids[t] * hidden + i] + positions[static_cast<int64_t>(t) * hidden + i];
    }
  }
  const int64_t layers = config["n_layer"].get<int64_t>();
  for (int64_t layer = 0; layer < layers; ++layer) RunGpt2Layer(config, tensors, layer, &x);
  return LayerNorm(config, tensors, "transformer.ln_f", x);
}

// After the last norm.
Matrix HiddenStates(const json& config, const ReferenceTensors& tensors,
                    const std::vector<int32_t>& ids) {
  ATTUNE_CHECK(!ids.empty());
  const std::string family = config["model_type"];
  if (family == "gpt2") return RunGpt2(config, tensors, ids);
  ATTUNE_CHECK(family == "llama" || family == "mistral" || family == "qwen2" || family == "qwen3" ||
               family == "phi3" || IsGemma(family));
  return RotaryDecoder(config, tensors, static_cast<int64_t>(ids.size())).Run(ids);
}

}  // namespace

std::vector<std::vector<double>> ReferenceLogits(const json& config,
                                                 const ReferenceTensors& tensors,
                                                 const std::vector<int32_t>& ids) {
  const bool gpt2 = config["model_type"] == "gpt2";
  std::string head = "lm_head";
  // A tied model may be stored with the one copy named after either end.
  const std::string embeddings = gpt2 ? "transformer.wte" : "model.embed_tokens";
  const std::string bare = gpt2 ? "wte" : "embed_tokens";
  if (IsTied(config) &&
      (tensors.contains(embeddings + ".weight") || tensors.contains(bare + ".weight"))) {
    head = embeddings;
  }
  Matrix logits = Linear(tensors, head, HiddenStates(config, tensors, ids), false);
  const double cap = config["model_type"] == "gemma2"
                         ? ConfigValueOrOff(config, "final_logit_softcapping", 30.0, 0.0)
                         : 0;
  for (Vector& row : logits) {
    for (double& logit : row) logit = Softcap(cap, logit);
  }
  return logits;
}

std::vector<double> ReferenceScores(const json& config, const ReferenceTensors& tensors,
                                    const std::vector<int32_t>& ids) {
  return Linear(tensors, "score", HiddenStates(config, tensors, ids), false).back();
}

}  // namespace attune
