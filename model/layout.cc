#include "model/layout.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/check.h"

namespace attune {
namespace {

LinearRef Plain(const std::string& name, bool bias, int64_t outputs, int64_t inputs) {
  return {.weight = name + ".weight",
          .bias = bias ? name + ".bias" : "",
          .first = 0,
          .outputs = outputs,
          .inputs = inputs,
          .stored_outputs = outputs,
          .transposed = false};
}

// `outputs` of a tensor that holds several maps.
LinearRef Part(LinearRef whole, int64_t first, int64_t outputs) {
  whole.first = first;
  whole.outputs = outputs;
  return whole;
}

LinearRef Transposed(LinearRef ref) {
  ref.transposed = true;
  return ref;
}

void SplitQkv(const ModelConfig& config, const LinearRef& whole, LayerRefs* refs) {
  refs->q = Part(whole, 0, config.q_size());
  refs->k = Part(whole, config.q_size(), config.kv_size());
  refs->v = Part(whole, config.q_size() + config.kv_size(), config.kv_size());
}

LayerRefs LlamaLayer(const ModelConfig& config, const std::string& layer) {
  const int64_t hidden = config.hidden_size;
  const int64_t inner = config.intermediate_size;
  const std::string attention = layer + "self_attn.";
  const std::string mlp = layer + "mlp.";
  LayerRefs refs;
  refs.attention_norm = {layer + "input_layernorm.weight", ""};
  // Gemma 2 calls the norm before the MLP by another name, and gives this one to the norm behind.
  const char* const second = "post_attention_layernorm.weight";
  refs.mlp_norm = {layer + (config.post_norms ? "pre_feedforward_layernorm.weight" : second), ""};
  if (config.post_norms) {
    refs.attention_post_norm = {layer + second, ""};
    refs.mlp_post_norm = {layer + "post_feedforward_layernorm.weight", ""};
  }
  if (config.qk_norm) {
    refs.q_norm = {attention + "q_norm.weight", ""};
    refs.k_norm = {attention + "k_norm.weight", ""};
  }
  refs.o = Plain(attention + "o_proj", config.output_bias, hidden, config.q_size());
  refs.down = Plain(mlp + "down_proj", config.mlp_bias, hidden, inner);
  if (config.naming == TensorNaming::kPhi3) {
    SplitQkv(config,
             Plain(attention + "qkv_proj", false, config.q_size() + 2 * config.kv_size(), hidden),
             &refs);
    const LinearRef gate_up = Plain(mlp + "gate_up_proj", false, 2 * inner, hidden);
    refs.gate = Part(gate_up, 0, inner);
    refs.up = Part(gate_up, inner, inner);
    return refs;
  }
  refs.q = Plain(attention + "q_proj", config.qkv_bias, config.q_size(), hidden);
  refs.k = Plain(attention + "k_proj", config.qkv_bias, config.kv_size(), hidden);
  refs.v = Plain(attention + "v_proj", config.qkv_bias, config.kv_size(), hidden);
  refs.gate = Plain(mlp + "gate_proj", config.mlp_bias, inner, hidden);
  refs.up = Plain(mlp + "up_proj", config.mlp_bias, inner, hidden);
  return refs;
}

LayerRefs Gpt2Layer(const ModelConfig& config, const std::string& layer) {
  const int64_t hidden = config.hidden_size;
  const int64_t inner = config.intermediate_size;
  LayerRefs refs;
  refs.attention_norm = {layer + "ln_1.weight", layer + "ln_1.bias"};
  SplitQkv(config, Transposed(Plain(layer + "attn.c_attn", true, 3 * hidden, hidden)), &refs);
  refs.o = Transposed(Plain(layer + "attn.c_proj", true, hidden, hidden));
  refs.mlp_norm = {layer + "ln_2.weight", layer + "ln_2.bias"};
  refs.up = Transposed(Plain(layer + "mlp.c_fc", true, inner, hidden));
  refs.down = Transposed(Plain(layer + "mlp.c_proj", true, hidden, inner));
  return refs;
}

// The tensors that refs name, by name, with their shapes.
class Collector {
 public:
  explicit Collector(const ModelConfig& config) : config_(config) {}

