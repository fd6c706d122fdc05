// The tensors of a model under their Hugging Face names, and which of them each part of the
// transformer reads.
#ifndef ATTUNE_MODEL_LAYOUT_H_
#define ATTUNE_MODEL_LAYOUT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "model/model_config.h"

namespace attune {

struct TensorSpec {
  std::string name;            // for example model.layers.0.self_attn.q_proj.weight
  std::vector<int64_t> shape;  // 1 or 2 dimensions
  int64_t offset;              // first element within the flat vector of model/weights.h
  int64_t size;                // elements
};

// Every tensor of the model, sorted by name (byte order), offsets without gaps. With tied
// embeddings there is no lm_head.weight.
std::vector<TensorSpec> WeightLayout(const ModelConfig& config);
int64_t WeightCount(const std::vector<TensorSpec>& layout);

// The spec of that name; it must exist.
const TensorSpec& FindTensor(const std::vector<TensorSpec>& layout, absl::string_view name);

// A linear map y = W x + b: `outputs` rows of a stored [rows, inputs] tensor from row `first` on,
// or that many columns of a stored [inputs, columns] one.
struct LinearRef {
  std::string weight;
  std::string bias;  // [rows] or [columns] of the weight; empty: none
  int64_t first = 0;
  int64_t outputs = 0;
  int64_t inputs = 0;
  int64_t stored_outputs = 0;  // rows (columns) of the stored tensor
  bool transposed = false;     // stored [inputs, columns]
};

struct NormRef {
  std::string weight;  // empty: there is no such norm
  std::string bias;    // empty: none
};

struct LayerRefs {
  NormRef attention_norm;
  LinearRef q, k, v, o;
  NormRef q_norm, k_norm;       // of each head
  NormRef attention_post_norm;  // of the block's output
  NormRef mlp_norm;
  LinearRef gate, up, down;  // gate.weight is empty in an MLP that is not gated
  NormRef mlp_post_norm;
};

struct ModelRefs {
  std::string embeddings;  // [vocab, hidden]
  std::string positions;   // [max_position_embeddings, hidden]; empty with rotary embeddings
  std::vector<LayerRefs> layers;
  NormRef final_norm;
  LinearRef head;  // its weight is the embeddings when they are tied
};

ModelRefs RefsOf(const ModelConfig& config);

}  // namespace attune

#endif  // ATTUNE_MODEL_LAYOUT_H_
