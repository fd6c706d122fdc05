// The kernels of model/kernels.h and the forward pass of model/policy.h again, in double precision
// and the plainest form: what tests compare the fast ones with. Weights are those of WeightLayout.
#ifndef ATTUNE_MODEL_REFERENCE_H_
#define ATTUNE_MODEL_REFERENCE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "model/model_config.h"
#include "model/weights.h"

namespace attune::reference {

using Vector = std::vector<double>;

// W x, W [n, k] row-major.
inline Vector MatVec(absl::Span<const float> w, const Vector& x) {
  Vector y(w.size() / x.size());
  for (size_t j = 0; j < y.size(); ++j) {
    for (size_t i = 0; i < x.size(); ++i) y[j] += static_cast<double>(w[j * x.size() + i]) * x[i];
  }
  return y;
}

inline Vector RmsNorm(const Vector& x, absl::Span<const float> weight, double eps) {
  double squares = 0;
  for (double v : x) squares += v * v;
  const double scale = 1 / std::sqrt(squares / static_cast<double>(x.size()) + eps);
  Vector y(x.size());
  for (size_t i = 0; i < x.size(); ++i) y[i] = x[i] * scale * weight[i];
  return y;
}

// x [heads, head_dim] of one position.
inline void ApplyRope(int64_t position, int64_t head_dim, double theta, Vector* x) {
  const int64_t half = head_dim / 2;
  for (size_t head = 0; head < x->size(); head += head_dim) {
    for (int64_t d = 0; d < half; ++d) {
      const double angle = position * std::pow(theta, -2.0 * d / head_dim);
      double& a = (*x)[head + d];
      double& b = (*x)[head + d + half];
      const double first = a * std::cos(angle) - b * std::sin(angle);
      b = b * std::cos(angle) + a * std::sin(angle);
      a = first;
    }
  }
}

// Of the last position; keys and values [length][kv_heads * head_dim].
inline Vector Attend(const Vector& q, const std::vector<Vector>& keys,
                     const std::vector<Vector>& values, int64_t head_dim) {
  const size_t group = q.size() / keys[0].size();
  Vector out(q.size());
  for (size_t head = 0; head < q.size() / head_dim; ++head) {
    const size_t kv = head / group * head_dim;
    Vector weights;
    double sum = 0;
    for (const Vector& key : keys) {
      double dot = 0;
      for (int64_t d = 0; d < head_dim; ++d) dot += q[head * head_dim + d] * key[kv + d];
      weights.push_back(std::exp(dot / std::sqrt(static_cast<double>(head_dim))));
      sum += weights.back();
    }
    for (size_t t = 0; t < values.size(); ++t) {
      for (int64_t d = 0; d < head_dim; ++d) {
        out[head * head_dim + d] += weights[t] / sum * values[t][kv + d];
      }
    }
  }
  return out;
}

inline double LogSumExp(const Vector& x) {
  const double max = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (double v : x) sum += std::exp(v - max);
  return max + std::log(sum);
}

// Logits after each of `ids`.
inline std::vector<Vector> Logits(const ModelConfig& config, absl::Span<const float> weights,
                                  absl::Span<const int32_t> ids) {
  const std::vector<TensorSpec> layout = WeightLayout(config);
  const auto tensor = [&](const std::string& name) {
    const TensorSpec& spec = FindTensor(layout, name);
    return weights.subspan(spec.offset, spec.size);
  };
  const auto add = [](const Vector& x, Vector* y) {
    for (size_t i = 0; i < x.size(); ++i) (*y)[i] += x[i];
  };
  std::vector<Vector> x;
  for (int32_t id : ids) {
    const auto row =
        tensor("model.embed_tokens.weight").subspan(id * config.hidden_size, config.hidden_size);
    x.emplace_back(row.begin(), row.end());
  }
  for (int64_t i = 0; i < config.num_layers; ++i) {
    const std::string name = absl::StrCat("model.layers.", i, ".");
    std::vector<Vector> keys, values;
    for (size_t t = 0; t < x.size(); ++t) {
      const Vector h = RmsNorm(x[t], tensor(name + "input_layernorm.weight"), config.rms_norm_eps);
      Vector q = MatVec(tensor(name + "self_attn.q_proj.weight"), h);
      keys.push_back(MatVec(tensor(name + "self_attn.k_proj.weight"), h));
      values.push_back(MatVec(tensor(name + "self_attn.v_proj.weight"), h));
      ApplyRope(t, config.head_dim, config.rope_theta, &q);
      ApplyRope(t, config.head_dim, config.rope_theta, &keys.back());
      const Vector a = Attend(q, keys, values, config.head_dim);
      add(MatVec(tensor(name + "self_attn.o_proj.weight"), a), &x[t]);
    }
    for (Vector& row : x) {
      const Vector h =
          RmsNorm(row, tensor(name + "post_attention_layernorm.weight"), config.rms_norm_eps);
      Vector gate = MatVec(tensor(name + "mlp.gate_proj.weight"), h);
      const Vector up = MatVec(tensor(name + "mlp.up_proj.weight"), h);
      for (size_t j = 0; j < gate.size(); ++j) gate[j] *= up[j] / (1 + std::exp(-gate[j]));
      add(MatVec(tensor(name + "mlp.down_proj.weight"), gate), &row);
    }
  }
  const char* head = config.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight";
  for (Vector& row : x) {
    row = MatVec(tensor(head), RmsNorm(row, tensor("model.norm.weight"), config.rms_norm_eps));
  }
  return x;
}

}  // namespace attune::reference

#endif  // ATTUNE_MODEL_REFERENCE_H_
