// What a Hugging Face config.json says about a decoder-only transformer. One transformer runs all
// of them (model/policy.h): what differs between Llama, Mistral, Qwen2, Qwen3, Phi-3, Gemma,
// Gemma 2 and GPT-2 is data here, and the names of the stored tensors (model/layout.h).
#ifndef ATTUNE_MODEL_MODEL_CONFIG_H_
#define ATTUNE_MODEL_MODEL_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/rope.h"

namespace attune {

// How the tensors of a layer are called and stored.
enum class TensorNaming {
  kLlama,  // model.layers.0.self_attn.q_proj.weight, one tensor a projection
  kPhi3,   // the same, q, k and v in one tensor, gate and up in another
  kGpt2,   // transformer.h.0.attn.c_attn.weight, q, k and v in one, stored [in, out]
};

enum class NormKind { kRms, kLayer };

// z / (1 + exp(-s(z))) of every value z.
enum class Activation {
  kSilu,      // s(z) = z
  kGeluTanh,  // s(z) = 2 sqrt(2 / pi) (z + 0.044715 z^3): "gelu_new", "gelu_pytorch_tanh"
};

// Complete once loaded. Sizes are counts of elements.
struct ModelConfig {
  std::string model_type;  // "llama", "mistral", ...
  TensorNaming naming = TensorNaming::kLlama;
  int64_t vocab_size;
  int64_t hidden_size;
  int64_t intermediate_size;
  int64_t num_layers;
  int64_t num_heads;
  int64_t num_kv_heads;  // divides num_heads; fewer = grouped-query attention
  int64_t head_dim;

  NormKind norm = NormKind::kRms;
  float norm_eps;
  bool norm_adds_one = false;  // the stored weight is the scale - 1 (Gemma)
  bool post_norms = false;     // a norm on each block's output too (Gemma 2)
  bool qk_norm = false;        // RMS norm of each head of q and k before the rotation (Qwen3)

  bool qkv_bias = false;
  bool output_bias = false;  // of the attention's output projection
  bool mlp_bias = false;
  bool gated_mlp = true;  // down(act(gate x) * up x); otherwise down(act(up x))
  Activation activation = Activation::kSilu;

  Rope rope;  // without frequencies: learned position embeddings instead (GPT-2)
  // By layer: a position attends to that many positions, its own the last; 0: to all. Or empty.
  std::vector<int64_t> attention_windows;
  float attention_scale;            // of q . k
  float attention_softcap = 0;      // c: scores become c tanh(score / c); 0: they stay
  float logit_softcap = 0;          // the same of the logits
  float embedding_scale = 1;
  bool tie_word_embeddings;
  // > 0: a *ForSequenceClassification, with a score head in place of the vocabulary's.
  int64_t num_labels = 0;
  // Of which a classifier passes over those at the end when it looks for the last token (as
  // transformers, which finds padding by its id); -1: none.
  int64_t pad_token_id = -1;
  int64_t max_position_embeddings;     // longest prompt + response, tokens
  std::vector<int32_t> eos_token_ids;  // any of them ends a response; from generation_config.json
                                       // where that exists, else config.json; may be empty

  int64_t q_size() const { return num_heads * head_dim; }
  int64_t kv_size() const { return num_kv_heads * head_dim; }
  int64_t outputs() const { return num_labels > 0 ? num_labels : vocab_size; }  // of the head
  int64_t window(int64_t layer) const {
    return attention_windows.empty() ? 0 : attention_windows[layer];
  }
};

// A config.json with all that is wrong with it.
struct ConfigReport {
  // As far as its fields are supported: of a model without problems, or near enough to describe one
  // with problems. Empty when the model_type or a size is unusable.
  std::optional<ModelConfig> config;
  std::vector<std::string> problems;  // each with field, value and what is supported
};

// Of `directory`. An error when there is no config.json or it is no JSON object.
[[nodiscard]] absl::StatusOr<ConfigReport> InspectModelConfig(const std::string& directory);

// Reads config.json (and generation_config.json) of `directory`. Whatever changes numbers and is
// not supported is refused by name with its value (INVALID_ARGUMENT), never ignored; all problems
// together.
[[nodiscard]] absl::StatusOr<ModelConfig> LoadModelConfig(const std::string& directory);

}  // namespace attune

#endif  // ATTUNE_MODEL_MODEL_CONFIG_H_
