#include "tests/reference/model_factory.h"

#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "common/rng.h"
#include "tests/reference/checkpoint.h"
#include "tests/reference/config_value.h"

namespace attune {
namespace {

using nlohmann::json;

constexpr double kSpread = 0.3;  // of norm weights about their centre, and of biases

// Collects tensors of independent uniform values.
class TensorMaker {
 public:
  explicit TensorMaker(const ModelVariant& variant) : dtype_(variant.dtype) {
    for (char letter : variant.name) seed_ = MixBits(seed_ ^ static_cast<uint8_t>(letter));
  }

  // In [centre - spread, centre + spread).
  void Add(const std::string& name, std::vector<int64_t> shape, double centre, double spread) {
    ReferenceTensor& tensor = tensors[name];
    int64_t count = 1;
    for (int64_t size : shape) count *= size;
    const CounterRng rng({seed_, next_++});
    for (int64_t i = 0; i < count; ++i) {
      const double unit = 2 * rng.Uniform(static_cast<uint64_t>(i)) - 1;
      tensor.values.push_back(RoundTo(dtype_, centre + spread * unit));
    }
    tensor.shape = std::move(shape);
  }

  // Keeps the variance of its input.
  void AddLinear(const std::string& name, int64_t out, int64_t in, bool bias) {
    Add(name + ".weight", {out, in}, 0, std::sqrt(3.0 / static_cast<double>(in)));
    if (bias) Add(name + ".bias", {out}, 0, kSpread);
  }

  // GPT-2's: the same, stored the other way round.
  void AddConv1d(const std::string& name, int64_t in, int64_t out) {
    Add(name + ".weight", {in, out}, 0, std::sqrt(3.0 / static_cast<double>(in)));
    Add(name + ".bias", {out}, 0, kSpread);
  }

  void AddNorm(const std::string& name, int64_t size, double centre) {
    Add(name + ".weight", {size}, centre, kSpread);
  }

  void AddLayerNorm(const std::string& name, int64_t size) {
    AddNorm(name, size, 1);
    Add(name + ".bias", {size}, 0, kSpread);
  }

  ReferenceTensors tensors;