  void Add(const std::string& name, std::vector<int64_t> shape) {
    if (!name.empty()) shapes_[name] = std::move(shape);
  }
  void Add(const NormRef& ref, int64_t size) {
    Add(ref.weight, {size});
    Add(ref.bias, {size});
  }
  void Add(const LinearRef& ref) {
    const std::vector<int64_t> shape = {ref.stored_outputs, ref.inputs};
    Add(ref.weight, ref.transposed ? std::vector<int64_t>{shape[1], shape[0]} : shape);
    Add(ref.bias, {ref.stored_outputs});
  }
  void Add(const LayerRefs& refs) {
    for (const NormRef* norm :
         {&refs.attention_norm, &refs.attention_post_norm, &refs.mlp_norm, &refs.mlp_post_norm}) {
      Add(*norm, config_.hidden_size);
    }
    Add(refs.q_norm, config_.head_dim);
    Add(refs.k_norm, config_.head_dim);
    for (const LinearRef* linear :
         {&refs.q, &refs.k, &refs.v, &refs.o, &refs.gate, &refs.up, &refs.down}) {
      Add(*linear);
    }
  }

  std::vector<TensorSpec> Layout() const {
    std::vector<TensorSpec> layout;
    int64_t offset = 0;
    for (const auto& [name, shape] : shapes_) {
      int64_t size = 1;
      for (const int64_t side : shape) size *= side;
      layout.push_back({name, shape, offset, size});
      offset += size;
    }
    return layout;
  }

 private:
  const ModelConfig& config_;
  std::map<std::string, std::vector<int64_t>> shapes_;
};

}  // namespace

ModelRefs RefsOf(const ModelConfig& config) {
  const bool gpt2 = config.naming == TensorNaming::kGpt2;
  ModelRefs refs;
  refs.embeddings = gpt2 ? "transformer.wte.weight" : "model.embed_tokens.weight";
  if (gpt2) refs.positions = "transformer.wpe.weight";
  for (int64_t i = 0; i < config.num_layers; ++i) {
    refs.layers.push_back(gpt2 ? Gpt2Layer(config, absl::StrCat("transformer.h.", i, "."))
                               : LlamaLayer(config, absl::StrCat("model.layers.", i, ".")));
  }
  refs.final_norm = gpt2 ? NormRef{"transformer.ln_f.weight", "transformer.ln_f.bias"}
                         : NormRef{"model.norm.weight", ""};
  refs.head = Plain(config.num_labels > 0 ? "score" : "lm_head", false, config.outputs(),
                    config.hidden_size);
  if (config.num_labels == 0 && config.tie_word_embeddings) refs.head.weight = refs.embeddings;
  return refs;
}

std::vector<TensorSpec> WeightLayout(const ModelConfig& config) {
  const ModelRefs refs = RefsOf(config);
  Collector collector(config);
  collector.Add(refs.embeddings, {config.vocab_size, config.hidden_size});
  collector.Add(refs.positions, {config.max_position_embeddings, config.hidden_size});
  for (const LayerRefs& layer : refs.layers) collector.Add(layer);
  collector.Add(refs.final_norm, config.hidden_size);
  collector.Add(refs.head);
  return collector.Layout();
}

int64_t WeightCount(const std::vector<TensorSpec>& layout) {
  return layout.back().offset + layout.back().size;
}

const TensorSpec& FindTensor(const std::vector<TensorSpec>& layout, absl::string_view name) {
  const auto it = std::lower_bound(
      layout.begin(), layout.end(), name,
      [](const TensorSpec& spec, absl::string_view name) { return spec.name < name; });
  ATTUNE_CHECK(it != layout.end() && it->name == name);
  return *it;
}

}  // namespace attune