 private:
  const std::string dtype_;
  uint64_t seed_ = 0;
  uint64_t next_ = 0;
};

// Labels of a classifier; 0 for a language model.
int64_t Labels(const json& config) {
  return config.contains("id2label") ? static_cast<int64_t>(config["id2label"].size()) : 0;
}

void AddRotaryLayer(const ModelVariant& variant, const std::string& name, TensorMaker* maker) {
  const json& config = variant.config;
  const std::string family = config["model_type"];
  const int64_t hidden = config["hidden_size"];
  const int64_t intermediate = config["intermediate_size"];
  const int64_t heads = config["num_attention_heads"];
  const int64_t kv_heads = ConfigValue(config, "num_key_value_heads", heads);
  const int64_t head_dim = ConfigValue(config, "head_dim", hidden / heads);
  const bool bias = ConfigValue(config, "attention_bias", false);
  const bool mlp_bias = ConfigValue(config, "mlp_bias", false);
  const double centre = family.rfind("gemma", 0) == 0 ? 0 : 1;  // gemma adds the 1 itself

  maker->AddNorm(name + "input_layernorm", hidden, centre);
  maker->AddNorm(name + "post_attention_layernorm", hidden, centre);
  if (family == "gemma2") {
    maker->AddNorm(name + "pre_feedforward_layernorm", hidden, centre);
    maker->AddNorm(name + "post_feedforward_layernorm", hidden, centre);
  }
  const std::string attention = name + "self_attn.";
  if (family == "phi3") {
    maker->AddLinear(attention + "qkv_proj", (heads + 2 * kv_heads) * head_dim, hidden, false);
    maker->AddLinear(name + "mlp.gate_up_proj", 2 * intermediate, hidden, false);
  } else {
    const bool qkv_bias = bias || family == "qwen2";
    maker->AddLinear(attention + "q_proj", heads * head_dim, hidden, qkv_bias);
    maker->AddLinear(attention + "k_proj", kv_heads * head_dim, hidden, qkv_bias);
    maker->AddLinear(attention + "v_proj", kv_heads * head_dim, hidden, qkv_bias);
    maker->AddLinear(name + "mlp.gate_proj", intermediate, hidden, mlp_bias);
    maker->AddLinear(name + "mlp.up_proj", intermediate, hidden, mlp_bias);
  }
  if (family == "qwen3") {
    maker->AddNorm(attention + "q_norm", head_dim, 1);
    maker->AddNorm(attention + "k_norm", head_dim, 1);
  }
  maker->AddLinear(attention + "o_proj", hidden, heads * head_dim, bias);
  maker->AddLinear(name + "mlp.down_proj", hidden, intermediate, mlp_bias);
  if (variant.buffers) {
    maker->Add(attention + "rotary_emb.inv_freq", {head_dim / 2}, 0.5, kSpread);
  }
}

void AddRotary(const ModelVariant& variant, TensorMaker* maker) {
  const json& config = variant.config;
  const bool gemma = config["model_type"].get<std::string>().rfind("gemma", 0) == 0;
  const int64_t hidden = config["hidden_size"];
  const int64_t vocabulary = config["vocab_size"];
  const bool tied = ConfigValue(config, "tie_word_embeddings", gemma);
  // As small as a head's rows where they are the head's, or gemma scales them up.
  maker->Add(variant.head_only ? "lm_head.weight" : "model.embed_tokens.weight",
             {vocabulary, hidden}, 0,
             tied || gemma ? std::sqrt(3.0 / static_cast<double>(hidden)) : 1);
  for (int64_t layer = 0; layer < config["num_hidden_layers"].get<int64_t>(); ++layer) {
    AddRotaryLayer(variant, "model.layers." + std::to_string(layer) + ".", maker);
  }
  maker->AddNorm("model.norm", hidden, gemma ? 0 : 1);
  if (Labels(config) > 0) {
    maker->AddLinear("score", Labels(config), hidden, false);
  } else if (!tied) {
    maker->AddLinear("lm_head", vocabulary, hidden, false);
  }
}

void AddGpt2(const ModelVariant& variant, TensorMaker* maker) {
  const json& config = variant.config;
  const int64_t hidden = config["n_embd"];
  const int64_t positions = config["n_positions"];
  const int64_t inner = ConfigValue(config, "n_inner", 4 * hidden);
  const std::string prefix = variant.bare_names ? "" : "transformer.";
  maker->Add(prefix + "wte.weight", {config["vocab_size"], hidden}, 0, kSpread);
  maker->Add(prefix + "wpe.weight", {positions, hidden}, 0, kSpread);
  for (int64_t layer = 0; layer < config["n_layer"].get<int64_t>(); ++layer) {
    const std::string name = prefix + "h." + std::to_string(layer) + ".";
    maker->AddLayerNorm(name + "ln_1", hidden);
    maker->AddConv1d(name + "attn.c_attn", hidden, 3 * hidden);
    maker->AddConv1d(name + "attn.c_proj", hidden, hidden);
    maker->AddLayerNorm(name + "ln_2", hidden);
    maker->AddConv1d(name + "mlp.c_fc", hidden, inner);
    maker->AddConv1d(name + "mlp.c_proj", inner, hidden);
    if (variant.buffers) {
      maker->Add(name + "attn.bias", {1, 1, positions, positions}, 0.5, kSpread);
      maker->Add(name + "attn.masked_bias", {}, -1e4, 0);
    }
  }
  maker->AddLayerNorm(prefix + "ln_f", hidden);
  if (Labels(config) > 0) {
    maker->AddLinear("score", Labels(config), hidden, false);
  } else if (!ConfigValue(config, "tie_word_embeddings", true)) {
    maker->AddLinear("lm_head", config["vocab_size"], hidden, false);
  }
}

}  // namespace

ReferenceTensors MakeTensors(const ModelVariant& variant) {
  TensorMaker maker(variant);
  if (variant.config["model_type"] == "gpt2") {
    AddGpt2(variant, &maker);
  } else {
    AddRotary(variant, &maker);
  }
  return std::move(maker.tensors);
}

void WriteVariant(const ModelVariant& variant, const std::string& directory) {
  WriteCheckpoint(directory, variant.config, MakeTensors(variant), variant.dtype, variant.shards);
}

}  // namespace attune
